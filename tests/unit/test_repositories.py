"""One form for every spelling of a repository, and no form for what is none."""

import pytest

from sluicegate.errors import Invalid
from sluicegate.repositories import canonical, parse
from sluicegate.settings import Settings

SETTINGS = Settings()
LOCAL = Settings(allow_local_repositories=True)


@pytest.mark.parametrize(
    "text",
    [
        "acme/a",
        "Acme/A",
        "acme/a.git",
        "acme/a.GIT",
        "github.com/acme/a",
        "https://github.com/acme/a",
        "https://github.com/Acme/a.git",
        "https://GitHub.com:443/acme/a/",
        "http://github.com/acme/a.git",
        "git@github.com:acme/a",
        "git@github.com:acme/a.git",
        "ssh://git@github.com/acme/a",
        "ssh://git@github.com:22/acme/a.git",
        "git://github.com/acme/a",
    ],
)
def test_spellings_of_one_repository_are_equal(text: str) -> None:
    """70-17: owner/name, https, scp-like and ssh forms compare as one."""
    assert canonical(text, SETTINGS) == "github.com/acme/a"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("https://git.example.org:8443/acme/a", "git.example.org:8443/acme/a"),
        ("git.example.org:8443/acme/a", "git.example.org:8443/acme/a"),
        ("https://gitlab.example.org/group/sub/a.git", "gitlab.example.org/group/sub/a"),
        ("gitlab.example.org/group/sub/a", "gitlab.example.org/group/sub/a"),
        ("acme/.github", "github.com/acme/.github"),
        ("acme/a.b_c-d", "github.com/acme/a.b_c-d"),
    ],
)
def test_other_forms(text: str, form: str) -> None:
    """70-17: a port of its own and groups are part of the form, and the form is stable."""
    assert canonical(text, SETTINGS) == form
    assert canonical(form, SETTINGS) == form


def test_the_default_host_is_a_setting() -> None:
    """70-17, 70-43: DEFAULT_REPOSITORY_HOST decides what owner/name means."""
    settings = Settings(default_repository_host="git.example.org:8443")
    assert parse("Acme/a", settings) == (
        "git.example.org:8443/acme/a", "https://git.example.org:8443/Acme/a.git", "https",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("acme/A", "https://github.com/acme/A.git"),
        ("git@github.com:acme/A", "git@github.com:acme/A"),
        ("https://github.com/acme/A", "https://github.com/acme/A"),
    ],
)
def test_the_clone_url_keeps_what_was_written(text: str, url: str) -> None:
    """A server may care about case and the `.git`: only the compared form is changed."""
    assert parse(text, SETTINGS).clone_url == url


@pytest.mark.parametrize("text", ["/srv/git/a.git", "file:///srv/git/a.git", "file:/srv/git/x/../a.git"])
def test_local_repositories_only_where_allowed(text: str) -> None:
    """70-17: local paths only with ALLOW_LOCAL_REPOSITORIES, and then as absolute paths."""
    assert parse(text, LOCAL) == ("/srv/git/a.git", "/srv/git/a.git", "file")
    with pytest.raises(Invalid, match="ALLOW_LOCAL_REPOSITORIES"):
        canonical(text, SETTINGS)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "a", "a/", "/", "a b/c", "acme/a\n", "../x", "./x/y", "~/x/y", "-u/x", "acme/-x", "acme/..",
        "a/b/c", "acme//a", "acme/a?x", "https://github.com", "https://github.com/acme",
        "https://github.com/acme/a?x=1", "https://github.com/acme/a#f", "https://github.com/acme/a#",
        "https://tok@github.com/acme/a", "https://u:p@github.com/acme/a", "ssh://git:p@github.com/acme/a",
        "ssh://-oProxyCommand=x@github.com/acme/a", "ssh://-oProxyCommand=x/acme/a", "ext::sh -c id",
        "ext::sh", "javascript://github.com/acme/a", "https://git_hub/acme/a", "https://[::1]/acme/a",
        "https://github.com/%2e%2e/a", "https://github.com:99999/acme/a", "c:\\repos\\a",
        "acme/" + "a" * 2000,
        "file://host/acme/a", "file://[/acme/a", "file:relative/x", "file:///", "/srv/\x00",
        "github.com:0/acme/a",
    ],
)  # fmt: skip
def test_nonsense_is_refused_by_field(text: str) -> None:
    """70-17: what is no repository is 422 and names the field, never a command for git."""
    with pytest.raises(Invalid) as caught:
        canonical(text, LOCAL, path="allowedRepositories[0]")
    assert caught.value.extra["errors"][0]["path"] == "allowedRepositories[0]"
