"""`python -m services.worker.runtimes [--json]` is `sluicegate runtimes`: what this machine can run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import click
from msgspec import Struct

from services.worker.runtimes.catalogue import RUNTIMES
from services.worker.runtimes.readiness import credentials, lacking, program, version
from services.worker.runtimes.runtime import Runtime
from services.worker.task.environment import inherited
from sluicegate.cli import output
from sluicegate.errors import ConfigurationError
from sluicegate.settings import WorkerSettings, load


class Found(Struct, frozen=True, kw_only=True, rename="camel"):
    """One runtime on this machine. credentials: what lets it in, never the secret; empty when it needs none.

    offered: the worker's settings name it as a capability. lacking: why it cannot run; null when it can.
    """

    name: str
    program: str
    path: str | None
    version: str | None
    credentials: str | None
    offered: bool
    lacking: str | None


def look(settings: WorkerSettings, environ: Mapping[str, str]) -> list[Found]:
    """Every runtime, as a step would find it. All programs are asked for their versions at once."""

    def found(runtime: Runtime) -> Found:
        return Found(
            name=runtime.name,
            program=runtime.program,
            path=program(runtime, environ),
            version=version(runtime, environ),
            credentials=credentials(runtime, environ, settings.runtimes_signed_in),
            offered=runtime.name in settings.worker_capabilities,
            lacking=lacking(runtime, environ, settings.runtimes_signed_in),
        )

    with ThreadPoolExecutor(len(RUNTIMES)) as threads:
        return list(threads.map(found, RUNTIMES.values()))


def main(words: list[str]) -> int:
    try:
        settings = load(WorkerSettings)
    except ConfigurationError as error:
        click.echo(f"Error: {error.detail}", err=True)
        return 1
    items = look(settings, inherited(os.environ))
    wrong = [each for each in items if each.offered and each.lacking]
    if words == ["--json"]:
        output.document({"items": items})
    else:
        _show(items)
        for each in wrong:
            click.echo(f"Error: {each.lacking}", err=True)
    return 1 if wrong else 0


def _show(items: list[Found]) -> None:
    rows = [
        [
            each.name,
            "yes" if each.lacking is None else "no",
            "yes" if each.offered else "no",
            each.version or "",
            "none needed" if each.credentials == "" else each.credentials or "missing",
            each.path or "not found",
        ]
        for each in items
    ]
    output.table(("RUNTIME", "READY", "OFFERED", "VERSION", "KEY", "PROGRAM"), rows, empty="No runtimes.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
