"""Why a job does not run: each true reason, in order, with its remedy. Decides; reads nothing (Q-19)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from sluicegate.model import Job, JobStatus, Lane, Policy, SystemState
from sluicegate.pauses import holds
from sluicegate.times import to_rfc3339

if TYPE_CHECKING:
    from sluicegate.store.standing import LiveWorker, Place, Standing, Usage


class Reason(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """One thing that keeps the job waiting: a stable code, a sentence, and what would change it."""

    code: str
    message: str
    remedy: str
    since: str | None = None
    until: str | None = None
    by: str | None = None
    detail: dict[str, Any] | None = None


class Why(Struct, rename="camel", kw_only=True):
    """reasons: empty for a job that runs or has ended."""

    job_id: str
    status: JobStatus
    reasons: list[Reason]


def of(job: Job, standing: Standing) -> list[Reason]:
    """Every reason that is true of a waiting job: pause, workers, limits, time, place in its lane."""
    return [
        *_paused(standing.system),
        *_narrowly_paused(job, standing),
        *of_workers(standing.lane, standing.workers),
        *_limits(standing.limits),
        *_time(job, standing),
        *_place(standing.place, standing.lane),
    ]


def _paused(system: SystemState) -> list[Reason]:
    if not system.workers_paused:
        return []
    return [
        Reason(
            code="paused",
            message=f"all workers are paused ({system.mode}): {system.reason}",
            remedy="resume the workers (`sluicegate resume`, or POST /api/system/worker-pause)",
            since=system.requested_at,
            until=system.until,
            by=system.requested_by_user_id,
        )
    ]


def _narrowly_paused(job: Job, standing: Standing) -> list[Reason]:
    """Pauses of its type, repository or capabilities; those of workers when no other one could take it."""
    own = [pause for pause in standing.pauses if pause.scope != "worker" and holds(pause, job, None)]
    fitting = {each.worker_id for each in standing.workers if each.policy.fits(standing.lane)}
    of_workers = [pause for pause in standing.pauses if pause.scope == "worker" and pause.value in fitting]
    if len(of_workers) == len(fitting):
        own += of_workers
    return [
        Reason(
            code=f"{pause.scope}_paused",
            message=f"{pause.scope} {pause.value} is paused ({pause.mode}): {pause.reason}",
            remedy=f"lift that pause (`sluicegate resume --{pause.scope} {shlex.quote(pause.value)}`, "
            "or POST /api/system/pauses)",
            since=pause.requested_at,
            until=pause.until,
            by=pause.requested_by_user_id,
            detail={"scope": pause.scope, "value": pause.value},
        )
        for pause in own
    ]


def of_workers(lane: Lane, workers: Sequence[LiveWorker]) -> list[Reason]:
    """Why no live worker can run what waits in a lane; empty when one can."""
    policies = [worker.policy for worker in workers]
    found: list[Reason] = []
    if not policies:
        found.append(
            Reason(
                code="no_live_worker",
                message="no worker was heard of within 30 s",
                remedy="start a worker (`sluicegate worker`), or look why those that there are do not answer",
            )
        )
    else:
        found += _unwilling(lane, policies)
    found += [
        Reason(
            code="no_worker_with_capability",
            message=f"no live worker has capability {capability}",
            remedy=f"start a worker with SLUICEGATE_WORKER_CAPABILITIES={capability}, if its token allows it",
            detail={"capability": capability},
        )
        for capability in lane.capabilities
        if not any(capability in policy.capabilities for policy in policies)
    ]
    if policies and not found and not any(policy.fits(lane) for policy in policies):
        found.append(
            Reason(
                code="no_worker_fits",
                message="no one live worker takes its type and repository and has all its capabilities",
                remedy="start a worker that does all three, or widen one that is there",
                detail={"workers": [worker.worker_id for worker in workers][:20]},
            )
        )
    return found


def _unwilling(lane: Lane, policies: Sequence[Policy]) -> list[Reason]:
    found: list[Reason] = []
    if not any(policy.takes_type(lane) for policy in policies):
        found.append(
            Reason(
                code="no_worker_for_type",
                message=f"no live worker takes jobs of type {lane.type}",
                remedy=f"start a worker with a handler for {lane.type}, or whose token allows this type",
                detail={"type": lane.type},
            )
        )
    if not any(policy.takes_repository(lane) for policy in policies):
        what = f"of repository {lane.repository}" if lane.repository else "without a repository"
        found.append(
            Reason(
                code="no_worker_for_repository",
                message=f"no live worker takes jobs {what}",
                remedy="start a worker without a repository list, or add it to a worker's list and token",
                detail={"repository": lane.repository},
            )
        )
    return found


def _limits(usages: Sequence[Usage]) -> list[Reason]:
    return [
        Reason(
            code="concurrency_limit",
            message=f"{usage.limit.shown} may have {usage.limit.most} running, and {usage.running} "
            f"{'runs' if usage.running == 1 else 'run'}: {', '.join(usage.held_by[:3])}"
            f"{', ...' if usage.running > 3 else ''}",
            remedy="it runs when one of them ends: wait, or cancel one"
            + (
                "; an affinity key always means one at a time"
                if usage.limit.name.startswith("key=")
                else "; or raise SLUICEGATE_CONCURRENCY_LIMITS and restart the services"
            ),
            detail={
                "limit": usage.limit.name,
                "most": usage.limit.most,
                "running": usage.running,
                "heldBy": usage.held_by,
            },
        )
        for usage in usages
        if usage.running >= usage.limit.most
    ]


def _time(job: Job, standing: Standing) -> list[Reason]:
    if standing.due_ms is None:
        return []
    until = to_rfc3339(standing.due_ms)
    if standing.due_ms <= standing.now_ms:
        return [
            Reason(
                code="due",
                message=f"its time came at {until}, and it is put into its lane with the next claim",
                remedy="a worker that claims, or a running sweeper, while nothing is paused",
                since=until,
            )
        ]
    if job.attempt > 1 or job.releases:
        return [
            Reason(
                code="backoff",
                message=f"attempt {job.attempt - 1} failed; the next one begins at {until} or later",
                remedy="wait; SLUICEGATE_RETRY_BACKOFF_* set how long later ones wait",
                until=until,
                detail={"attempt": job.attempt, "errorMessage": job.error_message},
            )
        ]
    return [
        Reason(
            code="delayed",
            message=f"its producer asked for {until} or later",
            remedy="wait; or cancel it and enqueue it without delaySeconds and notBefore",
            until=until,
        )
    ]


def _place(place: Place | None, lane: Lane) -> list[Reason]:
    if place is None:
        return []
    position = None if place.ahead is None else place.ahead + 1
    if position is None:
        message = f"more than 1,000 of {place.waiting:,} jobs in its lane go first"
    else:
        message = f"it is number {position:,} of {max(place.waiting, position):,} in its lane"
    return [
        Reason(
            code="position",
            message=f"{message}; lanes of a higher priority go before, then those that wait longer",
            remedy="more workers or slots for it; its priority is fixed: enqueue anew with a higher one",
            detail={"position": position, "of": place.waiting, "priority": lane.priority},
        )
    ]
