"""The client's way over HTTP: for anyone with a token, from anywhere."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

from sluicegate.client import http_files
from sluicegate.client.answers import JobPage
from sluicegate.client.http_connection import HttpConnection
from sluicegate.client.transport import Change, Results
from sluicegate.errors import SluicegateError, from_problem
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

JOBS = "/api/queue/jobs"
DEAD = "/api/queue/dead-letters"
CHANGES: Final[dict[Change, str]] = {
    "cancel": f"{JOBS}/cancel",
    "retry": f"{JOBS}/retry",
    "redrive": f"{DEAD}/redrive",
    "purge": f"{DEAD}/purge",
}
RUNS = "/api/task-runs"
PAUSE = "/api/system/worker-pause"
PAUSES = "/api/system/pauses"
AUDIT = "/api/system/audit"
WORKERS = "/api/system/workers"
TOKENS = "/api/queue/workers/tokens"
T = TypeVar("T")


class _Item(Struct):
    """One entry of a batch's reply (70-9)."""

    status: int
    job: Job | None = None
    error: dict[str, object] | None = None

    def result(self) -> Job | SluicegateError:
        return self.job if self.job is not None else from_problem(self.error or {"status": self.status})


class _Items(Struct, Generic[T]):
    items: list[T]


class HttpTransport:
    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection
        self.open = connection.open
        self.close = connection.close

    async def enqueue(self, job: bytes) -> Job:
        # Repeatable: the client always sends an id or an idempotency key.
        return _read(await self._connection.call("POST", JOBS, body=job), Job)

    async def enqueue_many(self, jobs: Sequence[bytes]) -> Results:
        body = b'{"jobs":[' + b",".join(jobs) + b"]}"
        reply = await self._connection.call("POST", f"{JOBS}/batch", body=body)
        return [item.result() for item in _read(reply, _Items[_Item]).items]

    async def get(self, job_id: str) -> Job:
        return _read(await self._connection.call("GET", f"{JOBS}/{job_id}"), Job)

    async def why(self, job_id: str) -> Why:
        from sluicegate.operations.reasons import Why

        return _read(await self._connection.call("GET", f"{JOBS}/{job_id}/why"), Why)

    async def listing(self, query: Mapping[str, str]) -> JobPage:
        return _read(await self._connection.call("GET", JOBS, params=query), JobPage)

    async def cancel(self, job_id: str, reason: str | None) -> Job:
        body = msgspec.json.encode({} if reason is None else {"reason": reason})
        reply = await self._connection.call("POST", f"{JOBS}/{job_id}/cancel", body=body)
        return _read(reply, Job)

    async def retry(self, job_id: str, reason: str | None) -> Job:
        body = msgspec.json.encode({} if reason is None else {"reason": reason})
        return _read(await self._connection.call("POST", f"{JOBS}/{job_id}/retry", body=body), Job)

    async def control(self, job_id: str, call: bytes) -> Job:
        # Not repeatable: what the first call asked may have been done, or undone by another, in between.
        path = f"{RUNS}/{job_id}/control"
        return _read(await self._connection.call("POST", path, body=call, repeatable=False), Job)

    async def control_events(self, job_id: str, query: Mapping[str, str]) -> Listed[ControlEvent]:
        from sluicegate.store.controls import ControlEvent

        reply = await self._connection.call("GET", f"{RUNS}/{job_id}/control-events", params=query)
        return _read(reply, Listed[ControlEvent])

    async def message(self, job_id: str, call: bytes) -> ControlEvent:
        from sluicegate.store.controls import ControlEvent

        # Not repeatable: it would be said twice.
        path = f"{RUNS}/{job_id}/operator-messages"
        return _read(await self._connection.call("POST", path, body=call, repeatable=False), ControlEvent)

    async def live_session(self, job_id: str) -> SessionAnswer:
        from sluicegate.operations.live_sessions import SessionAnswer

        return _read(await self._connection.call("GET", f"{RUNS}/{job_id}/live-session"), SessionAnswer)

    async def open_live_session(self, job_id: str, call: bytes) -> SessionAnswer:
        from sluicegate.operations.live_sessions import SessionAnswer

        path = f"{RUNS}/{job_id}/live-session"
        return _read(await self._connection.call("POST", path, body=call), SessionAnswer)

    async def grant_write(self, job_id: str, call: bytes) -> GrantAnswer:
        from sluicegate.operations.live_sessions import GrantAnswer

        # Repeatable: a grant that was given is given again, for as long from then on.
        path = f"{RUNS}/{job_id}/live-session/grant-write"
        return _read(await self._connection.call("POST", path, body=call), GrantAnswer)

    def terminal(self, job_id: str) -> AbstractAsyncContextManager[RemoteTerminal]:
        from sluicegate.client.terminal import open_terminal

        return open_terminal(self._connection, job_id)

    async def revoke_live_session(self, job_id: str, call: bytes) -> SessionAnswer:
        from sluicegate.operations.live_sessions import SessionAnswer

        path = f"{RUNS}/{job_id}/live-session/revoke"
        return _read(await self._connection.call("POST", path, body=call), SessionAnswer)

    async def change_many(self, change: Change, call: bytes) -> ManyAnswer:
        # Repeatable: what a first call has changed is not changed again.
        return _read(await self._connection.call("POST", CHANGES[change], body=call), ManyAnswer)

    async def dead_letters(self, query: Mapping[str, str]) -> Listed[DeadLetter]:
        from sluicegate.store.dead_letters import DeadLetter

        return _read(await self._connection.call("GET", DEAD, params=query), Listed[DeadLetter])

    async def page(
        self, job_id: str, *, after: str | None, sort: Literal["asc", "desc"], limit: int
    ) -> list[Event]:
        params = {"sort": sort, "limit": str(limit)}
        if after is not None:
            params["after"] = after
        reply = await self._connection.call("GET", f"{JOBS}/{job_id}/events", params=params)
        return _read(reply, _Items[Event]).items

    async def follow(self, job_id: str, *, after: str | None) -> AsyncGenerator[Event, None]:
        stream = self._connection.stream(f"{JOBS}/{job_id}/events/stream", after=after)
        async with aclosing(stream) as messages:
            async for message in messages:
                if message.event == "job.event":
                    yield _read(message.data, Event)

    async def ended(self, job_id: str) -> Job:
        while True:
            async for _ in self._connection.stream(f"{JOBS}/{job_id}/events/stream", after="now"):
                pass
            if (job := await self.get(job_id)).terminal:  # else redriven in between: wait for its new end
                return job

    async def artifacts(self, job_id: str) -> list[Artifact]:
        return await http_files.listing(self._connection, f"{JOBS}/{job_id}/artifacts")

    async def download(self, artifact: Artifact, target: Path) -> None:
        await http_files.download(
            self._connection,
            f"{JOBS}/{artifact.job_id}/artifacts/{artifact.id}/download",
            target,
            digest=artifact.digest,
            retry_seconds=self._connection.retry_seconds,
        )

    async def pause_status(self) -> PauseStatus:
        return _pause_status(await self._connection.call("GET", PAUSE))

    async def change_pause(self, call: bytes) -> PauseStatus:
        # Not repeatable: the second call would be answered `pause_unchanged` though the first took effect.
        return _pause_status(await self._connection.call("POST", PAUSE, body=call, repeatable=False))

    async def pauses(self) -> Pauses:
        return _read(await self._connection.call("GET", PAUSES), Pauses)

    async def change_pauses(self, call: bytes) -> Pauses:
        return _read(await self._connection.call("POST", PAUSES, body=call, repeatable=False), Pauses)

    async def audit(self, query: Mapping[str, str]) -> Listed[AuditEntry]:
        from sluicegate.store.audit import AuditEntry

        return _read(await self._connection.call("GET", AUDIT, params=query), Listed[AuditEntry])

    async def workers(self) -> list[Presence]:
        from sluicegate.store.workers import Presence

        return _read(await self._connection.call("GET", WORKERS), _Items[Presence]).items

    async def create_worker_token(self, call: bytes) -> IssuedWorkerToken:
        # Not repeatable: each call makes a token, and one whose text was lost could be used by nobody.
        from sluicegate.operations.credentials import IssuedWorkerToken

        return _read(
            await self._connection.call("POST", TOKENS, body=call, repeatable=False), IssuedWorkerToken
        )

    async def worker_tokens(self) -> list[WorkerToken]:
        from sluicegate.operations.credentials import WorkerToken

        found: list[WorkerToken] = []
        params = {"limit": "200"}
        while True:
            page = _read(await self._connection.call("GET", TOKENS, params=params), Listed[WorkerToken])
            found += page.items
            if page.next_cursor is None:
                return found
            params["cursor"] = page.next_cursor

    async def revoke_worker_token(self, token_id: str) -> WorkerToken:
        from sluicegate.operations.credentials import WorkerToken

        return _read(await self._connection.call("POST", f"{TOKENS}/{token_id}/revoke"), WorkerToken)

    async def rotate_worker_token(self, token_id: str) -> IssuedWorkerToken:
        from sluicegate.operations.credentials import IssuedWorkerToken

        reply = await self._connection.call("POST", f"{TOKENS}/{token_id}/rotate", repeatable=False)
        return _read(reply, IssuedWorkerToken)


def _read(reply: bytes | str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(reply, type=kind)
    except msgspec.DecodeError as error:  # another program, or a version whose answers differ
        raise SluicegateError(f"the server's answer is not understood: {error}") from error


def _pause_status(reply: bytes) -> PauseStatus:
    # Imported on use: the rules of the pause bring the store's library with them.
    from sluicegate.operations.pause import PauseStatus

    return _read(reply, PauseStatus)
