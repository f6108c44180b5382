"""What producer and workers saw themselves, a line for each thing at the moment it happened.

A line is one write to a file of its process, so that it is there though the process is killed with the next
instruction. Nothing here comes from the queue's own records: they are what is judged by it. Times are of the
machine's monotonic clock, which all its processes share.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Self

import msgspec
from msgspec import Struct, field

LIFE: Final = "DRILL_LIFE"
"""Marks what one worker process has started: a variable that its descendants inherit."""
SUFFIX: Final = ".jsonl"


class Acknowledged(Struct, frozen=True, tag="acknowledged"):
    """The producer was told that this job is in the queue. outcome: the status that it must end in."""

    job: str
    outcome: str
    at: float


class Started(Struct, frozen=True, tag="started"):
    """A handler begins this attempt of a job, in this life of a worker."""

    job: str
    token: int
    attempt: int
    life: str
    at: float


class Returned(Struct, frozen=True, tag="returned"):
    """The handler came to its end. done: it asks for the job's completion; else it raised."""

    job: str
    token: int
    done: bool
    at: float


class Told(Struct, frozen=True, tag="told"):
    """What the queue answered to a completion. late: sent though the lease was known to be lost."""

    job: str
    token: int
    accepted: bool
    late: bool
    at: float


Line = Acknowledged | Started | Returned | Told


class Evidence(Struct, kw_only=True):
    """All lines of a drill, each kind in the order of time. damaged: files that hold something else."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    started: list[Started] = field(default_factory=list)
    returned: list[Returned] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, lines: Iterable[Line], damaged: Iterable[str] = ()) -> Self:
        ordered = sorted(lines, key=lambda line: line.at)
        return cls(
            acknowledged=[line for line in ordered if isinstance(line, Acknowledged)],
            started=[line for line in ordered if isinstance(line, Started)],
            returned=[line for line in ordered if isinstance(line, Returned)],
            told=[line for line in ordered if isinstance(line, Told)],
            damaged=list(damaged),
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        lines: list[Line] = []
        damaged = []
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                lines += _lines(path.read_bytes())
            except msgspec.DecodeError as error:
                damaged.append(f"{path.name}: {error}")
        return cls.of(lines, damaged)


class Notes:
    """Writes the lines of one process. Safe in any thread."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = os.open(notes_of(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, line: Line) -> None:
        os.write(self._file, msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        os.close(self._file)


def life_of(worker: str, pid: int) -> str:
    """The name of one process of a worker, which is started again and again."""
    return f"{worker}-{pid}"


def notes_of(folder: Path, name: str) -> Path:
    return folder / f"{name}{SUFFIX}"


def in_flight(path: Path) -> int:
    """How many attempts have begun and not ended, by the notes of one process."""
    lines = list(_lines(path.read_bytes()))
    begun = {(line.job, line.token) for line in lines if isinstance(line, Started)}
    return len(begun - {(line.job, line.token) for line in lines if isinstance(line, Returned)})


def now() -> float:
    return time.monotonic()


def _lines(content: bytes) -> Iterator[Line]:
    *whole, _cut_off = content.split(b"\n")  # killed in mid-write, a process leaves half a line
    for text in whole:
        yield msgspec.json.decode(text, type=Line)
