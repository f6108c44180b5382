"""`python -m benchmarks`: measure the queue here; exit status 0, 1 (not all could be measured), 2 (usage)."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Final

import click
import uvloop
from rich.console import Console

from benchmarks import (
    artifact,
    cancel,
    cancel_ends,
    ceiling,
    claim_cost,
    dashboards,
    detection,
    drain,
    enqueue,
    flow,
    hard_reset,
    idle,
    long_polls,
    machine,
    memory,
    observed,
    over_http,
    pause,
    pause_seen,
    pickup,
    quiesce,
    redact,
    scrape,
    step_overhead,
    streams,
    terminal,
    traced,
)  # fmt: skip
from benchmarks.report import Measured, Report
from benchmarks.subject import Round, Scale, Subject, Unmeasured, figures
from sluicegate.errors import SluicegateError

SUBJECTS: Final = (
    ceiling.SUBJECT, enqueue.SUBJECT, drain.SUBJECT, observed.SUBJECT, traced.SUBJECT, *pickup.SUBJECTS,
    *cancel.SUBJECTS, *cancel_ends.SUBJECTS, *pause.SUBJECTS, pause_seen.SUBJECT, *quiesce.SUBJECTS,
    *over_http.SUBJECTS, streams.SUBJECT, long_polls.SUBJECT,
    artifact.SUBJECT, idle.SUBJECT, memory.SUBJECT,
    claim_cost.SUBJECT, scrape.SUBJECT, flow.SUBJECT, redact.SUBJECT,
    *step_overhead.SUBJECTS, hard_reset.SUBJECT, detection.SUBJECT,
    dashboards.SUBJECT, *terminal.SUBJECTS,
)  # fmt: skip
RUNS: Final = 5
QUICK_RUNS: Final = 2
LIMIT_SECONDS: Final = 590.0
"""For all of it. What does not fit is reported as not measured."""
INTERRUPTED: Final = 128 + signal.SIGINT


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", multiple=True, metavar="NAME", help="Measure this subject; may be repeated.")
@click.option("--runs", type=click.IntRange(1, 50), help=f"Measured runs of each, {RUNS} by default.")
@click.option(
    "--quick", is_flag=True, help=f"Fewer jobs, {QUICK_RUNS} runs, no warm-up: to see that it works."
)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write JSON too.")
@click.option("--list", "listed", is_flag=True, help="Name the subjects.")
def main(only: tuple[str, ...], runs: int | None, quick: bool, json_path: Path | None, listed: bool) -> None:
    """Measure the queue on this machine, with a store and processes of its own, on loopback."""
    if listed:
        for each in SUBJECTS:
            click.echo(f"{each.name:<13} {each.says}{' (only when named)' if each.long else ''}")
        return
    scale = Scale(runs or (QUICK_RUNS if quick else RUNS), quick)
    try:
        report = uvloop.run(_measure_all(_chosen(only), scale))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("Interrupted; everything it started has ended.", err=True)
        sys.exit(INTERRUPTED)
    except SluicegateError as error:
        raise click.ClickException(error.detail) from error
    report.show()
    if json_path is not None:
        report.save(json_path)
    sys.exit(0 if report.complete else 1)


def _chosen(only: Sequence[str]) -> list[Subject]:
    names = [each.name for each in SUBJECTS]
    if unknown := sorted(set(only) - set(names)):
        raise click.UsageError(f"no subject {', '.join(unknown)}; there are {', '.join(names)}")
    return [each for each in SUBJECTS if (each.name in only if only else not each.long)]


async def _measure_all(subjects: Sequence[Subject], scale: Scale) -> Report:
    task = asyncio.current_task()
    assert task is not None
    # As Ctrl-C does: the blocks that started something end it.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    deadline = time.monotonic() + LIMIT_SECONDS
    measured = []
    where = machine.look()
    for subject in subjects:
        with _progress(subject):
            left = max(0.0, deadline - time.monotonic())
            measured.append(await _measure(subject, scale, min(subject.limit_seconds, left)))
    return Report(machine=where, scale=scale, measured=measured)


async def _measure(subject: Subject, scale: Scale, limit_seconds: float) -> Measured:
    """What could be measured; a failure stops this subject only."""
    started = time.monotonic()
    rounds: list[Round] = []
    failure = None
    try:
        async with asyncio.timeout(limit_seconds), aclosing(subject.rounds(scale)) as yielded:
            rounds.extend([each async for each in yielded])
    except TimeoutError:
        failure = f"not within {limit_seconds:.0f} s"
    except (Unmeasured, SluicegateError, OSError) as error:
        failure = str(error) or type(error).__name__
    return Measured(
        subject=subject,
        figures=[] if failure else figures(rounds[scale.warm_up :]),
        seconds=time.monotonic() - started,
        failure=failure,
    )


@contextmanager
def _progress(subject: Subject) -> Iterator[None]:
    """On stderr, so that stdout is the report alone."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with console.status(f"{subject.name}: {subject.says}"):
            yield
    else:
        console.print(f"measuring {subject.name}")
        yield


if __name__ == "__main__":
    main()
