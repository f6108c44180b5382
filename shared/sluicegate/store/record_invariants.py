"""Says what the records of jobs lack of what never changes, and what is no number where one has to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from sluicegate import keys
from sluicegate.model import ID_PATTERN, MAX_ATTEMPTS_DEFAULT, JobSpec, Lane
from sluicegate.store.connection import Store
from sluicegate.store.findings import Finding, Findings
from sluicegate.store.rendering import fields

MOST: Final = 100
FIELDS: Final = (
    "spec", "lane", "created_at", "status", "max_attempts", "attempt", "releases", "token", "owner", "ended",
    "started_at", "finished_at",
)  # fmt: skip
LOST: Final = Lane("lost")
"""Where a job belongs of which not even the type is known."""
NOBODY: Final = "unknown"
_spec = msgspec.json.Decoder(JobSpec)

Record = dict[str, str]


async def survey(store: Store, job_ids: Sequence[str]) -> Findings:
    """The records of these jobs, each read in one moment. What is mended is compared with what was seen."""
    for start in range(0, len(job_ids), MOST):
        part = job_ids[start : start + MOST]
        reads = [("HMGET", keys.job(job_id), *FIELDS) for job_id in part]
        for job_id, values in zip(part, await store.commands(*reads), strict=True):
            record = {name: value for name, value in zip(FIELDS, values, strict=True) if value is not None}
            if not record:
                continue  # removed meanwhile
            spec = _decoded(record.get("spec", ""))
            for finding in _faults(job_id, record, spec):
                yield finding
            if _lacks_holder(record):
                for finding in await _holder(store, job_id, record):
                    yield finding


def _faults(job_id: str, record: Record, spec: JobSpec | None) -> Iterator[Finding]:
    lane = record.get("lane", "")
    if spec is None:
        stand_in = _spec_of(_parsed(lane) or LOST)
        fix = (record.get("spec", ""), msgspec.json.encode(stand_in).decode())
        yield Finding("lost_payload", job_id, fix=fix)
        spec = stand_in
    if lane != (expected := lane_of(spec)):
        yield _wrong(job_id, record, "lane", expected)
    if not record.get("created_at", "").isdecimal():
        yield _wrong(job_id, record, "created_at", str(_drawn_at(job_id)))
    most = spec.max_attempts
    if record.get("max_attempts", str(MAX_ATTEMPTS_DEFAULT)) != str(most):
        yield _wrong(job_id, record, "max_attempts", str(most))
    if not record.get("releases", "0").isdecimal():
        yield _wrong(job_id, record, "releases", "")
    attempt = record.get("attempt", "1")
    if not attempt.isdecimal() or not 1 <= int(attempt) <= most:
        yield _wrong(job_id, record, "attempt", str(_attempt(record, most)))


def lane_of(spec: JobSpec) -> str:
    """The name of the lane that a job belongs into, by what it was enqueued with."""
    capabilities = tuple(spec.required_capabilities)
    return Lane(spec.type, spec.priority, spec.repository, capabilities, spec.affinity_key).text


def _wrong(job_id: str, record: Record, field: str, value: str) -> Finding:
    seen = record.get(field, "")
    about = f"{field} is {seen!r}" if seen else f"it has no {field}"
    return Finding("wrong_record", job_id, about, (keys.job(job_id), field, seen, value))


def _decoded(text: str) -> JobSpec | None:
    try:
        return _spec.decode(text)
    except msgspec.MsgspecError:
        return None


def _parsed(lane: str) -> Lane | None:
    try:
        return Lane.parse(lane)
    except ValueError:
        return None


def _spec_of(lane: Lane) -> JobSpec:
    return JobSpec(
        type=lane.type,
        priority=lane.priority,
        repository=lane.repository,
        required_capabilities=list(lane.capabilities),
        affinity_key=lane.affinity_key,
    )


def _drawn_at(job_id: str) -> int:
    """The time that a UUIDv7 begins with, in ms."""
    return int(job_id.replace("-", "")[:12], 16) if ID_PATTERN.match(job_id) else 0


def _attempt(record: Mapping[str, str], most: int) -> int:
    """No more attempts than claims without the releases among them; no more than allowed."""
    claims, releases = (_number(record.get(name)) for name in ("token", "releases"))
    begun = claims - releases + (record.get("status") == "queued")
    return min(max(begun, 1), most)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _runs(record: Record) -> bool:
    """Whether it does by what else is recorded, should its status be lost."""
    return record.get("status") == "running" or ("started_at" in record and "finished_at" not in record)


def _lacks_holder(record: Record) -> bool:
    claimed = _runs(record) or "ended" in record or "owner" in record
    no_token = not record.get("token", "").isdecimal()
    return claimed and (no_token or (_runs(record) and "owner" not in record))


async def _holder(store: Store, job_id: str, record: Record) -> list[Finding]:
    """Who holds the job, by its history: a token too low would let a former holder in again."""
    worker, token = await _last_claim(store, job_id)
    token = max(token, _number(record.get("ended", "").partition(":")[0]))
    found = []
    if not record.get("token", "").isdecimal():
        found.append(_wrong(job_id, record, "token", str(token or await store.now_ms())))
    if _runs(record) and "owner" not in record:
        found.append(_wrong(job_id, record, "owner", worker or NOBODY))
    return found


async def _last_claim(store: Store, job_id: str) -> tuple[str, int]:
    """Worker and token of the last claim in the history; nobody and 0 if there is none."""
    end = "+"
    while True:
        page: list[Any] = await store.command("XREVRANGE", keys.job_events(job_id), end, "-", "COUNT", 500)
        for _, flat in page:
            event = fields(flat)
            if event.get("kind") == "job.claimed":
                return event["workerId"], int(event["leaseToken"])
        if len(page) < 500:
            return "", 0
        end = f"({page[-1][0]}"
