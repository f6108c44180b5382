"""How a worker reaches the queue. The rest of the worker does not know which way it is.

A transport belongs to one event loop. The heartbeat thread has one of its own (`sibling`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol, Self

from sluicegate.errors import RequestError
from sluicegate.model import Event, Job, Policy
from sluicegate.store.claims import Lease, Opened, Renewal
from sluicegate.store.control_feed import Control
from sluicegate.store.endings import Ending
from sluicegate.store.events import Append
from sluicegate.store.shelves import Artifact, StepCheckpoint
from sluicegate.store.workers import Presence


class Transport(Protocol):
    """One worker's way to the queue. Errors are those of `sluicegate.errors`."""

    name: Literal["redis", "http"]

    def sibling(self) -> Self:
        """An unopened transport to the same queue, for another event loop."""

    async def open(self) -> None:
        """Connect. Raises StoreUnavailable, ConfigurationError."""

    async def close(self) -> None: ...

    async def claim(self, policy: Policy, *, lease_ms: int, limit: int, request_id: str) -> Opened:
        """Open attempts; repeat with the same request_id when the reply is lost."""

    async def wait_for_work(self, policy: Policy, timeout_seconds: float) -> bool:
        """True when there may be something to claim; False after the time."""

    def wake(self) -> None:
        """Let `wait_for_work` return at once."""

    async def renew(self, leases: Sequence[Lease]) -> Renewal:
        """Extend leases, learn what operators want."""

    async def settle(self, endings: Sequence[Ending]) -> list[RequestError | None]:
        """End attempts; safe to repeat."""

    async def append_events(self, appends: Sequence[Append]) -> list[Event | RequestError | None]: ...

    async def watch(self, deliver: Callable[[Control], None]) -> None:
        """Deliver control messages from now on, until `close`."""

    async def job(self, job_id: str) -> Job: ...

    async def save_step(self, job_id: str, token: int, checkpoint: StepCheckpoint) -> None: ...

    async def steps(self, job_id: str) -> list[StepCheckpoint]: ...

    async def state_fact(self, job_id: str, token: int, name: str, value: str) -> str: ...

    async def put_artifact(
        self, job_id: str, token: int, name: str, content: bytes | Path, content_type: str
    ) -> Artifact: ...

    async def get_artifact(self, artifact: Artifact, target: Path) -> None:
        """Copy an artifact's content into a file."""

    async def artifacts(self, job_id: str) -> list[Artifact]: ...

    async def announce(self, presence: Presence) -> None: ...

    async def depart(self) -> None: ...
