"""The client's way straight to the store: the services' own rules, run in this process."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from sluicegate import tracing
from sluicegate.artifacts import open_store
from sluicegate.client.answers import JobPage
from sluicegate.client.patience import Patience
from sluicegate.client.transport import Change, Results
from sluicegate.errors import ConfigurationError, OutcomeUnknown, RequestError, StoreFault, StoreUnavailable
from sluicegate.model import Event, Job, NewJob, Pauses
from sluicegate.operations import (
    audit,
    credentials,
    dead_jobs,
    jobs,
    live_sessions,
    many,
    messages,
    narrow_pauses,
    pause,
    retries,
    run_control,
    why,
)
from sluicegate.operations.answers import Listed, ManyAnswer
from sluicegate.operations.calls import (
    AuditQuery,
    CancelCall,
    DeadLettersQuery,
    EventsQuery,
    JobsQuery,
    ManyCall,
    PageQuery,
    RetryCall,
)
from sluicegate.operations.credentials import IssuedWorkerToken, WorkerToken, WorkerTokenCall
from sluicegate.operations.live_sessions import CreateCall, GrantAnswer, GrantCall, RevokeCall, SessionAnswer
from sluicegate.operations.messages import MessageCall
from sluicegate.operations.pause_fields import refusing
from sluicegate.operations.reasons import Why
from sluicegate.settings import Settings
from sluicegate.store import Store, cancellation, events, shelves, workers
from sluicegate.store import jobs as job_records
from sluicegate.store.audit import AuditEntry
from sluicegate.store.controls import ControlEvent
from sluicegate.store.dead_letters import DeadLetter
from sluicegate.store.notices import Notices
from sluicegate.store.shelves import Artifact
from sluicegate.store.workers import Presence
from sluicegate.validation import convert, convert_text, decode

if TYPE_CHECKING:
    from sluicegate.client.terminal import RemoteTerminal

LOOK_SECONDS: Final = 2.0
"""How often a job is looked at though no notice of it came: notices may be lost with a connection."""
EVENTS_PER_READ: Final = 500


class TrustedTransport:
    def __init__(self, settings: Settings, *, reconnect_seconds: float) -> None:
        self._settings = settings
        self._reconnect_seconds = reconnect_seconds
        self._files = open_store(settings)
        self._opened: tuple[Store, Notices] | None = None

    async def open(self) -> None:
        store = await Store.open(self._settings)
        self._opened = store, Notices(store)

    async def close(self) -> None:
        if self._opened is not None:
            store, notices = self._opened
            self._opened = None
            await notices.close()
            await store.close()

    async def enqueue(self, job: bytes) -> Job:
        return (await jobs.enqueue(self._store, decode(job, NewJob), actor=self._actor)).job

    async def enqueue_many(self, jobs_: Sequence[bytes]) -> Results:
        documents = [msgspec.json.decode(job) for job in jobs_]
        outcomes = await jobs.enqueue_many(self._store, documents, actor=self._actor, trace=tracing.current())
        return [each if isinstance(each, RequestError) else each.job for each in outcomes]

    async def get(self, job_id: str) -> Job:
        return await job_records.get(self._store, job_id)

    async def why(self, job_id: str) -> Why:
        return await why.of(self._store, await job_records.get(self._store, job_id))

    async def listing(self, query: Mapping[str, str]) -> JobPage:
        wanted = convert_text(query, JobsQuery)
        filter = jobs.job_filter(wanted, self._settings)
        found, cursor = await job_records.listing(
            self._store, filter, cursor=wanted.cursor, limit=wanted.limit
        )
        return JobPage(items=found, next_cursor=cursor)

    async def cancel(self, job_id: str, reason: str | None) -> Job:
        call = convert({"reason": reason}, CancelCall)
        return await cancellation.cancel(self._store, job_id, actor=self._actor, reason=call.reason)

    async def retry(self, job_id: str, reason: str | None) -> Job:
        call = convert({"reason": reason}, RetryCall)
        return (await retries.retry(self._store, job_id, actor=self._actor, reason=call.reason)).job

    async def control(self, job_id: str, call: bytes) -> Job:
        return await run_control.control(
            self._store, job_id, decode(call, run_control.ControlCall), actor=self._actor
        )

    async def control_events(self, job_id: str, query: Mapping[str, str]) -> Listed[ControlEvent]:
        return await run_control.events(self._store, job_id, convert_text(query, PageQuery))

    async def message(self, job_id: str, call: bytes) -> ControlEvent:
        return await messages.send(self._store, job_id, decode(call, MessageCall), actor=self._actor)

    async def live_session(self, job_id: str) -> SessionAnswer:
        return await live_sessions.get(self._store, job_id)

    async def open_live_session(self, job_id: str, call: bytes) -> SessionAnswer:
        wanted = decode(call, CreateCall)
        return (await live_sessions.create(self._store, job_id, wanted, actor=self._actor))[0]

    async def grant_write(self, job_id: str, call: bytes) -> GrantAnswer:
        return await live_sessions.grant(self._store, job_id, decode(call, GrantCall), actor=self._actor)

    def terminal(self, job_id: str) -> AbstractAsyncContextManager[RemoteTerminal]:
        raise ConfigurationError("the terminal of a run comes from the API: use Client.from_url")

    async def revoke_live_session(self, job_id: str, call: bytes) -> SessionAnswer:
        return await live_sessions.revoke(self._store, job_id, decode(call, RevokeCall), actor=self._actor)

    async def change_many(self, change: Change, call: bytes) -> ManyAnswer:
        wanted = decode(call, ManyCall)
        match change:
            case "cancel":
                return await many.cancel(self._store, wanted, actor=self._actor)
            case "retry":
                return await many.retry(self._store, wanted, actor=self._actor)
            case "redrive":
                return await many.redrive(self._store, wanted, actor=self._actor)
        return await many.purge_dead(self._store, self._files, wanted, actor=self._actor)

    async def dead_letters(self, query: Mapping[str, str]) -> Listed[DeadLetter]:
        return await dead_jobs.page(self._store, convert_text(query, DeadLettersQuery))

    async def page(
        self, job_id: str, *, after: str | None, sort: Literal["asc", "desc"], limit: int
    ) -> list[Event]:
        wanted = convert({"after": after, "sort": sort, "limit": limit}, EventsQuery)
        return await events.page(
            self._store, job_id, after=wanted.after, sort=wanted.sort, limit=wanted.limit
        )

    async def follow(self, job_id: str, *, after: str | None) -> AsyncGenerator[Event, None]:
        patience = Patience(self._reconnect_seconds)
        while True:
            try:
                async with self._notices.subscribe(job_id) as changes:
                    while True:
                        # The job before its events: one that has ended has all of them by then.
                        job = await job_records.get(self._store, job_id)
                        while found := await events.page(
                            self._store, job_id, after=after, limit=EVENTS_PER_READ
                        ):
                            for event in found:
                                after = event.id
                                yield event
                        patience.regained()
                        if job.terminal:
                            return
                        await changes.wait(LOOK_SECONDS)
            except (StoreUnavailable, OutcomeUnknown) as error:
                await patience.wait(error)

    async def ended(self, job_id: str) -> Job:
        patience = Patience(self._reconnect_seconds)
        while True:
            try:
                async with self._notices.subscribe(job_id) as changes:
                    while not (job := await job_records.get(self._store, job_id)).terminal:
                        patience.regained()
                        await changes.wait(LOOK_SECONDS)
                    return job
            except (StoreUnavailable, OutcomeUnknown) as error:
                await patience.wait(error)

    async def artifacts(self, job_id: str) -> list[Artifact]:
        await job_records.get(self._store, job_id)
        return await shelves.artifacts(self._store, job_id)

    async def download(self, artifact: Artifact, target: Path) -> None:
        found = hashlib.sha256()
        with target.open("xb") as file:
            async for chunk in self._files.read(artifact.job_id, artifact.id, artifact.digest):
                found.update(chunk)
                await asyncio.to_thread(file.write, chunk)
        if f"sha256:{found.hexdigest()}" != artifact.digest:
            raise StoreFault(f"the content of {artifact.name} is not what was stored")

    async def pause_status(self) -> pause.PauseStatus:
        return await pause.status(self._store)

    async def change_pause(self, call: bytes) -> pause.PauseStatus:
        with refusing(pause.FIELDS):
            change = decode(call, pause.PauseCall)
        return await pause.change(self._store, change, actor=self._actor)

    async def pauses(self) -> Pauses:
        return await narrow_pauses.listing(self._store)

    async def change_pauses(self, call: bytes) -> Pauses:
        with refusing(narrow_pauses.FIELDS):
            change = decode(call, narrow_pauses.NarrowPauseCall)
        return await narrow_pauses.change(self._store, change, actor=self._actor)

    async def audit(self, query: Mapping[str, str]) -> Listed[AuditEntry]:
        return await audit.page(self._store, convert_text(query, AuditQuery))

    async def workers(self) -> list[Presence]:
        return await workers.listing(self._store)

    async def create_worker_token(self, call: bytes) -> IssuedWorkerToken:
        wanted = decode(call, WorkerTokenCall)
        return await credentials.create_worker_token(self._store, wanted, actor=self._actor)

    async def worker_tokens(self) -> list[WorkerToken]:
        return await credentials.worker_tokens(self._store)

    async def revoke_worker_token(self, token_id: str) -> WorkerToken:
        record = await credentials.revoke(self._store, "worker", token_id, actor=self._actor)
        return credentials.worker_token(record)

    async def rotate_worker_token(self, token_id: str) -> IssuedWorkerToken:
        text, record = await credentials.rotate(self._store, "worker", token_id, actor=self._actor)
        return IssuedWorkerToken(token=text, worker_token=credentials.worker_token(record))

    @property
    def _actor(self) -> str:
        return self._settings.default_user_id

    @property
    def _store(self) -> Store:
        return self._live[0]

    @property
    def _notices(self) -> Notices:
        return self._live[1]

    @property
    def _live(self) -> tuple[Store, Notices]:
        if self._opened is None:
            raise RuntimeError(
                "the client is not open: use it in `async with Client.from_redis(...) as client`"
            )
        return self._opened
