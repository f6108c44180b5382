"""`sluicegate dev`: everything on this machine, on one port, until Ctrl-C; or the demo on top of it."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import uvloop
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from sluicegate import log
from sluicegate.dev.deployment import INTERRUPTED, Deployment, Running
from sluicegate.dev.own_secrets import ADMIN_TOKEN
from sluicegate.dev.plan import Plan, make_plan
from sluicegate.settings import ClientSettings, masked

DEFAULT_PORT: Final = 8080


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help=f"Port in front of all services; 0: any free one. [{DEFAULT_PORT}]",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Store, artifacts, workspaces; the same folder resumes. [./.sluicegate]",
)
@click.option("--no-worker", is_flag=True, help="Run no worker, for those who bring their own.")
@click.option(
    "--auth",
    type=click.Choice(["disabled", "required"]),
    help="`disabled`: open to all on this machine; `required`: tokens only, the first in DIR/admin-token.",
)
@click.option("--json-ready", is_flag=True, help="When all is ready print url, redisUrl and pid as JSON.")
@click.option("--demo", is_flag=True, help="Run a few tasks in a folder of their own, then end.")
def dev(port: int | None, data_dir: Path | None, **flags: Any) -> None:
    """Run everything on this machine: store, services and a worker, behind one port.

    Logs go to stderr. SLUICEGATE_REDIS_URL names a Redis or Valkey server to use instead of the embedded
    store. Ctrl-C ends everything in order; a second one ends it at once.

    \b
    Example:
      sluicegate dev --port 8080 --data-dir ./.sluicegate
    """
    given = {"data_dir": data_dir, "auth": flags["auth"]}
    json_ready: bool = flags["json_ready"]
    if flags["demo"]:
        if flags["auth"] == "required":
            raise click.UsageError("the demo has no token: leave out --auth required")
        if flags["no_worker"]:
            raise click.UsageError("the demo needs its worker: leave out --no-worker")
        raise SystemExit(run_demo(port or 0, given, json_ready=json_ready))
    chosen = DEFAULT_PORT if port is None else port
    plan = make_plan(port=chosen, worker=not flags["no_worker"], flags=given)
    raise SystemExit(run_dev(plan, json_ready=json_ready))


def run_dev(plan: Plan, *, json_ready: bool) -> int:
    """Everything until a signal; the exit status."""

    async def session(running: Running) -> int:
        announce(running, json_ready=json_ready)
        await asyncio.Event().wait()
        return 0

    async def run() -> int:
        # The services' own output goes to stderr with ours: stdout is for whoever started us.
        return await Deployment(plan, sys.stderr.fileno()).run(session)

    log.configure("dev", plan.server.log_level)
    return uvloop.run(run())


def run_demo(port: int, flags: dict[str, Any], *, json_ready: bool) -> int:
    """The demo in a folder of its own, or the given one; 0 only if all of it happened."""
    from sluicegate.dev.demo import ENVIRONMENT, Demo

    with tempfile.TemporaryDirectory(prefix="sluicegate-demo-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        given = {**flags, "data_dir": flags["data_dir"] or folder / "data"}
        plan = make_plan(port=port, worker=True, flags=given, extra=ENVIRONMENT)
        log_path = folder / "demo.log"

        # A signal before its end makes the deployment end well, but not the demo.
        status = INTERRUPTED

        async def session(running: Running) -> int:
            nonlocal status
            if json_ready:
                announce(running, json_ready=True)
            status = await Demo(running, folder / "scratch", log_path).run()
            return status

        with log_path.open("ab") as output, log_path.open("a") as own:

            async def run() -> int:
                return await Deployment(plan, output).run(session)

            log.configure("dev", plan.server.log_level, own)
            try:
                uvloop.run(run())
            finally:
                log.configure("dev", plan.server.log_level)
        return status


def announce(running: Running, *, json_ready: bool) -> None:
    """Tell whoever started it where it is: one line for programs, a panel for people."""
    if json_ready:
        ready = {"url": running.url, "redisUrl": running.redis_url, "pid": running.pid}
        print(msgspec.json.encode(ready).decode(), flush=True)
        return
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold")
    rows.add_column(overflow="fold")
    rows.add_row("dashboard", running.url)
    rows.add_row("API", f"{running.url}/api/queue   (metrics: /metrics, health: /readyz)")
    given = masked(running.plan.server)["redis_url"]
    rows.add_row("store", given if running.plan.redis_url else f"{running.redis_url}   (embedded)")
    rows.add_row("data", str(running.plan.data_dir))
    if running.plan.needs_admin:
        rows.add_row("admin", f"export SLUICEGATE_TOKEN=$(cat {running.plan.data_dir / ADMIN_TOKEN})")
    capabilities = running.plan.environment["SLUICEGATE_WORKER_CAPABILITIES"]
    rows.add_row("worker", f"can {capabilities}" if running.plan.worker else "none (--no-worker)")
    where = "" if running.url == ClientSettings().url else f" --url {running.url}"
    rows.add_row("look", f"sluicegate status{where}")
    rows.add_row("give work", f"sluicegate enqueue task.toml --follow{where}")
    rows.add_row("stop", "Ctrl-C")
    Console().print(Panel(rows, title="Sluicegate is ready", title_align="left", expand=False))
