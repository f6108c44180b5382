"""`sluicegate drain-hook`: what runs before a worker is stopped, like a Kubernetes preStop hook."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sluicegate.cli import output

if TYPE_CHECKING:
    from sluicegate.settings import WorkerSettings
    from sluicegate.worker.local_workers import LocalWorker

LOOK_SECONDS: Final = 0.1
COUNT_SECONDS: Final = 2.0


@click.command("drain-hook")
@click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="S", help="Give up after so many seconds; else never."
)
@click.option("--pid", type=click.IntRange(1), metavar="PID", help="Which worker, where there are several.")
@click.option("--json", "as_json", is_flag=True, help="Print how it ended as an object.")
@click.option("--data-dir", metavar="DIR", help="The worker's, if it was told one.")
@click.option(
    "--config",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with the worker's settings; else ./sluicegate.toml if it is there.",
)
def drain_hook(
    timeout: float | None, pid: int | None, as_json: bool, file: Path | None, **flags: Any
) -> None:
    """Have the worker beside this take no more work, and wait until it has ended.

    Its running jobs go on to their own end, then it ends. Nothing is written anywhere: if this is killed, the
    worker drains all the same, and SIGTERM stops it as always. Run it on the worker's machine, in its
    container, as its user.

    Exit status: 0 when the worker has ended or there is none, 1 when jobs still ran at the timeout or the
    worker could not be told, 2 when it was used wrongly.

    \b
    Examples:
      sluicegate drain-hook --timeout 3600
      sluicegate drain-hook --pid 4711 --json
    """
    from sluicegate.settings import WorkerSettings, load
    from sluicegate.worker.local_workers import local_workers

    settings = load(WorkerSettings, config=file, flags=flags)
    found = [each for each in local_workers(settings.workspaces) if pid in (None, each.pid)]
    if len(found) > 1:
        pids = ", ".join(str(each.pid) for each in found)
        raise click.UsageError(f"several workers use {settings.workspaces}: name one by --pid ({pids})")
    began = time.monotonic()
    if found:
        found[0].ask_to_drain()
    drained = not found or _wait(found[0], settings, timeout)
    outcome = "drained" if found and drained else "timeout" if found else "no_worker"
    left = _running(settings) if outcome == "timeout" else 0
    seconds = time.monotonic() - began
    if as_json:
        worker = found[0].pid if found else None
        output.document({"outcome": outcome, "pid": worker, "seconds": round(seconds, 1), "running": left})
    else:
        click.echo(_sentence(outcome, seconds, left, settings))
    click.get_current_context().exit(1 if outcome == "timeout" else 0)


def _wait(worker: LocalWorker, settings: WorkerSettings, timeout: float | None) -> bool:
    """Whether it ended in time. What still runs is told on stderr whenever that changes."""
    deadline = None if timeout is None else time.monotonic() + timeout
    told, next_count = None, 0.0
    while worker.runs:
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            return False
        if now >= next_count:
            next_count = now + COUNT_SECONDS
            if (running := _running(settings)) not in (told, None):
                told = running
                click.echo(f"{_jobs(told)} still to end", err=True)
        time.sleep(LOOK_SECONDS)
    return True


def _running(settings: WorkerSettings) -> int | None:
    """How many jobs the worker runs, as its /metrics says; None when it does not."""
    address = f"http://{settings.metrics_host}:{settings.metrics_port}/metrics"
    try:
        with urllib.request.urlopen(address, timeout=1) as answer:
            lines = answer.read().decode().splitlines()
    except (OSError, ValueError):
        return None
    busy = (
        line.rpartition(" ")[2] for line in lines if line.startswith('sluicegate_worker_slots{state="busy"}')
    )
    return next((int(float(value)) for value in busy), None)


def _sentence(outcome: str, seconds: float, left: int | None, settings: WorkerSettings) -> str:
    if outcome == "drained":
        return f"Drained: the worker has ended after {seconds:.0f} s."
    if outcome == "no_worker":
        return f"No worker uses {settings.workspaces}: nothing to drain."
    return (
        f"Not drained within {seconds:.0f} s: {'jobs' if left is None else _jobs(left)} still to end. "
        "When the worker is stopped, they are handed back."
    )


def _jobs(number: int | None) -> str:
    return "1 job" if number == 1 else f"{number} jobs"
