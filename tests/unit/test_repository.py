"""The repository stands by itself: generated files are current, links lead somewhere, no machine is named."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from docs.generate import pages
from sluicegate.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = pages()


@cache
def tracked() -> tuple[Path, ...]:
    """Every text file that git knows, as it is on disk."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    paths = (ROOT / name for name in names if name)
    return tuple(sorted(path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]))


def markdown() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_pages_made_from_the_code_are_current(name: str) -> None:
    assert (ROOT / name).read_text() == PAGES[name], f"{name} is stale: run `make generated`"


@pytest.mark.needs("git")
def test_no_file_names_a_machine() -> None:
    """A path of somebody's machine works for nobody else."""
    machine = re.compile(r"(?<![\w./}-])/(?:work|root|home|Users|opt/pypi[\w-]*)/[\w.-]+")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked()
        if path != Path(__file__)
        for match in machine.finditer(path.read_text(errors="replace"))
    ]
    assert found == []


def test_the_lock_names_no_index_and_pins_every_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?:|file:|--(?:index|extra-index|find-links|trusted-host)", lock)
    pins = re.findall(r"^[A-Za-z0-9_.\[\]-]+==\S+.*\\$", lock, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^(?! |#|$)", lock, re.MULTILINE)) > 30


@pytest.mark.needs("git")
@pytest.mark.parametrize("path", markdown(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_resolve(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), f"{link} leads nowhere"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{link} leads to no heading"


def anchors(path: Path) -> set[str]:
    """The anchors that a Markdown page has: its headings in lower case, spaces as hyphens."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    assert re.search(r"^## \[?Unreleased\]?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", ["producer", "worker"])
def test_the_readme_shows_the_examples_as_they_are(name: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert (ROOT / f"examples/{name}.py").read_text() in blocks


@pytest.mark.needs("git")
@pytest.mark.parametrize("path", markdown(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_name_only_commands_that_exist(path: Path) -> None:
    named = set(
        re.findall(r"(?:^|[`/\s])sluicegate ([a-z][a-z-]*)\b", code_in(path.read_text()), re.MULTILINE)
    )
    assert named <= set(COMMANDS)


def code_in(text: str) -> str:
    """What stands in code blocks and between backquotes."""
    blocks = re.findall(r"```(?:sh|text)?\n(.*?)```", text, re.DOTALL)
    return "\n".join(blocks + re.findall(r"`[^`\n]+`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def test_the_readme_names_only_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [code_in((ROOT / name).read_text()) for name in ("README.md", "CONTRIBUTING.md")]
    named = {name for text in texts for name in re.findall(r"\bmake ([a-z-]+)\b", text)}
    assert {"test", "setup"} & named
    assert named <= targets
