"""How the store's server is doing, and whether it is set up to keep what it acknowledged (DESIGN 8)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from sluicegate.store import preflight
from sluicegate.store.connection import Store

NEVER_FILLED: Final = "noeviction"


class ServerHealth(Struct, frozen=True, kw_only=True):
    """max_memory_bytes: 0 for no limit. unsafe: by check, whether what is acknowledged may be lost; a check
    that the server does not answer is not among them."""

    used_memory_bytes: int
    max_memory_bytes: int
    connections: int
    max_connections: int
    unsafe: dict[str, bool]


async def read(store: Store) -> ServerHealth | None:
    """Ask it; None for a server that does not say. Raises StoreUnavailable."""
    info, configured = await store.commands(
        ("INFO", "memory", "persistence", "clients"), ("CONFIG", "GET", "appendfsync"), keep_errors=True
    )
    if not isinstance(info, str):
        return None
    figures = preflight.parsed(info)
    fsync = str(configured[1]) if isinstance(configured, list) and configured else None
    return ServerHealth(
        used_memory_bytes=int(figures.get("used_memory", 0)),
        max_memory_bytes=int(figures.get("maxmemory", 0)),
        connections=int(figures.get("connected_clients", 0)),
        max_connections=int(figures.get("maxclients", 0)),
        unsafe=_unsafe(figures, fsync, must_sync=store.settings.durability != "relaxed"),
    )


def _unsafe(figures: preflight.Info, fsync: str | None, *, must_sync: bool) -> dict[str, bool]:
    """eviction: the server would delete jobs when it is full. append_only: a restart loses jobs. fsync: less
    is on disk than SLUICEGATE_DURABILITY promises. append_write, snapshot_write: the last write failed."""
    found: dict[str, bool] = {}
    if policy := figures.get("maxmemory_policy"):
        found["eviction"] = policy != NEVER_FILLED
    if enabled := figures.get("aof_enabled"):
        found["append_only"] = enabled != "1"
        if fsync is not None:
            found["fsync"] = must_sync and (enabled, fsync) != ("1", "always")
    if status := figures.get("aof_last_write_status"):
        found["append_write"] = status != "ok"
    if status := figures.get("rdb_last_bgsave_status"):
        found["snapshot_write"] = status != "ok"
    return found
