"""Start one service: this process becomes it, with the flags as settings in its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

Command = Callable[..., Any]


def become(service: str, flags: dict[str, Any], *words: str) -> NoReturn:
    """Run the module `services.<service>` in place of this process: signals and exit status are its own.

    flags: variable without the prefix -> value; None means not given, and the setting stays as it is.
    words: what the module is given as arguments.
    """
    given = {f"SLUICEGATE_{name.upper()}": str(value) for name, value in flags.items() if value is not None}
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: a folder `services` where the command was typed is someone else's.
    command = [sys.executable, "-P", "-m", f"services.{service}", *words]
    os.execve(sys.executable, command, os.environ | given)  # noqa: S606


def shared(command: Command) -> Command:
    """The flags that every service takes."""
    for option in (
        click.option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"]),
            help="Lowest level that is logged.",
        ),
        click.option("--data-dir", metavar="DIR", help="Artifacts and other files."),
        click.option("--redis-url", metavar="URL", help="The store: redis://, rediss:// or unix://."),
        click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="TOML file with settings; else ./sluicegate.toml if it is there.",
        ),
    ):
        command = option(command)
    return command


def listening(command: Command) -> Command:
    """The flags of a service with an HTTP address."""
    port = click.IntRange(0, 65535)
    command = click.option("--port", type=port, metavar="PORT", help="Port to listen on; 0: any free one.")(
        command
    )
    return click.option("--host", metavar="ADDRESS", help="Address to listen on.")(command)


def measured(command: Command) -> Command:
    """The flags of a service that listens for nothing but its metrics."""
    port = click.IntRange(0, 65535)
    command = click.option(
        "--metrics-port", type=port, metavar="PORT", help="Port of /metrics; 0: any free one."
    )(command)
    return click.option("--metrics-host", metavar="ADDRESS", help="Address of /metrics.")(command)


@click.command()
@listening
@shared
def api(port: int | None, **flags: Any) -> None:
    """Start queue_api: jobs, claims, events, artifacts over HTTP.

    Every flag is also a setting (SLUICEGATE_...); flags win.

    \b
    Example:
      sluicegate api --port 8080 --redis-url redis://127.0.0.1:6379/0
    """
    become("queue_api", {**flags, "queue_api_port": port})


@click.command()
@listening
@shared
def control(port: int | None, **flags: Any) -> None:
    """Start control: pause and resume, audit, the dashboard.

    \b
    Example:
      sluicegate control --port 8081 --redis-url redis://127.0.0.1:6379/0
    """
    become("control", {**flags, "control_port": port})


@click.command()
@click.option(
    "--transport", type=click.Choice(["redis", "http"]), help="Else http when a URL is given, else redis."
)
@click.option("--url", metavar="URL", help="The deployment, for a worker that reaches only its API.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="That worker's token; else SLUICEGATE_TOKEN.",
)
@click.option("--worker-id", metavar="NAME", help="Name of this worker; else host name and process id.")
@click.option("--concurrency", type=click.IntRange(1, 10_000), metavar="N", help="Jobs at the same time.")
@click.option("--capabilities", metavar="LIST", help="What this worker can do, like `git,shell`.")
@click.option("--types", metavar="LIST", help="Job types it takes, like `task,noop`; else all it can run.")
@click.option("--lease-seconds", type=click.FloatRange(1, 3600), metavar="S", help="Length of a lease.")
@measured
@shared
def worker(
    transport: str | None,
    concurrency: int | None,
    capabilities: str | None,
    types: str | None,
    lease_seconds: float | None,
    **flags: Any,
) -> None:
    """Start a worker: claims jobs and runs them.

    SIGTERM lets running jobs end or hands them back unharmed; a second one ends it at once.

    \b
    Examples:
      sluicegate worker --concurrency 8 --capabilities git,shell
      sluicegate worker --url https://queue.example.com --token-file worker.token
    """
    own = {
        "worker_transport": transport,
        "worker_concurrency": concurrency,
        "worker_capabilities": capabilities,
        "worker_types": types,
        "worker_lease_seconds": lease_seconds,
    }
    become("worker", {**flags, **own})


@click.command()
@click.option("--interval-ms", type=click.IntRange(1), metavar="MS", help="Time between two passes.")
@measured
@shared
def sweeper(interval_ms: int | None, **flags: Any) -> None:
    """Start a sweeper: due retries, expired leases, retention. Two share the work.

    \b
    Example:
      sluicegate sweeper --redis-url redis://127.0.0.1:6379/0
    """
    become("sweeper", {**flags, "sweeper_interval_ms": interval_ms})
