"""The switch that stops new work on all workers (P rows)."""

from __future__ import annotations

from typing import Literal, NamedTuple

from sluicegate import keys
from sluicegate.errors import BadRequest, Conflict
from sluicegate.model import Counts, NarrowPause, PauseMode, SystemState
from sluicegate.store import figures, rendering
from sluicegate.store.connection import Store


async def read(store: Store) -> SystemState:
    """The pause state. Raises StoreUninitialised when the record is missing: that is not "not paused"."""
    return rendering.system(await store.command("HGETALL", keys.PAUSE))


async def change(
    store: Store,
    *,
    action: Literal["pause", "resume"],
    mode: PauseMode | None = None,
    reason: str | None = None,
    actor: str,
    force: bool = False,
    until_ms: int | None = None,
    expected_version: int | None = None,
) -> SystemState:
    """Pause or resume; the state as it is then. From the return on, no claim opens an attempt (P-1).

    until_ms: when the pause ends by itself, by the store's clock. A pause that is changed is described anew
    as a whole: without until_ms it has no end any more.
    Raises BadRequest (until), Conflict: pause_unchanged, not_drained (with metrics), version_conflict.
    """
    reply = await store.run(
        "pause",
        repeatable=expected_version is not None,
        action=action,
        mode=mode or "",
        reason=reason or "",
        actor=actor,
        force=int(force),
        until_ms=0 if until_ms is None else max(until_ms, 1),
        expected_version=-1 if expected_version is None else expected_version,
    )
    match reply[0]:
        case "UNTIL_PASSED":
            raise BadRequest.field("until", "must lie in the future, by the store's clock")
        case "UNCHANGED":
            already = (
                "the workers are paused already, in this mode and for this reason"
                if action == "pause"
                else "the workers are running already"
            )
            raise Conflict(already, code="pause_unchanged")
        case "VERSION_CONFLICT":
            state = rendering.system(reply[1]) if reply[1] else None
            now = state.version if state else 0
            raise Conflict(f"the pause state is at version {now}", code="version_conflict", version=now)
        case "NOT_DRAINED":
            counts = await _counts(store)
            running = counts.running + counts.stale_running
            still = f"{running} {'job' if running == 1 else 'jobs'} still {'runs' if running == 1 else 'run'}"
            stale = f", {counts.stale_running} of them stale" if counts.stale_running else ""
            raise Conflict(
                f"{still}{stale}: wait for the drain, or force the resume",
                code="not_drained",
                metrics=metrics(counts),
            )
    return rendering.system(reply[0])


class Ended(NamedTuple):
    """What has come to its time: the state of all workers, if that has; narrower pauses, up to 20 of them."""

    system: SystemState | None
    lifted: list[NarrowPause]


async def end_due(store: Store) -> Ended:
    """Let go on what was paused until a time that has come (P-13); `narrow_pauses.bring_back` is due then.

    Jobs may still run. A change that came before is obeyed: the time counts that stands in the record now.
    """
    resumed, lifted = await store.run("end_pauses")
    return Ended(
        rendering.system(resumed) if resumed else None,
        [rendering.narrow_pause(*each) for each in rendering.fields(lifted).items()],
    )


def metrics(counts: Counts) -> dict[str, int | bool]:
    """The counts as the pause calls report them (P-6)."""
    return {
        "queued": counts.queued,
        "delayed": counts.delayed,
        "running": counts.running,
        "staleRunning": counts.stale_running,
        "isDrained": counts.is_drained,
    }


async def _counts(store: Store) -> Counts:
    return (await figures.read(store)).counts
