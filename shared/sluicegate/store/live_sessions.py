"""Live sessions: a terminal on a running task, one record per run, and who may be told what of it (L-1, L-2).

What its worker reports is fenced by the lease. Ways to write are sealed here before they are stored, and
opened only for a grant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec
import uuid_utils
from msgspec import Struct

from sluicegate import keys
from sluicegate.errors import ConfigurationError, Conflict, TooLarge
from sluicegate.model import ID_PATTERN, LiveProvider, LiveSession
from sluicegate.store import rendering, words
from sluicegate.store.connection import Store
from sluicegate.times import to_rfc3339

LOOK_MS: Final = 10_000
"""How often the sweeper looks at a session that no worker has taken up, or that one is to tear down."""
OPENING_MS: Final = 60_000
"""So long a run may run without taking up a session that was asked for."""

_OWN: Final = re.compile(r"/[A-Za-z0-9]")
Report = Literal["starting", "ready", "ended", "error"]


class Ways(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ways into a session. attach_: a command or an address for a terminal; web_: a page.

    One that begins with `/` is a path of this deployment.
    """

    attach_ro: str | None = None
    web_ro: str | None = None
    attach_rw: str | None = None
    web_rw: str | None = None
    tmate_session: str | None = None
    tmate_socket: str | None = None


class Known(NamedTuple):
    """A session, and what only its worker needs. version: grows with each change that this one must know.

    lease_token: of the attempt that has it; None until a worker took it up. granted_until_ms: 0 for no grant.
    heard_ms: when its worker was heard of last, by the store's clock: now, in the answer to that worker.
    """

    session: LiveSession
    version: int
    lease_token: int | None
    granted_until_ms: int
    expires_ms: int
    heard_ms: int


class Granted(NamedTuple):
    session: LiveSession
    attach_rw: str | None
    web_rw: str | None


async def read(store: Store, job_id: str) -> Known | None:
    """The newest session of the run, None if it never had one. Raises NotFound (job_not_found)."""
    if not ID_PATTERN.match(job_id):
        raise words.refused("JOB_NOT_FOUND", job_id)
    there, flat = await store.commands(("EXISTS", keys.job(job_id)), ("HGETALL", keys.job_live(job_id)))
    if not there:
        raise words.refused("JOB_NOT_FOUND", job_id)
    return _known(job_id, flat) if flat else None


async def ask(store: Store, job_id: str, provider: LiveProvider, *, actor: str) -> tuple[LiveSession, bool]:
    """Have the run's worker open one; the session, and whether it is a new one (L-1, L-4).

    Raises NotFound, TooLarge, and Conflict: job_state_conflict when the run has ended or is being cancelled,
    live_session_state_conflict when one of another kind is open.
    """
    reply = await store.run(
        "ask_live",
        id=_checked(job_id),
        actor=actor,
        session=str(uuid_utils.uuid7()),
        provider=provider,
        metadata=_json({"provider": provider}),
        look_ms=LOOK_MS,
        most=store.settings.max_control_events,
    )
    if reply[0] not in ("ASKED", "UNCHANGED"):
        raise _refused(reply[0], job_id, store)
    return _known(job_id, reply[1]).session, reply[0] == "ASKED"


async def report(
    store: Store,
    worker_id: str,
    job_id: str,
    token: int,
    status: Report,
    *,
    provider: LiveProvider | None = None,
    ways: Ways | None = None,
    host: str | None = None,
    expires_ms: int = 0,
    error: str | None = None,
) -> Known | None:
    """What its worker says of it; the record as it is then (L-8). Repeatable.

    Any but `ended` begins a session, or takes up one that was asked for. What is over is not revived: look
    at the answer's status and lease token. Raises LeaseLost, NotFound, and Conflict: another worker's job;
    another kind was asked for; a way to write cannot be sealed.
    """
    shown = _allowed(ways or Ways(), store)
    session = str(uuid_utils.uuid7())
    reply = await store.run(
        "report_live",
        worker=worker_id,
        id=_checked(job_id),
        token=token,
        host=host or "",
        session=session,
        status=status,
        provider=provider or "",
        attach_ro=shown.attach_ro or "",
        web_ro=shown.web_ro or "",
        rw=await _sealed(store, job_id, token, shown),
        tmate_session=shown.tmate_session or "",
        tmate_socket=shown.tmate_socket or "",
        ttl_ms=round(store.settings.live_session_ttl_minutes * 60_000),
        expires_ms=expires_ms,
        error=error or "",
    )
    if reply[0] not in ("DONE", "UNCHANGED", "OTHER"):
        raise words.refused(reply[0], job_id)
    return _known(job_id, reply[1]) if reply[1] else None


async def renew(store: Store, worker_id: str, job_id: str, token: int) -> Known | None:
    """Say that the session's worker is there, apart from the heartbeat of its lease; what is wanted of it.

    Raises LeaseLost, NotFound, Conflict.
    """
    reply = await store.run("renew_live", worker=worker_id, id=_checked(job_id), token=token)
    if isinstance(reply[0], str):
        raise words.refused(reply[0], job_id)
    return _known(job_id, reply[0]) if reply[0] else None


async def grant(store: Store, job_id: str, minutes: int, *, actor: str) -> Granted:
    """Let this operator type until then, in place of whoever may now; the ways to do so (L-4, L-10).

    Again, it lasts so long from now on. Raises NotFound (job, live session), TooLarge, and Conflict
    (live_session_state_conflict), also when the ways cannot be opened: then, too, it is not granted.
    """
    _checked(job_id)
    _open(store, job_id, await store.command("HMGET", keys.job_live(job_id), "rw", "token"))
    reply = await store.run(
        "grant_live",
        id=job_id,
        actor=actor,
        ttl_ms=minutes * 60_000,
        mode=f"{minutes} min",
        metadata=_json({"ttlMinutes": minutes}),
        most=store.settings.max_control_events,
    )
    if isinstance(reply[0], str):
        raise _refused(reply[0], job_id, store)
    stored = rendering.fields(reply[0])
    ways = _open(store, job_id, (stored.get("rw"), stored.get("token")))
    session = _known(job_id, reply[0]).session
    # The browser's terminal is one page for looking and for typing.
    return Granted(
        session, ways.attach_rw, ways.web_rw or (session.web_ro if _is_own(session.web_ro) else None)
    )


async def revoke(store: Store, job_id: str, *, actor: str, reason: str | None = None) -> LiveSession:
    """End it for everyone, at once (L-10). Again changes nothing.

    Raises NotFound, Conflict (live_session_state_conflict) for one that is over.
    """
    reply = await store.run(
        "revoke_live",
        id=_checked(job_id),
        actor=actor,
        reason=reason or "",
        metadata=_json({"reason": reason} if reason else {}),
        look_ms=LOOK_MS,
    )
    if reply[0] not in ("REVOKED", "UNCHANGED"):
        raise words.refused(reply[0], job_id)
    return _known(job_id, reply[1]).session


async def end_due(store: Store, limit: int = 100) -> int:
    """End those whose worker is silent, or whose attempt or time is over (L-8); how many."""
    (ended,) = await store.run("end_live", limit=limit, ready_ms=OPENING_MS, wait_ms=LOOK_MS)
    return int(ended)


def _known(job_id: str, flat: Sequence[str]) -> Known:
    stored = rendering.fields(flat)
    token = stored.get("token")
    return Known(
        session=_session(job_id, stored),
        version=int(stored.get("version", 0)),
        lease_token=int(token) if token else None,
        granted_until_ms=int(stored.get("rw_until", 0)),
        expires_ms=int(stored.get("expires_at", 0)),
        heard_ms=int(stored.get("heard_at", 0)),
    )


def _session(job_id: str, stored: Mapping[str, str]) -> LiveSession:
    def at(name: str) -> str | None:
        return to_rfc3339(int(stored[name])) if name in stored else None

    return LiveSession(
        id=stored["id"],
        task_run_id=job_id,
        provider=stored["provider"],  # type: ignore[arg-type]
        status=stored["status"],  # type: ignore[arg-type]
        attach_ro=stored.get("attach_ro"),
        web_ro=stored.get("web_ro"),
        worker_id=stored.get("worker"),
        worker_hostname=stored.get("host"),
        created_at=to_rfc3339(int(stored["created_at"])),
        ready_at=at("ready_at"),
        ended_at=at("ended_at"),
        expires_at=at("expires_at"),
        rw_granted_until=at("rw_until"),
        rw_granted_to=stored.get("rw_by"),
        last_heartbeat_at=at("heard_at"),
        error_message=stored.get("error"),
        requested_by_user_id=stored.get("asked_by"),
        revoked_by_user_id=stored.get("revoke"),
    )


def _allowed(ways: Ways, store: Store) -> Ways:
    """Without addresses of other servers' pages, unless they are allowed (L-11)."""
    if store.settings.live_session_allow_web:
        return ways
    return msgspec.structs.replace(
        ways,
        web_ro=ways.web_ro if _is_own(ways.web_ro) else None,
        web_rw=ways.web_rw if _is_own(ways.web_rw) else None,
    )


def _is_own(page: str | None) -> bool:
    """Browsers take `//host`, and `/` before a backslash or a tab, for other hosts."""
    return page is not None and _OWN.match(page) is not None


async def _sealed(store: Store, job_id: str, token: int, ways: Ways) -> str:
    """The ways to write; those that are stored already stay as they are, since each sealing differs."""
    writing = msgspec.json.encode({"attachRw": ways.attach_rw, "webRw": ways.web_rw})
    if ways.attach_rw is None and ways.web_rw is None:
        return ""
    stored = await store.command("HGET", keys.job_live(job_id), "rw")
    belongs_to = _belongs_to(job_id, str(token))
    if stored:
        try:
            if store.settings.live_keys.open(stored, belongs_to=belongs_to) == writing:
                return str(stored)
        except ConfigurationError:
            pass
    try:
        return store.settings.live_keys.seal(writing, belongs_to=belongs_to)
    except ConfigurationError as error:
        raise Conflict(error.detail, code="live_session_state_conflict") from error


def _open(store: Store, job_id: str, stored: Sequence[str | None]) -> Ways:
    sealed, token = stored
    if not sealed:
        return Ways()
    try:
        opened = store.settings.live_keys.open(sealed, belongs_to=_belongs_to(job_id, token or ""))
    except ConfigurationError as error:
        raise Conflict(error.detail, code="live_session_state_conflict") from error
    return msgspec.json.decode(opened, type=Ways)


def _belongs_to(job_id: str, token: str) -> str:
    return f"live session of {job_id} under lease {token}"


def _checked(job_id: str) -> str:
    if not ID_PATTERN.match(job_id):
        raise words.refused("JOB_NOT_FOUND", job_id)
    return job_id


def _refused(word: str, job_id: str, store: Store) -> Exception:
    if word == "FULL":
        most = store.settings.max_control_events
        return TooLarge(
            f"job {job_id} has had {most:,} control events (SLUICEGATE_MAX_CONTROL_EVENTS): "
            "only a resume or a revoke is accepted"
        )
    return words.refused(word, job_id)


def _json(value: dict[str, object]) -> bytes:
    return msgspec.json.encode(value, order="sorted")
