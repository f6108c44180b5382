"""How the scripted runs have ended: the last recorded judgement, and the page that shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from tests.corpora.runs import HERE, Corpus, Part, Run, load

RECORDED: Final = HERE / "outcomes.json"
CORPORA: Final[tuple[Corpus, ...]] = ("stuck", "healthy")
PARTS: Final[tuple[Part, ...]] = ("first_third", "rest")
WRITTEN: Final[dict[Part, str]] = {
    "first_third": "before the detectors",
    "rest": "after the detectors",
}
TITLES: Final[dict[Corpus, str]] = {"stuck": "Stuck runs", "healthy": "Healthy but odd runs"}


class Outcome(Struct, rename="camel", frozen=True):
    """ended: `healed`, `finished` at the first go, or the class of the failure. attempts: of the step, in all
    attempts of the job. right: as it should, within its budgets."""

    corpus: Corpus
    part: Part
    run: str
    ended: str
    attempts: int
    hard_resets: int
    right: bool


class Judgement(Struct, rename="camel", frozen=True):
    """at_once: runs at a time, on so many cores."""

    cores: int
    at_once: int
    seconds: int
    outcomes: list[Outcome]


def recorded() -> Judgement:
    return msgspec.json.decode(RECORDED.read_bytes(), type=Judgement)


def record(judgement: Judgement, path: Path = RECORDED) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(judgement), indent=1) + b"\n")


def all_runs() -> list[tuple[Corpus, Part, Run]]:
    return [(corpus, part, run) for corpus in CORPORA for part in PARTS for run in load(corpus, part)]


def sums(outcomes: Iterable[Outcome]) -> list[str]:
    """Of each part: how many have ended as they should."""
    right, of = Counter[tuple[Corpus, Part]](), Counter[tuple[Corpus, Part]]()
    for each in outcomes:
        of[each.corpus, each.part] += 1
        right[each.corpus, each.part] += each.right
    return [
        f"{corpus}, written {WRITTEN[part]}: {right[corpus, part]} of {of[corpus, part]}"
        for corpus, part in of
    ]


def page() -> str:
    """docs/reference/healing-runs.md."""
    judgement = recorded()
    found = {(each.corpus, each.run): each for each in judgement.outcomes}
    lines = [
        "# Runs that healing is judged by",
        "",
        "60 scripted steps that are stuck, and 60 that are healthy but odd, each run through a real queue",
        "and worker as a task of one step in a repository of a few files. A stuck one has to heal, or to end",
        "with the right class, within its budgets; a healthy one has to finish at the first go. A third of",
        "each was written before there was a detector and is left as it was; its figures are given apart.",
        "Time is compressed: 3 s of silence are allowed instead of 300 s, and 8 s of wall clock to what is",
        "stuck. A job has two attempts, its step the budgets that are the defaults.",
        "",
        f"The last recorded run, {judgement.at_once} at a time on {judgement.cores} cores, took "
        f"{judgement.seconds} s:",
        "",
        *(f"- {each}" for each in sums(judgement.outcomes)),
        "",
        "The scripts are in `tests/corpora`. `pytest -s tests/acceptance/test_stuck_runs.py` runs them again",
        "and prints how they ended; `python -m tests.corpora` records it for this page, which is written",
        "by `make generated`. *Attempts* are those of the step, in all attempts of the job.",
    ]
    for corpus in CORPORA:
        rows = [_row(part, run, found[corpus, run.name]) for each, part, run in all_runs() if each == corpus]
        lines += [
            "",
            f"## {TITLES[corpus]}",
            "",
            _cells("written", "kind", "run", "has to end", "ended", "attempts", "hard resets"),
            "|" + " --- |" * 7,
            *rows,
        ]
    return "\n".join(lines) + "\n"


def _row(part: Part, run: Run, outcome: Outcome) -> str:
    healthy = outcome.corpus == "healthy"
    meant = "finished" if healthy else "healed" if run.ends == "heals" else run.ends
    ended = outcome.ended if outcome.right else f"**{outcome.ended}**"
    when = WRITTEN[part].removesuffix(" the detectors")
    return _cells(when, run.kind, run.name, meant, ended, outcome.attempts, outcome.hard_resets)


def _cells(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
