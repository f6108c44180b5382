"""One interface to a deployment, whichever way it is reached (70-58)."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import msgspec
import uuid_utils

from sluicegate.client.answers import JobPage
from sluicegate.client.batches import batches
from sluicegate.client.ids import checked
from sluicegate.client.pausing import Pausing
from sluicegate.client.runs import Runs
from sluicegate.client.tokens import Tokens
from sluicegate.client.transport import Change, Results, Transport
from sluicegate.errors import Invalid
from sluicegate.model import Event, Job, NewJob
from sluicegate.operations.answers import Listed, ManyAnswer
from sluicegate.tracing.producer import enqueueing

if TYPE_CHECKING:
    from sluicegate.operations.reasons import Why
    from sluicegate.settings import Settings
    from sluicegate.store.dead_letters import DeadLetter
    from sluicegate.store.shelves import Artifact
    from sluicegate.store.workers import Presence

EVENTS_PER_PAGE = 500
IDS_PER_CALL = 1000


class JobFields(TypedDict, total=False):
    """The fields of NewJob, as keywords of `Client.enqueue`."""

    type: str
    payload: dict[str, Any]
    id: str
    priority: int
    required_capabilities: list[str]
    affinity_key: str
    max_attempts: int
    max_run_seconds: float
    delay_seconds: float
    not_before: str
    idempotency_key: str


class Choice(TypedDict, total=False):
    """Which jobs, as keywords of the calls for many: those that fit every one that is given.

    Times are RFC 3339, exclusive. failure_class: `unclassified` for jobs that have none.
    """

    type: str
    repository: str
    status: str
    failure_class: str
    created_after: str
    created_before: str


AnyJob = NewJob | Mapping[str, Any]
"""A job to be enqueued: a NewJob, or its JSON document (camelCase)."""


class Client(Pausing):
    """Enqueue, watch, cancel, run again; pause and resume; `runs` controls one run. Used in `async with`.

    Errors are those of `sluicegate.errors`, the same over either transport. A change is sent again after a
    lost answer only where a repeat has no second effect: the client draws the ids of jobs itself, so
    that this holds for enqueue; a pause or resume whose answer is lost raises OutcomeUnknown.
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self.runs = Runs(transport)
        self.tokens = Tokens(transport)

    @classmethod
    def from_url(
        cls,
        url: str,
        token: str | None = None,
        *,
        timeout_seconds: float = 30.0,
        retry_seconds: float = 10.0,
        reconnect_seconds: float = 120.0,
    ) -> Client:
        """Over HTTP, with an operator's or producer's token if the deployment asks for one.

        retry_seconds: how long a call is tried again while nothing answers. reconnect_seconds: the same
        for a `wait` or `events` that worked before it broke.
        """
        from sluicegate.client.http import HttpTransport
        from sluicegate.client.http_connection import HttpConnection

        connection = HttpConnection(
            url,
            token,
            timeout_seconds=timeout_seconds,
            retry_seconds=retry_seconds,
            reconnect_seconds=reconnect_seconds,
        )
        return cls(HttpTransport(connection))

    @classmethod
    def from_redis(
        cls, url: str, *, settings: Settings | None = None, reconnect_seconds: float = 120.0
    ) -> Client:
        """Straight to the store: for programs inside the trust boundary, which need no service running.

        settings: the deployment's limits and rules where they differ from the defaults; `url` wins over
        its `redis_url`. Actions are attributed to its `default_user_id`.
        """
        from sluicegate.client.trusted import TrustedTransport
        from sluicegate.settings import Settings as Defaults

        chosen = msgspec.structs.replace(settings or Defaults(), redis_url=url)
        return cls(TrustedTransport(chosen, reconnect_seconds=reconnect_seconds))

    async def __aenter__(self) -> Client:
        await self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    async def enqueue(self, job: AnyJob | None = None, /, **fields: Unpack[JobFields]) -> Job:
        """The job as it was accepted. Give a NewJob, its JSON document, or the fields as keywords.

        Repeating it with the same `id` or `idempotency_key` and the same content returns the first job.
        Raises Invalid (each wrong field), Conflict (the id or key belongs to another job), Busy.
        """
        if (job is None) == (not fields):
            raise TypeError("give a job or the fields of one")
        if job is None:
            job = {_camel(name): value for name, value in fields.items()}
        named = _fields(job)
        with enqueueing(named.get("type"), job_id=named.get("id")):
            return await self._transport.enqueue(_document(named))

    async def enqueue_many(self, jobs: Sequence[AnyJob]) -> Results:
        """For each job in order: the job as it was accepted, or the error that refused it.

        Any number; sent in batches of 1,000 jobs or fewer. Not atomic: when a batch cannot be sent this
        raises, and the batches before it stand.
        """
        results: Results = []
        documents = [_document(_fields(job)) for job in jobs]
        with enqueueing(None, count=len(documents)):
            for batch in batches(documents):
                results += await self._transport.enqueue_many(batch)
        return results

    async def get(self, job_id: str) -> Job:
        return await self._transport.get(checked(job_id))

    async def why(self, job_id: str) -> Why:
        """Why a job does not run, each true reason in order (Q-19); none when it runs or has ended."""
        return await self._transport.why(checked(job_id))

    async def list(
        self,
        *,
        status: str | None = None,
        type: str | None = None,
        repository: str | None = None,
        claimed_by: str | None = None,
        created_after: str | None = None,
        created_before: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> JobPage:
        """One page of jobs, latest change first; `cursor` is the `next_cursor` of the page before."""
        given = {
            "status": status,
            "type": type,
            "repository": repository,
            "claimedBy": claimed_by,
            "createdAfter": created_after,
            "createdBefore": created_before,
            "cursor": cursor,
            "limit": limit,
        }
        return await self._transport.listing(
            {name: str(value) for name, value in given.items() if value is not None}
        )

    async def wait(self, job_id: str, timeout_seconds: float | None = None) -> Job:
        """The job once it has ended, however it ended. Raises TimeoutError; the job goes on then.

        Learnt by push, and not missed when the connection breaks in between.
        """
        async with asyncio.timeout(timeout_seconds):
            return await self._transport.ended(checked(job_id))

    async def events(
        self, job_id: str, after: str | None = None, *, follow: bool = True
    ) -> AsyncGenerator[Event, None]:
        """The job's events in order, each once, also across broken connections (Q-6).

        after: an event id or a time, exclusive; `now` leaves out what has happened. With follow it goes on
        as events come and ends with the job; without, it ends with what there is.
        """
        job_id = checked(job_id)
        if after == "now":
            # Pinned to an id at once: `now` again after a broken connection would leave a gap.
            latest = await self._transport.page(job_id, after=None, sort="desc", limit=1)
            after = latest[0].id if latest else None
        if follow:
            async with aclosing(self._transport.follow(job_id, after=after)) as events:
                async for event in events:
                    yield event
            return
        while True:
            page = await self._transport.page(job_id, after=after, sort="asc", limit=EVENTS_PER_PAGE)
            for event in page:
                yield event
            if len(page) < EVENTS_PER_PAGE:
                return
            after = page[-1].id

    async def artifacts(self, job_id: str) -> Sequence[Artifact]:
        """The files that its workers stored with the job, by name."""
        return await self._transport.artifacts(checked(job_id))

    async def download(self, artifact: Artifact, target: Path) -> None:
        """Copy an artifact's content into a file, which is replaced once the copy is whole and checked.

        Raises NotFound when another of its name has replaced it: list them again. OSError of the target.
        """
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".sluicegate-") as folder:
            copy = Path(folder) / "content"
            await self._transport.download(artifact, copy)
            copy.replace(target)

    async def cancel(self, job_id: str, reason: str | None = None) -> Job:
        """The job, `cancelled` or with the request noted; its worker then ends it. May be repeated.

        Raises Conflict when the job has already ended otherwise.
        """
        return await self._transport.cancel(checked(job_id), reason)

    async def cancel_many(
        self,
        ids: Sequence[str] | None = None,
        *,
        dry_run: bool = False,
        reason: str | None = None,
        **choice: Unpack[Choice],
    ) -> ManyAnswer:
        """Cancel jobs, by their ids, by what they have in common, or those of the ids that fit.

        dry_run: count them and change nothing. Ids that cannot be cancelled are told in `items`, which has
        up to 1,000 of each request; ids are sent 1,000 at a time. Repeating it goes on with those that are
        left. Raises Invalid when nothing is chosen. One choice is one request over HTTP: 10,000 jobs take
        some seconds of the client's timeout.
        """
        return await self._change("cancel", ids, dry_run, reason, choice)

    async def retry(self, job_id: str, reason: str | None = None) -> Job:
        """Run a job again: a failed or cancelled one as a new job with `retry_of`, a dead letter as itself.

        A job has one retry: asked again, this is the same job. Raises Conflict when it has not ended, or
        succeeded.
        """
        return await self._transport.retry(checked(job_id), reason)

    async def retry_many(
        self,
        ids: Sequence[str] | None = None,
        *,
        dry_run: bool = False,
        reason: str | None = None,
        **choice: Unpack[Choice],
    ) -> ManyAnswer:
        """`retry` for many, chosen as in `cancel_many`; by a choice alone only those with no retry yet."""
        return await self._change("retry", ids, dry_run, reason, choice)

    async def dead_letters(
        self,
        *,
        type: str | None = None,
        repository: str | None = None,
        failure_class: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Listed[DeadLetter]:
        """One page of the jobs whose attempts are used up, newest first; a filtered one may be short."""
        given = {
            "type": type,
            "repository": repository,
            "failureClass": failure_class,
            "cursor": cursor,
            "limit": limit,
        }
        return await self._transport.dead_letters(
            {name: str(value) for name, value in given.items() if value is not None}
        )

    async def redrive(
        self,
        ids: Sequence[str] | None = None,
        *,
        dry_run: bool = False,
        reason: str | None = None,
        **choice: Unpack[Choice],
    ) -> ManyAnswer:
        """Give dead letters a new life, with their history and finished steps. Chosen as in `cancel_many`."""
        return await self._change("redrive", ids, dry_run, reason, choice)

    async def purge(
        self,
        ids: Sequence[str] | None = None,
        *,
        dry_run: bool = False,
        reason: str | None = None,
        **choice: Unpack[Choice],
    ) -> ManyAnswer:
        """Remove dead letters with all that is kept of them. Chosen as in `cancel_many`.

        Straight to the store their files are removed by this process, where its settings say they are.
        """
        return await self._change("purge", ids, dry_run, reason, choice)

    async def _change(
        self, change: Change, ids: Sequence[str] | None, dry_run: bool, reason: str | None, choice: Choice
    ) -> ManyAnswer:
        filter = {_camel(name): value for name, value in choice.items() if value is not None}
        call: dict[str, Any] = {"dryRun": dry_run, "reason": reason, "filter": filter or None}
        answer = ManyAnswer(matched=0, changed=0, dry_run=dry_run, items=[])
        for part in _parts(ids):
            more = await self._transport.change_many(change, msgspec.json.encode({**call, "ids": part}))
            answer.matched += more.matched
            answer.changed += more.changed
            answer.items += more.items
        return answer

    async def workers(self) -> Sequence[Presence]:
        """The workers that were heard of lately."""
        return await self._transport.workers()


def _parts(ids: Sequence[str] | None) -> Iterator[Sequence[str] | None]:
    if not ids:
        yield ids
        return
    for start in range(0, len(ids), IDS_PER_CALL):
        yield ids[start : start + IDS_PER_CALL]


def _fields(job: AnyJob) -> dict[str, Any]:
    """The job's own, and an id unless it has an id or a key: so that a repeat finds the first."""
    fields: dict[str, Any] = msgspec.to_builtins(job) if isinstance(job, NewJob) else dict(job)
    if fields.get("id") is None and fields.get("idempotencyKey") is None:
        fields["id"] = str(uuid_utils.uuid7())
    return fields


def _document(fields: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(fields)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise Invalid.field("payload", f"cannot be written as JSON: {error}") from error


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
