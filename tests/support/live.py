"""A live session as the store keeps it, in the state that a test starts from."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.store.connection import Store

HOUR_MS = 3_600_000


async def session(
    store: Store,
    job_id: str,
    token: int,
    *,
    status: str = "ready",
    granted_to: str | None = None,
    for_ms: int = HOUR_MS,
) -> None:
    """The run's session, held by the attempt of this token; with a grant when `granted_to` is given."""
    now = await store.now_ms()
    grant = ["rw_by", granted_to, "rw_until", now + for_ms] if granted_to else []
    times = ["created_at", now, "heard_at", now, "expires_at", now + HOUR_MS]
    key = keys.job_live(job_id)
    version = await store.command("HINCRBY", keys.job(job_id), "live", 1)
    await store.commands(
        ("DEL", key),
        ("HSET", key, "id", "session-1", "provider", "browser", "status", status, "token", token),
        ("HSET", key, "worker", "worker-1", "version", version, *times, *grant),
        ("PEXPIRE", key, HOUR_MS),
        ("XADD", keys.EVENTS, "*", "kind", "live", "jobs", job_id),
    )
