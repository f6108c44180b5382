"""keys.py is the only catalogue of key names: the scripts build no other key, and each key of it is built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sluicegate import keys

LIBRARY = Path(__file__).parents[2] / "shared/sluicegate"
SCRIPTS = sorted((LIBRARY / "store/lua").glob("*.lua"))
CATALOGUED = {re.sub(r"<[^>]+>", "<>", name).replace("<><>", "<>") for name in keys.CATALOGUE}


def built_by(script: Path) -> set[str]:
    """The shapes of keys that a script builds: `Q .. 'bell:' .. policy` is `bell:<>`."""
    text = script.read_text()
    parts = re.findall(r"\bQ \.\. '([^']+)'", text)
    parts += [f"job:<>{part}" for part in re.findall(r"\bjob_key\([^)]*\) \.\. '([^']+)'", text)]
    return {f"{part}<>" if part.endswith(":") else part for part in parts}


def is_catalogued(shape: str) -> bool:
    """Whether some catalogued key has this shape; what is filled in may be more than one part."""
    return any(matches(shape, name) or matches(name, shape) for name in CATALOGUED)


def matches(shape: str, name: str) -> bool:
    return re.fullmatch(re.escape(shape).replace("<>", ".+"), name) is not None


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_builds_only_catalogued_keys(script: Path) -> None:
    assert [shape for shape in built_by(script) if not is_catalogued(shape)] == []


def test_every_catalogued_key_is_built_somewhere() -> None:
    shapes = set().union(*(built_by(script) for script in SCRIPTS))
    values = {value.removeprefix(keys.Q) for value in vars(keys).values() if isinstance(value, str)}
    made = {
        keys.job("<>"), keys.job_events("<>"), keys.status("<>"), keys.bell("<>"), keys.worker("<>"),
        keys.heard("<>"), keys.job_controls("<>"), keys.job_terminal("<>"), keys.job_typed("<>"),
        keys.job_watched("<>"), keys.job_live("<>"),
        *(keys.job_shelf("<>", shelf) for shelf in ("steps", "artifacts", "facts")),
    }  # fmt: skip
    everything = (
        shapes | values | {each.removeprefix(keys.Q) for each in made} | {"unique:<>:<>", "flow:<>:<>"}
    )
    assert everything >= CATALOGUED


def test_no_other_file_knows_how_a_key_begins() -> None:
    places = [
        path for path in LIBRARY.rglob("*") if path.suffix in {".py", ".lua"} and path.name != "keys.py"
    ]
    assert [path.name for path in places if "{sg:" in path.read_text()] == []


def test_what_expires_is_catalogued() -> None:
    assert set(keys.CATALOGUE) == keys.EXPIRING | keys.PERMANENT
    assert not keys.EXPIRING & keys.PERMANENT
