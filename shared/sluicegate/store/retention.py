"""Removing what is old: ended jobs with all their keys, audit entries that were exported (Q-15)."""

from __future__ import annotations

from collections.abc import Sequence

from sluicegate import keys
from sluicegate.errors import RequestError
from sluicegate.store import words
from sluicegate.store.connection import Store


async def due(store: Store, status: str, *, older_than_ms: int, keep: int, limit: int = 100) -> list[str]:
    """Ended jobs to remove, oldest first: past their time, or beyond the `keep` newest of their status."""
    now = await store.now_ms()
    key = keys.status(status)
    beyond = int(await store.command("ZCARD", key)) - keep
    if beyond > 0:
        return list(await store.command("ZRANGE", key, 0, min(beyond, limit) - 1))
    if older_than_ms < 0:
        return []
    return list(await store.command("ZRANGEBYSCORE", key, "-inf", now - older_than_ms, "LIMIT", 0, limit))


async def remove(store: Store, status: str, job_ids: Sequence[str]) -> list[RequestError | None]:
    """Delete all keys of these ended jobs; their files must be gone. Per id None, or why not."""
    replies = await store.run_many(
        "retention", [(job_id, status) for job_id in job_ids], before_ms=await store.now_ms()
    )
    return words.outcomes(replies, job_ids)


async def oldest_audit(
    store: Store, *, older_than_ms: int, keep: int, limit: int = 1000
) -> list[tuple[str, list[str]]]:
    """The oldest audit entries, past their time or beyond the `keep` newest: export, then `drop_audit`."""
    beyond = int(await store.command("XLEN", keys.AUDIT)) - keep
    if beyond > 0:
        return list(await store.command("XRANGE", keys.AUDIT, "-", "+", "COUNT", min(beyond, limit)))
    past = await store.now_ms() - older_than_ms
    return list(await store.command("XRANGE", keys.AUDIT, "-", past, "COUNT", limit)) if past > 0 else []


async def drop_audit(store: Store, entry_ids: Sequence[str]) -> None:
    """Delete exported entries by id: repeating it is harmless."""
    await store.command("XDEL", keys.AUDIT, *entry_ids)
