"""The files of a job on pages: which can be looked at, and a bounded part of one. Nothing of them is run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Final, Literal

from msgspec import Struct

from services.control.dashboard.diff import Diff, read_diff
from services.control.dashboard.pieces import plain_text
from sluicegate.artifacts import ArtifactStore
from sluicegate.store.shelves import Artifact

MOST_BYTES: Final = 512 * 1024
"""Of a file that one page shows."""
Look = Literal["diff", "text"]
Part = Literal["start", "end"]
_DIFF_TYPES: Final = ("text/x-diff", "text/x-patch")
_TEXT_TYPES: Final = ("application/json", "application/toml", "application/yaml", "application/xml")
_TEXT_NAMES: Final = (".txt", ".log", ".json", ".md", ".toml", ".yaml", ".yml", ".xml", ".csv", ".jsonl")
RECORDING: Final = ".cast"


class Seen(Struct, kw_only=True):
    """What a page shows of a file. text or diff; neither when it is no text. cut: there is more of it."""

    text: str | None = None
    diff: Diff | None = None
    cut: bool = False


def look(artifact: Artifact) -> Look | None:
    """How it can be looked at; None: only downloaded (a recording is played on the page of the job)."""
    kind, name = artifact.content_type.partition(";")[0].strip().lower(), artifact.name.lower()
    if name.endswith(RECORDING):
        return None
    if kind in _DIFF_TYPES or name.endswith((".patch", ".diff")):
        return "diff"
    return "text" if kind.startswith("text/") or kind in _TEXT_TYPES or name.endswith(_TEXT_NAMES) else None


def usual_part(artifact: Artifact) -> Part:
    """Of a log what counts is its end."""
    return "end" if artifact.name.startswith("logs/") or artifact.name.endswith(".log") else "start"


async def see(files: ArtifactStore, artifact: Artifact, part: Part) -> Seen:
    """Raises NotFound (artifact_not_found)."""
    start = max(0, artifact.size_bytes - MOST_BYTES) if part == "end" else 0
    size = min(artifact.size_bytes, MOST_BYTES)
    content = bytearray()
    reading = files.read(artifact.job_id, artifact.id, artifact.digest, start=start, size=size)
    async with aclosing(reading) as chunks:
        async for chunk in chunks:
            content += chunk
    cut = artifact.size_bytes > MOST_BYTES
    if b"\0" in content:
        return Seen(cut=cut)
    text = plain_text(content.decode("utf-8", "replace"))
    if look(artifact) == "diff":
        diff = read_diff(text.rpartition("\n")[0] if cut else text)  # no half a line for a whole one
        return Seen(diff=diff, cut=cut or diff.cut)
    return Seen(text=text, cut=cut)


def ordered(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """What was made first, then what tells how; by name within each."""
    first = ("patches/", "logs/", "terminal/", "state/")
    places = {name: place for place, name in enumerate(first, 1)}
    return sorted(artifacts, key=lambda each: (places.get(f"{each.name.partition('/')[0]}/", 0), each.name))
