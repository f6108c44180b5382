"""Live sessions: what operators may do with one, and what its worker says of it, the same on every surface.

L-1 to L-4, L-8, L-10, 70-25, 70-50.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from sluicegate.auth.identity import Identity
from sluicegate.errors import Conflict, Invalid, NotFound
from sluicegate.model import MAX_GRANT_MINUTES, LiveProvider, LiveSession, Name, WorkerId
from sluicegate.operations import access, worker_calls
from sluicegate.operations.answers import Answer
from sluicegate.operations.calls import Call, Held, Reason
from sluicegate.store import jobs as job_records
from sluicegate.store import live_sessions
from sluicegate.store.connection import Store
from sluicegate.store.live_sessions import Known, Ways
from sluicegate.times import from_rfc3339

CONFLICT: Final = "live_session_state_conflict"
Way = Annotated[
    str,
    Meta(max_length=2_000, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", description="on one line, printable"),
]
"""People copy it into their shells."""
Page = Annotated[
    str,
    Meta(
        max_length=2_000,
        pattern=r"^(https?://|/[A-Za-z0-9])[!-~]*$(?!\n)",
        description="an address, or a path of this deployment",
    ),
]
"""People follow it."""


class CreateCall(Call):
    """provider: SLUICEGATE_LIVE_SESSION_PROVIDER if none is given."""

    provider: LiveProvider | None = None


class GrantCall(Call):
    """ttl_minutes: SLUICEGATE_LIVE_SESSION_RW_GRANT_TTL_MINUTES if none are given."""

    ttl_minutes: (
        Annotated[int, Meta(ge=1, le=MAX_GRANT_MINUTES, description="how long to type, from now")] | None
    ) = None


class RevokeCall(Call):
    reason: Reason | None = None


class ReportCall(Held):
    """attach_: commands or addresses for a terminal; web_: pages. What is not named is not there any more."""

    status: Literal["starting", "ready", "ended", "error"]
    worker_hostname: Name | None = None
    provider: LiveProvider | None = None
    attach_ro: Way | None = None
    attach_rw: Way | None = None
    web_ro: Page | None = None
    web_rw: Page | None = None
    tmate_session_name: Way | None = None
    tmate_socket_path: Way | None = None
    expires_at: Annotated[str, Meta(description="an earlier end than the settings set")] | None = None
    error_message: Annotated[str, Meta(max_length=2_000)] | None = None


class RenewCall(Held):
    pass


class WorkerSessionQuery(Call):
    worker_id: WorkerId | None = None


class SessionAnswer(Answer):
    session: LiveSession


class GrantAnswer(Answer):
    """The ways to write are told here and nowhere else. granted_until: no later than the session's end."""

    session: LiveSession
    attach_rw: str | None
    web_rw: str | None
    granted_until: str


class WorkerSessionAnswer(Answer):
    """What a session's worker has to do (70-50). lease_token: of the attempt that has the session; another
    one's is over. version: grows with each change that the worker must know."""

    session: LiveSession
    rw_granted_until: str | None
    revoke_requested: bool
    version: int
    lease_token: str | None

    @classmethod
    def of(cls, known: Known) -> WorkerSessionAnswer:
        return cls(
            session=known.session,
            rw_granted_until=known.session.rw_granted_until,
            revoke_requested=known.session.status == "revoked",
            version=known.version,
            lease_token=None if known.lease_token is None else str(known.lease_token),
        )


async def get(store: Store, job_id: str) -> SessionAnswer:
    """The newest session of the run. Raises NotFound (job_not_found, live_session_not_found)."""
    return SessionAnswer(session=(await _found(store, job_id)).session)


async def create(store: Store, job_id: str, call: CreateCall, *, actor: str) -> tuple[SessionAnswer, bool]:
    """Have one opened, and whether it is new: one that is open stays (L-1).

    Raises NotFound, TooLarge, Conflict.
    """
    if not store.settings.live_session_enabled:
        raise Conflict("live sessions are off (SLUICEGATE_LIVE_SESSION_ENABLED)", code=CONFLICT)
    job = await job_records.get(store, job_id)
    if job.type != "task":
        raise Conflict(f"live sessions are for tasks: job {job_id} is of type {job.type}", code=CONFLICT)
    provider = call.provider or store.settings.live_session_provider
    session, new = await live_sessions.ask(store, job_id, provider, actor=actor)
    return SessionAnswer(session=session), new


async def grant(store: Store, job_id: str, call: GrantCall, *, actor: str) -> GrantAnswer:
    """Let the caller type. Raises NotFound, TooLarge, and Invalid (live_session_state_conflict) when the
    session is not ready (70-25)."""
    minutes = call.ttl_minutes or store.settings.live_session_rw_grant_ttl_minutes
    try:
        granted = await live_sessions.grant(store, job_id, minutes, actor=actor)
    except Conflict as error:
        raise Invalid(error.detail, code=error.code, **error.extra) from error
    return GrantAnswer(
        session=granted.session,
        attach_rw=granted.attach_rw,
        web_rw=granted.web_rw,
        granted_until=granted.session.rw_granted_until or "",
    )


async def revoke(store: Store, job_id: str, call: RevokeCall, *, actor: str) -> SessionAnswer:
    """End it for everyone. Raises NotFound, Conflict (it is over)."""
    reason = (call.reason or "").strip() or None
    return SessionAnswer(session=await live_sessions.revoke(store, job_id, actor=actor, reason=reason))


async def report(store: Store, who: Identity, job_id: str, call: ReportCall) -> WorkerSessionAnswer:
    """What the holder of the lease says of its session; what is wanted of it then (L-8)."""
    if not store.settings.live_session_enabled:
        raise Conflict("live sessions are off (SLUICEGATE_LIVE_SESSION_ENABLED)", code=CONFLICT)
    expires_ms = _time(call.expires_at)
    worker_id, token = await worker_calls.held(store, who, job_id, call)
    known = await live_sessions.report(
        store,
        worker_id,
        job_id,
        token,
        call.status,
        provider=call.provider,
        ways=Ways(
            attach_ro=call.attach_ro,
            attach_rw=call.attach_rw,
            web_ro=call.web_ro,
            web_rw=call.web_rw,
            tmate_session=call.tmate_session_name,
            tmate_socket=call.tmate_socket_path,
        ),
        host=call.worker_hostname,
        expires_ms=expires_ms,
        error=call.error_message,
    )
    return WorkerSessionAnswer.of(_there(known, job_id))


async def renew(store: Store, who: Identity, job_id: str, call: RenewCall) -> WorkerSessionAnswer:
    """Say that its worker is there, apart from the heartbeat of its lease, which says it too."""
    worker_id, token = await worker_calls.held(store, who, job_id, call)
    return WorkerSessionAnswer.of(_there(await live_sessions.renew(store, worker_id, job_id, token), job_id))


async def wanted(store: Store, who: Identity, job_id: str, asked: WorkerSessionQuery) -> WorkerSessionAnswer:
    """What the worker of a session has to do. Raises NotFound, Forbidden."""
    if asked.worker_id is not None:
        who.worker(asked.worker_id)
    await access.require_job(store, who, job_id)
    return WorkerSessionAnswer.of(await _found(store, job_id))


def known(answer: WorkerSessionAnswer) -> Known:
    """The other way round: for a worker that was answered over HTTP."""
    session = answer.session
    return Known(
        session=session,
        version=answer.version,
        lease_token=int(answer.lease_token) if answer.lease_token else None,
        granted_until_ms=from_rfc3339(session.rw_granted_until) if session.rw_granted_until else 0,
        expires_ms=from_rfc3339(session.expires_at) if session.expires_at else 0,
        heard_ms=from_rfc3339(session.last_heartbeat_at) if session.last_heartbeat_at else 0,
    )


async def _found(store: Store, job_id: str) -> Known:
    return _there(await live_sessions.read(store, job_id), job_id)


def _there(known: Known | None, job_id: str) -> Known:
    if known is None:
        raise NotFound(f"job {job_id} never had a live session", code="live_session_not_found")
    return known


def _time(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return from_rfc3339(text)
    except ValueError as error:
        raise Invalid.field("expiresAt", f"{text!r} is no time like 2026-01-31T12:00:00Z") from error
