"""Enqueueing, the same on every surface: what a job may ask for, and what is derived from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import uuid_utils
from msgspec import Meta

from sluicegate import tracing
from sluicegate.errors import Invalid, RequestError, TooLarge
from sluicegate.model import Capability, Job, JobSpec, Lane, Name, NewJob
from sluicegate.operations import task_payload
from sluicegate.operations.calls import JobsQuery
from sluicegate.repositories import canonical
from sluicegate.settings import Settings
from sluicegate.store import Store
from sluicegate.store import jobs as job_records
from sluicegate.store.jobs import Enqueued, JobFilter, Submission
from sluicegate.times import from_rfc3339, now_ms
from sluicegate.tracing import TraceContext
from sluicegate.validation import convert

MAX_AHEAD_MS: Final = 365 * 86_400_000
Capabilities = Annotated[list[Capability], Meta(max_length=100)]


class Accepted(NamedTuple):
    """The job of an enqueue; replayed: it was there already."""

    job: Job
    replayed: bool


async def enqueue(store: Store, new: NewJob, *, actor: str) -> Accepted:
    """Accept one job, as part of the trace that this runs in.

    Raises Invalid, TooLarge, Conflict (idempotency_conflict), Busy (queue_full).
    """
    submission = prepare(new, actor=actor, settings=store.settings, trace=tracing.current())
    (outcome,) = await submit(store, [submission])
    if isinstance(outcome, RequestError):
        raise outcome
    return outcome


async def enqueue_many(
    store: Store, documents: Sequence[Any], *, actor: str, trace: TraceContext | None
) -> list[Accepted | RequestError]:
    """Accept each decoded JSON document that is a job; what is wrong with the others stands in their place.

    Not atomic: those in front of a failing store call may have been accepted. Repeating is safe for jobs
    with an id or a key.
    """
    refused: dict[int, RequestError] = {}

    def prepared() -> Iterator[Submission]:
        for at, document in enumerate(documents):
            try:
                yield prepare(convert(document, NewJob), actor=actor, settings=store.settings, trace=trace)
            except RequestError as error:
                refused[at] = error

    accepted = iter(await submit(store, prepared()))
    return [refused.get(at) or next(accepted) for at in range(len(documents))]


async def submit(store: Store, submissions: Iterable[Submission]) -> list[Accepted | RequestError]:
    """Accept prepared jobs; each in its place, or why not (Conflict, Busy). Not atomic over the list."""
    return [
        each if isinstance(each, RequestError) else await _accepted(store, each)
        for each in await job_records.enqueue(store, submissions)
    ]


async def _accepted(store: Store, enqueued: Enqueued) -> Accepted:
    return Accepted(enqueued.job or await job_records.get(store, enqueued.job_id), enqueued.replayed)


def with_key(new: NewJob, header: str | None) -> NewJob:
    """The job with the key of the `Idempotency-Key` header. Raises Invalid when the field says another."""
    if header is None:
        return new
    try:
        key = msgspec.convert(header, Name)
    except msgspec.ValidationError:
        raise Invalid.field("Idempotency-Key", "must have 1 to 128 printable characters") from None
    if new.idempotency_key not in (None, key):
        raise Invalid.field("idempotencyKey", "differs from the Idempotency-Key header")
    return msgspec.structs.replace(new, idempotency_key=key)


def prepare(
    new: NewJob,
    *,
    actor: str,
    settings: Settings,
    retry_of: str | None = None,
    trace: TraceContext | None = None,
) -> Submission:
    """The job as the store takes it: checked, routed, fingerprinted. Nothing is written.

    Raises Invalid naming the wrong fields, TooLarge for a payload over SLUICEGATE_MAX_PAYLOAD_BYTES.
    """
    _require_one_name(new)
    due_ms = _due_ms(new)
    _require_size(new.payload, settings)
    repository, capabilities = _routing(new, settings)
    spec = JobSpec(
        type=new.type,
        payload=new.payload,
        priority=new.priority,
        repository=repository,
        required_capabilities=capabilities,
        affinity_key=new.affinity_key,
        max_attempts=new.max_attempts,
        max_run_seconds=new.max_run_seconds,
        delay_seconds=new.delay_seconds,
        not_before=new.not_before,
        created_by_user_id=actor,
        retry_of=retry_of,
    )
    key = new.idempotency_key
    return Submission(
        id=new.id or str(uuid_utils.uuid7()),
        # A repeated id is recognised by its spec, so that one must not depend on the order of the fields.
        spec=msgspec.json.encode(spec, order="sorted" if new.id else None),
        lane=Lane(
            type=new.type,
            priority=new.priority,
            repository=repository,
            capabilities=tuple(capabilities),
            affinity_key=new.affinity_key,
        ),
        max_attempts=new.max_attempts,
        max_run_ms=None if new.max_run_seconds is None else max(1, round(new.max_run_seconds * 1000)),
        delay_ms=None if new.delay_seconds is None else round(new.delay_seconds * 1000),
        due_ms=due_ms,
        unique=None if key is None else f"{actor}:{key}",
        fingerprint="" if key is None else fingerprint(new),
        trace=trace,
    )


def fingerprint(new: NewJob) -> str:
    """Equal for bodies that are the same canonical JSON without their key (70-6)."""
    document = msgspec.json.encode(msgspec.structs.replace(new, idempotency_key=None), order="sorted")
    return hashlib.sha256(document).hexdigest()


def job_filter(asked: JobsQuery, settings: Settings) -> JobFilter:
    """A listing's filter from what was asked for. Raises Invalid naming the wrong parameter."""
    named = asked.repository
    return JobFilter(
        status=asked.status,
        type=asked.type,
        repository=None if named is None else canonical(named, settings, path="repository"),
        claimed_by=asked.claimed_by,
        created_after_ms=moment("createdAfter", asked.created_after),
        created_before_ms=moment("createdBefore", asked.created_before),
    )


def moment(path: str, text: str | None) -> int | None:
    """A time from outside as ms. Raises Invalid naming the field."""
    if text is None:
        return None
    try:
        return from_rfc3339(text)
    except (ValueError, OverflowError):
        raise Invalid.field(path, "is not a time like 2026-01-31T12:00:00.000Z") from None


def _require_one_name(new: NewJob) -> None:
    if new.id is not None and new.idempotency_key is not None:
        raise Invalid.field("idempotencyKey", "excludes an id of the client's own: each makes a repeat safe")


def _due_ms(new: NewJob) -> int | None:
    if new.not_before is None:
        return None
    if new.delay_seconds is not None:
        raise Invalid.field("notBefore", "excludes delaySeconds")
    due = moment("notBefore", new.not_before)
    if due is not None and due > now_ms() + MAX_AHEAD_MS:
        raise Invalid.field("notBefore", "is more than 365 days ahead")
    return due


def _require_size(payload: dict[str, Any], settings: Settings) -> None:
    size = len(msgspec.json.encode(payload))
    if size > settings.max_payload_bytes:
        raise TooLarge(
            f"the payload has {size:,} bytes as JSON; SLUICEGATE_MAX_PAYLOAD_BYTES allows "
            f"{settings.max_payload_bytes:,}"
        )


def _routing(new: NewJob, settings: Settings) -> tuple[str | None, list[str]]:
    """The canonical repository and the required capabilities (70-17, 70-35)."""
    payload = new.payload
    if "liveControl" in payload:
        raise Invalid.field("payload.liveControl", "is the operators' place; a producer cannot set it")
    task = task_payload.check(payload, settings) if new.type == "task" else None
    named = payload.get("repository")
    if named is not None and not isinstance(named, str):
        raise Invalid.field("payload.repository", "must be a string")
    repository = None if named is None else canonical(named, settings)
    required = new.required_capabilities
    if required is None and payload.get("requiredCapabilities") is not None:
        required = _listed(payload["requiredCapabilities"])
    if required is None:
        required = list(task_payload.derived_capabilities(task)) if task else []
    return repository, sorted(set(required))


def _listed(value: Any) -> list[str]:
    try:
        return convert(value, Capabilities)
    except Invalid as error:
        errors = [
            {"path": f"payload.requiredCapabilities{each['path']}", "message": each["message"]}
            for each in error.extra["errors"]
        ]
        raise Invalid(f"{errors[0]['path']}: {errors[0]['message']}", errors=errors) from None
