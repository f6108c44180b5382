"""What both ways to a deployment can do. `Client` is written against this and nothing else."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from sluicegate.client.answers import JobPage
from sluicegate.errors import SluicegateError
from sluicegate.model import Event, Job, Pauses
from sluicegate.operations.answers import Listed, ManyAnswer

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from sluicegate.client.terminal import RemoteTerminal
    from sluicegate.operations.credentials import IssuedWorkerToken, WorkerToken
    from sluicegate.operations.live_sessions import GrantAnswer, SessionAnswer
    from sluicegate.operations.pause import PauseStatus
    from sluicegate.operations.reasons import Why
    from sluicegate.store.audit import AuditEntry
    from sluicegate.store.controls import ControlEvent
    from sluicegate.store.dead_letters import DeadLetter
    from sluicegate.store.shelves import Artifact
    from sluicegate.store.workers import Presence

Change = Literal["cancel", "retry", "redrive", "purge"]
Results = list[Job | SluicegateError]


class Transport(Protocol):
    """Every method raises SluicegateError: of the same class, code and path on each transport.

    Jobs and pause calls are handed over as the JSON of the wire, not yet checked: the deployment's rules
    decide about them, wherever they run.
    """

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def enqueue(self, job: bytes) -> Job: ...
    async def enqueue_many(self, jobs: Sequence[bytes]) -> Results: ...
    async def get(self, job_id: str) -> Job: ...

    async def why(self, job_id: str) -> Why: ...

    async def listing(self, query: Mapping[str, str]) -> JobPage:
        """query: the parameters of the listing as REST has them."""
        ...

    async def cancel(self, job_id: str, reason: str | None) -> Job: ...
    async def retry(self, job_id: str, reason: str | None) -> Job: ...

    async def control(self, job_id: str, call: bytes) -> Job:
        """call: the JSON of a ControlCall."""
        ...

    async def control_events(self, job_id: str, query: Mapping[str, str]) -> Listed[ControlEvent]: ...

    async def message(self, job_id: str, call: bytes) -> ControlEvent:
        """call: the JSON of a MessageCall; those below: of the call of that name."""
        ...

    async def live_session(self, job_id: str) -> SessionAnswer: ...
    async def open_live_session(self, job_id: str, call: bytes) -> SessionAnswer: ...
    async def grant_write(self, job_id: str, call: bytes) -> GrantAnswer: ...
    def terminal(self, job_id: str) -> AbstractAsyncContextManager[RemoteTerminal]:
        """Raises ConfigurationError where there is no way for it."""

    async def revoke_live_session(self, job_id: str, call: bytes) -> SessionAnswer: ...

    async def change_many(self, change: Change, call: bytes) -> ManyAnswer:
        """call: the JSON of a ManyCall."""
        ...

    async def dead_letters(self, query: Mapping[str, str]) -> Listed[DeadLetter]:
        """query: as in `listing`."""
        ...

    async def page(
        self, job_id: str, *, after: str | None, sort: Literal["asc", "desc"], limit: int
    ) -> list[Event]:
        """Events of a job; `after` is exclusive: an event id or a time."""
        ...

    def follow(self, job_id: str, *, after: str | None) -> AsyncGenerator[Event, None]:
        """Events after `after` and then as they come; ends when the job has ended and all were given."""
        ...

    async def ended(self, job_id: str) -> Job:
        """The job, as soon as it is in a terminal state; learnt by push."""
        ...

    async def artifacts(self, job_id: str) -> list[Artifact]: ...

    async def download(self, artifact: Artifact, target: Path) -> None:
        """Write the content into a new file, and check it."""
        ...

    async def pause_status(self) -> PauseStatus: ...
    async def change_pause(self, call: bytes) -> PauseStatus: ...
    async def pauses(self) -> Pauses: ...
    async def change_pauses(self, call: bytes) -> Pauses: ...

    async def audit(self, query: Mapping[str, str]) -> Listed[AuditEntry]:
        """query: as in `listing`."""
        ...

    async def workers(self) -> list[Presence]: ...

    async def create_worker_token(self, call: bytes) -> IssuedWorkerToken: ...
    async def worker_tokens(self) -> list[WorkerToken]: ...
    async def revoke_worker_token(self, token_id: str) -> WorkerToken: ...
    async def rotate_worker_token(self, token_id: str) -> IssuedWorkerToken: ...
