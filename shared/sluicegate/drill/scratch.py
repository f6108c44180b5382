"""The deployment that is drilled: made for it in a folder, of loopback addresses, and gone with it.

It takes no address of a store: settings of the environment and of a file, which may name one that somebody
needs, are put aside for as long as it lives.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from msgspec import structs

from sluicegate.dev.embedded_store import LOOPBACK, free_port
from sluicegate.dev.plan import Plan, make_plan
from sluicegate.dev.service_process import Service
from sluicegate.dev.supervisor import CONTROL, QUEUE_API, SWEEPER, WORKER
from sluicegate.drill.worker import EVIDENCE
from sluicegate.settings import PREFIX

SLOTS: Final = 8
SHUTDOWN_SECONDS: Final = 2.0
STOP_SECONDS: Final = 10.0
MARK: Final = "DRILL"
"""The variable that marks all processes of one drill."""

SETTINGS: Final = {
    # What was acknowledged is on disk: with `everysec` a server that is killed while its disk is slow loses
    # the last second or two, which no drill could tell from a fault of the queue.
    "DURABILITY": "local",
    "RETRY_BACKOFF_BASE_SECONDS": "0.1",
    "RETRY_BACKOFF_FACTOR": "1",
    "REDIS_TIMEOUT_MS": "1000",
    "STOP_SIGINT_GRACE_SECONDS": "0.5",
    "STOP_SIGTERM_GRACE_SECONDS": "0.5",
    "WORKER_SHUTDOWN_SECONDS": str(SHUTDOWN_SECONDS),
    "WORKER_CONCURRENCY": str(SLOTS),
}
"""What differs from the defaults: times in which faults follow each other faster than in life."""


@contextlib.contextmanager
def no_settings(folder: Path) -> Iterator[None]:
    """Whoever starts a drill has settings for a deployment of theirs: no process of the drill sees them."""
    aside = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    empty = folder / "no-settings.toml"
    empty.touch()
    for name in aside:
        del os.environ[name]
    os.environ[f"{PREFIX}CONFIG"] = str(empty)
    try:
        yield
    finally:
        del os.environ[f"{PREFIX}CONFIG"]
        os.environ.update(aside)


def scratch_plan(folder: Path, lease_seconds: float) -> Plan:
    """An embedded store and services, in this folder. Only inside `no_settings`."""
    chosen = {f"{PREFIX}{name}": value for name, value in SETTINGS.items()}
    chosen[f"{PREFIX}WORKER_LEASE_SECONDS"] = str(lease_seconds)
    plan = make_plan(port=free_port(), worker=False, flags={"data_dir": folder}, extra=chosen)
    if plan.redis_url is not None:
        raise RuntimeError("a drill runs on a store of its own")
    return plan


def scratch_services(plan: Plan, workers: int, evidence: Path, store_port: int | None) -> list[Service]:
    """The services and workers, every second worker through the API. store_port: in place of the store's."""
    common = {MARK: mark(plan)}
    if store_port is not None:
        common[f"{PREFIX}REDIS_URL"] = f"redis://{LOOPBACK}:{store_port}/0"
    return [
        *(structs.replace(each, variables=common) for each in (QUEUE_API, CONTROL, SWEEPER)),
        *(_worker(number, plan, {**common, EVIDENCE: str(evidence)}) for number in range(workers)),
    ]


def mark(plan: Plan) -> str:
    return str(plan.data_dir)


def _worker(number: int, plan: Plan, common: Mapping[str, str]) -> Service:
    name = f"worker-{number + 1}"
    variables = {**common, f"{PREFIX}WORKER_ID": name}
    if number % 2:
        variables[f"{PREFIX}WORKER_TRANSPORT"] = "http"
        variables[f"{PREFIX}URL"] = f"http://{LOOPBACK}:{plan.port}"
    return structs.replace(
        WORKER, name=name, module="sluicegate.drill.worker", stop_seconds=STOP_SECONDS, variables=variables
    )
