"""`sluicegate tokens`: what is refused before anything is asked of a server."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from sluicegate.cli.main import main


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--worker-id is needed"),
        (["--worker-id", "w", "--role", "admin"], "--role goes with --operator"),
        (["--operator", "--role", "admin"], "--user is needed"),
        (["--operator", "--user", "ann"], "--role is needed"),
        (["--operator", "--user", "ann", "--role", "root"], "'root' is not one of"),
        (
            ["--operator", "--user", "a", "--role", "viewer", "--repository", "a/b"],
            "--repository is for tokens of workers",
        ),
        (["--worker-id", "w", "--expires-in", "soon"], "not a length of time"),
        (["--worker-id", "w", "--expires-in", "99999999999999d"], "beyond the calendar"),
    ],
)
def test_wrong_words_are_usage_errors(words: list[str], says: str) -> None:
    """Q-11, spec 60-3: exit status 2, and the option by name."""
    done = CliRunner().invoke(main, ["tokens", "create", *words])
    assert done.exit_code == 2
    assert says in done.output


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("SLUICEGATE_TOKEN", "sgop_\udcff", "SLUICEGATE_TOKEN"),
        ("SLUICEGATE_TOKEN", "a\nb", "SLUICEGATE_TOKEN"),
    ],
)
def test_a_token_that_can_be_none_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    done = CliRunner().invoke(main, ["tokens", "list", "--url", "http://127.0.0.1:1"])
    assert done.exit_code == 1
    assert says in done.output


def test_an_address_of_a_store_that_can_be_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICEGATE_REDIS_URL", "redis://[")
    done = CliRunner().invoke(main, ["tokens", "list", "--operator"])
    assert done.exit_code == 1
    assert "SLUICEGATE_REDIS_URL" in done.output
