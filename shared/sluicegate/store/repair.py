"""Making what is derived agree again with what it is derived from; never inventing a job or a state."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.store.connection import Store


async def reconcile(store: Store) -> list[str]:
    """Check every lane against its stream and correct it; what differed, as sentences. Not while paused."""
    found: list[str] = []
    names = set(await store.command("HKEYS", keys.LANES)) | set(
        await store.command("ZRANGE", keys.READY, 0, -1)
    )
    ordered = sorted(names)
    for start in range(0, len(ordered), 100):
        part = ordered[start : start + 100]
        reply = await store.run("reconcile_lanes", [(name,) for name in part])
        if reply[0] == "PAUSED":
            return found
        found += [
            f"lane {name}: {word.removeprefix('FIXED ')}"
            for name, word in zip(part, reply[0], strict=True)
            if word != "OK"
        ]
    return found


async def restore_pause(store: Store) -> bool:
    """Write a lost pause record anew from the audit; whether it was lost (P-11: in doubt it is paused)."""
    reply = await store.run("repair_pause")
    return bool(reply[0] == "RESTORED")
