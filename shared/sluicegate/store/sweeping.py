"""Time's hand: due jobs and expired leases. Each call is one atomic script: two sweepers share the work."""

from __future__ import annotations

from sluicegate.store import endings
from sluicegate.store.connection import Store


async def promote_due(store: Store, limit: int = 100) -> int | None:
    """Move due delayed jobs into their lanes; how many, None while paused."""
    reply = await store.run("promote_due", limit=limit)
    return None if reply[0] == "PAUSED" else int(reply[0])


async def expire_leases(store: Store, limit: int = 100) -> int | None:
    """Requeue or end jobs whose lease has run out (Q-9); how many, None while paused (P-4)."""
    reply = await store.run(
        "expire_leases", [(endings.chance(),) for _ in range(limit)], **endings.backoff(store.settings)
    )
    return None if reply[0] == "PAUSED" else int(reply[0])


async def forget_policies(store: Store, idle_seconds: float = 600) -> int | None:
    """Drop worker policies that no claim used for a time; how many, None while paused."""
    reply = await store.run("forget_policies", idle_ms=int(idle_seconds * 1000))
    return None if reply[0] == "PAUSED" else int(reply[0])
