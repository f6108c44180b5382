"""Pauses of one type, repository, capability or worker, beside the switch for all workers (P-12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sluicegate import keys
from sluicegate.errors import BadRequest, Conflict
from sluicegate.model import NarrowPause, PauseMode, Pauses, PauseScope
from sluicegate.pauses import MOST, name_of
from sluicegate.store import rendering
from sluicegate.store.connection import Store


async def read(store: Store) -> Pauses:
    """Those in force, by scope and value."""
    version, records = await store.commands(("HGET", keys.META, "pauses_version"), ("HGETALL", keys.PAUSES))
    return rendering.pauses(version or "0", records)


async def change(
    store: Store,
    *,
    scope: PauseScope,
    value: str,
    action: Literal["pause", "resume"],
    mode: PauseMode | None = None,
    reason: str | None = None,
    actor: str,
    until_ms: int | None = None,
    expected_version: int | None = None,
) -> NarrowPause:
    """Pause what is of this scope and value, or let it go on; the pause then, with no mode once lifted.

    value: a repository in canonical form.

    From the return of a pause on, no claim opens an attempt that it covers; after that of a resume, claims
    see all that it held back. Resumed only in part, when this is cut short, the sweeper goes on with it.
    Raises BadRequest (until), Conflict: pause_unchanged, version_conflict, too_many_pauses.
    """
    name = name_of(scope, value)
    reply = await store.run(
        "pause_some",
        repeatable=expected_version is not None,
        name=name,
        value=value,
        action=action,
        mode=mode or "",
        reason=reason or "",
        actor=actor,
        until_ms=0 if until_ms is None else max(until_ms, 1),
        expected_version=-1 if expected_version is None else expected_version,
    )
    match reply[0]:
        case "UNTIL_PASSED":
            raise BadRequest.field("until", "must lie in the future, by the store's clock")
        case "UNCHANGED":
            raise Conflict("nothing would change", code="pause_unchanged")
        case "VERSION_CONFLICT":
            now = int(reply[1])
            raise Conflict(f"this pause is at version {now}", code="version_conflict", version=now)
        case "TOO_MANY":
            raise Conflict(f"{MOST} pauses are in force: lift one first", code="too_many_pauses")
        case "MORE":
            await bring_back(store)
    return rendering.narrow_pause(name, reply[1])


async def bring_back(store: Store) -> int:
    """Give back what lifted pauses held back, slice by slice, whoever lifted them; how many slices."""
    slices = 1
    while (await store.run("bring_back"))[0] == "MORE":
        slices += 1
    return slices


async def repair(store: Store) -> Sequence[str]:
    """Make the records and what claims look at agree, in doubt paused; the names of those that differed."""
    names: list[str] = (await store.run("repair_pauses"))[0]
    return names
