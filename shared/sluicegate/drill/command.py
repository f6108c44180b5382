"""`sluicegate drill`: break a deployment of its own in every way it promises to bear, and judge it."""

from __future__ import annotations

import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import uvloop
from rich.console import Console

from sluicegate import log
from sluicegate.cli import output
from sluicegate.cli.durations import SECONDS
from sluicegate.dev.demo.screen import Screen
from sluicegate.drill import report as reports
from sluicegate.drill.drills import DRILLS, Drill, Size, sizes
from sluicegate.drill.report import Report
from sluicegate.drill.run import DrillRun, Outcome
from sluicegate.drill.scratch import no_settings
from sluicegate.drill.screen import shown

ALL: Final = "all"
JOBS: Final = 10_500
KILLS: Final = 100
LIMIT_SECONDS: Final = 590.0
QUICK_JOBS: Final = 800
QUICK_KILLS: Final = 8
CALM_SECONDS: Final = 4.0
QUICK_CALM_SECONDS: Final = 1.5
INTERRUPTED: Final = 128 + signal.SIGINT


@click.command()
@click.argument("which", type=click.Choice([ALL, *DRILLS]), default=ALL)
@click.option("--jobs", type=click.IntRange(10, 1_000_000), metavar="N", help=f"Jobs in all. [{JOBS}]")
@click.option(
    "--kills",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help=f"Kills of kill9; the others make a tenth as many faults. [{KILLS}]",
)
@click.option(
    "--workers",
    type=click.IntRange(2, 64),
    default=4,
    show_default=True,
    metavar="N",
    help="Worker processes.",
)
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Repeats the choices of an earlier run.")
@click.option(
    "--limit",
    type=SECONDS,
    default=LIMIT_SECONDS,
    metavar="TIME",
    help="What takes longer has failed. [590s]",
)
@click.option("--quick", is_flag=True, help=f"A first look: {QUICK_JOBS} jobs, {QUICK_KILLS} kills.")
@click.option(
    "--report",
    "path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write the report there, as Markdown.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--keep", is_flag=True, help="Keep the folder with logs and evidence when a promise was broken."
)
def drill(which: str, path: Path | None, as_json: bool, **given: Any) -> None:
    """Kill, freeze, restart and slow down a deployment under load, and judge what comes of it.

    \b
    kill9          kill -9 of workers, queue_api, control and the sweeper
    freeze         workers stand still for longer than their leases
    store-restart  the store is killed, or stopped, and comes back
    slow-store     the way to the store is slow, stalls, and breaks

    It starts that deployment itself, in a temporary folder, and removes it; no other one is touched, and
    settings of the environment or a file do not count. Judged by what producer and workers saw themselves:
    no acknowledged job lost, no completion accepted twice, no process left. Exit status: 0 when every promise
    was kept, 1 when any was not.

    \b
    Examples:
      sluicegate drill --report drill.md
      sluicegate drill kill9 --quick
    """
    chosen = list(DRILLS.values()) if which == ALL else [DRILLS[which]]
    if path is not None and not path.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent}", param_hint="'--report'")
    screen = Screen(Console(highlight=False, soft_wrap=True, stderr=as_json))
    found = _drilled(chosen, screen, given)
    if path is not None:
        path.write_text(reports.markdown(found))
    if as_json:
        output.document(reports.document(found))
    else:
        screen.chapter(found.verdict)
    raise SystemExit(INTERRUPTED if found.interrupted else 0 if found.held else 1)


def _drilled(drills: Sequence[Drill], screen: Screen, given: dict[str, Any]) -> Report:
    """All of them, one after another, in a folder that is gone afterwards unless it is to be kept."""
    seed = secrets.randbelow(2**32) if given["seed"] is None else given["seed"]
    screen.line("", f"seed {seed}; every choice is made anew with --seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix="sluicegate-drill-"))
    report = None
    try:
        with no_settings(folder), (folder / "drill.log").open("a") as own:
            log.configure("drill", "info", own)
            report = uvloop.run(_one_by_one(drills, screen, folder, seed, given))
    finally:
        log.configure("drill", "warning")
        if given["keep"] and not (report is not None and report.held):
            screen.line("", f"logs and evidence are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return report


async def _one_by_one(
    drills: Sequence[Drill], screen: Screen, folder: Path, seed: int, given: dict[str, Any]
) -> Report:
    began = time.monotonic()
    outcomes: list[Outcome] = []
    interrupted = False
    for drill, size in zip(drills, _sizes(drills, given), strict=True):
        with shown(drill, size, screen) as progress:
            run = DrillRun(drill, size, seed, folder / drill.name, progress, began + given["limit"])
            outcome = await run.run()
        if outcome is None:
            interrupted = True
            break
        _tell(outcome, screen)
        outcomes.append(outcome)
    return Report(
        seed=seed,
        workers=given["workers"],
        outcomes=outcomes,
        seconds=round(time.monotonic() - began, 1),
        interrupted=interrupted,
    )


def _sizes(drills: Sequence[Drill], given: dict[str, Any]) -> list[Size]:
    jobs, kills, calm = JOBS, KILLS, CALM_SECONDS
    if given["quick"]:
        jobs, kills, calm = QUICK_JOBS, QUICK_KILLS, QUICK_CALM_SECONDS
    return sizes(
        drills,
        jobs=given["jobs"] or jobs,
        kills=given["kills"] or kills,
        workers=given["workers"],
        calm_seconds=calm,
    )


def _tell(outcome: Outcome, screen: Screen) -> None:
    """What was broken, or that nothing was."""
    if outcome.held:
        again = outcome.recovery
        told = (
            "" if again is None else f"; work went on after {again.p50:.1f} s, {again.longest:.1f} s at most"
        )
        screen.fact(
            f"{len(outcome.checks)} promises kept", f"{outcome.jobs:,} jobs in {outcome.seconds:.0f} s{told}"
        )
    for check in outcome.checks:
        if not check.held:
            screen.line("BROKEN", f"{check.promise}: {reports.examples(check)}", style="bold red")
