"""`python -m benchmarks.measured_worker`: the worker service with handlers of no cost beside its own.

BENCH_WORKERS is the number of workers in the process, each with its own claim loop, connections and heartbeat
thread; all else comes from the settings of the service. With BENCH_UNWATCHED nothing is counted or timed,
so that the difference shows what it costs.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Final

from msgspec import structs
from prometheus_client import Counter, Gauge, Histogram

from services.worker.task.handler import run_task
from sluicegate import JobContext, Worker, service
from sluicegate.job_seconds import Seconds
from sluicegate.settings import WorkerSettings

TRAP: Final = """
import os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
path = sys.argv[1]
open(path + ".waits", "x").close()
signal.sigwait([signal.SIGINT])
at = time.monotonic_ns()
with open(path + ".writing", "x") as file:
    file.write(str(at))
os.rename(path + ".writing", path + ".signalled")
"""
"""Waits for SIGINT and notes the moment: an interpreter's own handler would run some time later."""


TREE: Final = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
told, tell = os.pipe()
def stand():
    os.write(tell, b"x")
    while True: signal.pause()
for child in range(3):
    if not os.fork():
        if child == 1: os.setsid()
        if child == 2: os.setpgid(0, 0)
        for _ in range(5):
            if not os.fork(): stand()
        stand()
if not os.fork(): stand()
for _ in range(19): os.read(told, 1)
open(sys.argv[1] + ".waits", "x").close()
stand()
"""
"""20 processes that end at SIGINT, some in sessions and groups of their own."""


async def noop(_: JobContext) -> None:
    return None


async def stamp(_: JobContext) -> str:
    """Both clocks at the handler's start, in ns: monotonic (on Linux one for all processes), the day's."""
    return f"{time.monotonic_ns()} {time.time_ns()}"


async def trap(ctx: JobContext) -> None:
    path = str(ctx.job.payload["path"])
    await ctx.run([sys.executable, "-I", "-S", "-c", TRAP, path])


async def tree(ctx: JobContext) -> None:
    await ctx.run([sys.executable, "-I", "-S", "-c", TREE, str(ctx.job.payload["path"])])


async def two_steps(ctx: JobContext) -> None:
    """Each step is a command; before each is a checkpoint."""
    for at, script in enumerate(ctx.job.payload["scripts"], 1):
        await ctx.checkpoint(step_id=f"step-{at}")
        await ctx.run(["bash", "-c", script], pty=False)


def count_nothing() -> None:
    """Metrics that cost a call and no more, labels and all."""
    for kind, verbs in (
        (Counter, ["inc"]),
        (Gauge, ["set", "inc", "dec"]),
        (Histogram, ["observe"]),
        (Seconds, ["observe"]),
    ):
        for verb in verbs:
            setattr(kind, verb, lambda *_: None)
        setattr(kind, "labels", lambda metric, *_: metric)  # noqa: B010 - a class is not to be assigned to
    setattr(Gauge, "set_function", lambda *_: None)  # noqa: B010


def make(settings: WorkerSettings, number: int) -> Worker:
    # A worker locks its folder, also against another one of its process.
    folder = settings.workspaces / str(number)
    own = structs.replace(settings, worker_id=f"bench-{os.getpid()}-{number}", worker_dir=folder)
    worker = Worker.from_settings(own)
    worker.handler("task")(run_task)
    for handler in (noop, stamp, trap, tree, two_steps):
        worker.handler(handler.__name__)(handler)
    return worker


async def serve(settings: WorkerSettings) -> None:
    workers = [make(settings, number) for number in range(int(os.environ["BENCH_WORKERS"]))]
    with service.metrics_page(settings, workers[0].metrics_registry):
        async with service.until_signalled() as stop, asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.run(handle_signals=False))
            await stop.wait()
            for worker in workers:
                worker.stop()


if __name__ == "__main__":
    if os.environ.get("BENCH_UNWATCHED"):
        count_nothing()
    sys.exit(service.run("worker", WorkerSettings, serve))
