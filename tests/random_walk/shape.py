"""What of a state decides what can follow: two states of one shape have the same future.

Times count only by what is over and what comes first; tokens and versions only by which is the current one.
What no script reads (audit, notices, totals, the words of a history) does not count.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sluicegate.store.rendering import fields
from tests.random_walk.judging import narrows_of
from tests.random_walk.model import Model, ModelJob

Shape = tuple[Any, ...]

_SCORE: Final = re.compile(r"\|\d{16}\|")
UNREAD: Final = frozenset({"audit", "control", "counters", "events", "policies:used"})
UNREAD_FIELDS: Final = frozenset(
    {
        "spec",
        "lane",
        "created_at",
        "updated_at",
        "started_at",
        "finished_at",
        "error",
        "failure_class",
        "result",
        "control_version",
    }
)
PRESENT: Final = frozenset(
    {
        "cancel_at",
        "next_attempt_at",
        "redriven_at",
        "waiting_since",
        "dead",
        "control_at",
        "recovery_id",
        "summary_id",
    }
)
"""Whether they are set, not to what."""
IN_ORDER: Final = ("leases", "delayed", "ready")


def of_model(model: Model) -> Shape:
    jobs = [model.jobs[job_id] for job_id in sorted(model.jobs)]
    over = [job for job in jobs if job.lease is not None and job.lease <= model.clock]
    waiting = [job for job in jobs if job.status == "queued" and job.due is None]
    delayed = [job for job in jobs if job.due is not None]
    return (
        tuple(_job(model, job) for job in jobs),
        tuple(sorted((lane.text, kind, ids) for (lane, kind), ids in model.lanes.items())),
        tuple(_memo(model, worker) for worker in sorted(model.memos)),
        model.pause[:4],
        _when(model.pause.until or None, model.clock),
        tuple(
            (name, pause[:4], _when(pause.until or None, model.clock))
            for name, pause in model.narrow.pauses.items()
        ),
        tuple(sorted(model.policies)),
        tuple(job.id for job in sorted(jobs, key=lambda job: job.created)),
        tuple(job.id for job in sorted(waiting, key=lambda job: job.since)),
        tuple(job.id for job in sorted(delayed, key=lambda job: job.due or 0)),
        tuple(job.id for job in sorted(over, key=lambda job: job.lease or 0)),
    )


def of_store(contents: dict[str, Any]) -> Shape:
    """contents: as a snapshot has them."""
    shapes = []
    for name, value in contents.items():
        shape = _of_key(name, value, contents)
        if shape is not None:
            shapes.append((name, shape))
    return tuple(shapes)


def _of_key(name: str, value: Any, contents: dict[str, Any]) -> Any:
    first, _, rest = name.partition(":")
    if name in UNREAD or first == "flow":
        return None
    if first == "job":
        return _hash(fields(value)) if ":" not in rest else "there"
    if first in IN_ORDER:
        return tuple(value[::2])
    if first == "parked":
        # By whom, of which shelf, after which others; without the score.
        return tuple(_SCORE.sub("|", member) for member in value[::2])
    if first in ("status", "slots", "condemned"):
        return tuple(sorted(value[::2]))
    if first in ("lane", "dead"):
        entries, pending = value
        names = {entry: flat[flat.index("job") + 1] for entry, flat in entries}
        return tuple(names.values()), tuple(sorted(names[each] for each in pending))
    if first == "claim":
        return _attempts(value, contents)
    if name == "pause":
        stored = fields(value)
        return tuple(stored.get(field) for field in ("paused", "mode", "reason", "by")), "until" in stored
    if name == "meta":
        stored = fields(value)
        return stored.get("limits"), stored.get("limits_at"), stored.get("pauses")
    if name == "pauses":
        found = sorted(narrows_of(value).items())
        return tuple((name, pause[:4], pause.until > 0) for name, pause in found)
    return tuple(value)


def _hash(stored: dict[str, str]) -> Shape:
    found = []
    for field, value in sorted(stored.items()):
        if field in UNREAD_FIELDS:
            continue
        if field in PRESENT:
            shown = "set"
        elif field == "entry":
            # In a terminal state nobody reads it.
            shown = value[:2] if stored["status"] in ("queued", "running") else ""
        elif field == "token":
            shown = "some"
        elif field == "ended":
            shown = _ended(value, int(stored["token"]))
        else:
            shown = value
        if shown:
            found.append((field, shown))
    return tuple(found)


def _ended(value: str, current: int) -> str:
    """By which token, counted from the current one, by which word, by whom."""
    token, rest = value.split(":", 1)
    return f"{int(token) - current}:{rest}"


def _attempts(memo: str, contents: dict[str, Any]) -> Shape:
    """Of a worker's last claim: the attempts that a repeat would still return."""
    worker_jobs = memo.partition("\n")[2].split()
    still = []
    for each in worker_jobs:
        job_id, token = each.split(":")
        stored = fields(contents.get(f"job:{job_id}", ()))
        if stored.get("status") == "running" and stored.get("token") == token:
            still.append((job_id, stored["owner"]))
    return tuple(still)


def _memo(model: Model, worker: str) -> Shape:
    request, _ = model.memos[worker]
    return worker, tuple(job_id for job_id, _ in model.repeated(worker, request) or ())


def _job(model: Model, job: ModelJob) -> Shape:
    runs = job.status == "running" and job.started is not None and job.max_run_ms
    limit = (job.started or 0) + (job.max_run_ms or 0) if runs else None
    return (
        job.id,
        job.status,
        job.attempt,
        job.releases,
        job.token > 0,
        job.owner,
        _when(job.lease, model.clock),
        job.cancel,
        job.wishes[:4],
        job.wishes.summary,
        _ended(job.ended, job.token) if job.ended else None,
        _when(job.due, model.clock),
        _when(limit, model.clock),
        job.redriven,
        job.condemned,
    )


def _when(time: int | None, clock: int) -> str | None:
    return None if time is None else "over" if time <= clock else "later"
