"""Setting right what contradicts itself: nothing is made up, and each repair judges anew before it writes.

So a store may be at work meanwhile: what has changed since it was found is left alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from sluicegate import keys
from sluicegate.store import lane_invariants, limits, narrow_pauses
from sluicegate.store.connection import Store
from sluicegate.store.findings import Finding, of_word

LEASE_MS: Final = 60_000
"""For a running job that has none: longer than workers take from one heartbeat to the next."""
EXPIRY_SECONDS: Final = 86_400
REBUILD: Final = "|rebuild=1|"
"""Limits of nothing: unlike any that are in force, and never in force themselves."""
MOST: Final = 25
"""Jobs that one call repairs, some thirty commands each."""


async def apply(store: Store, findings: Sequence[Finding]) -> None:
    """Repair what a script can, in the order in which one repair rests on another.

    Repeating it is safe, also after it was cut short. What comes to light by it is for the next survey.
    """
    for name, repair in REPAIRS.items():
        if mine := [finding for finding in findings if finding.kind.by == name]:
            await repair(store, mine)


async def reconcile(store: Store) -> list[str]:
    """Check every lane that is listed and correct it; what differed, as sentences. Not while paused."""
    found: list[str] = []
    lanes = sorted(await lane_invariants.listed(store))
    for start in range(0, len(lanes), 100):
        part = lanes[start : start + 100]
        reply = await store.run("reconcile_lanes", [(name,) for name in part], paused_too=0)
        if reply[0] == "PAUSED":
            return found
        found += [
            of_word(word, name).sentence for name, words in zip(part, reply[0], strict=True) for word in words
        ]
    return found


async def restore_pause(store: Store) -> bool:
    """Write a lost pause record anew from the audit; whether it was lost (P-11: in doubt it is paused)."""
    reply = await store.run("repair_pause")
    return bool(reply[0] == "RESTORED")


async def _fields(store: Store, findings: Sequence[Finding]) -> None:
    """fix: key, field, the value that was seen, and the one that is right."""
    items = [(fix[0].removeprefix(keys.Q), *fix[1:]) for fix in _fixes(findings)]
    await store.run_many("mend_fields", items)


async def _pause(store: Store, findings: Sequence[Finding]) -> None:
    await restore_pause(store)


async def _pauses(store: Store, findings: Sequence[Finding]) -> None:
    await narrow_pauses.repair(store)
    await narrow_pauses.bring_back(store)


async def _payloads(store: Store, findings: Sequence[Finding]) -> None:
    """fix: the spec as it was seen, and one without payload."""
    await store.run_many(
        "write_off",
        [(finding.it, *finding.fix) for finding in findings],
        actor="doctor",
        reason="its payload was lost with a part of its record: enqueue it again",
    )


async def _entries(store: Store, findings: Sequence[Finding]) -> None:
    """fix: lane or `dead`, and the entry."""
    await store.run_many("drop_entries", _fixes(findings))


async def _jobs(store: Store, findings: Sequence[Finding]) -> None:
    for part in _parts(_subjects(findings), MOST):
        await store.run("repair_jobs", [(job_id,) for job_id in part], lease_ms=LEASE_MS)


async def _lanes(store: Store, findings: Sequence[Finding]) -> None:
    for part in _parts(_subjects(findings), MOST):
        await store.run("reconcile_lanes", [(name,) for name in part], paused_too=1)


async def _policies(store: Store, findings: Sequence[Finding]) -> None:
    await store.run("repair_policies", [(policy,) for policy in _subjects(findings)])


async def _limits(store: Store, findings: Sequence[Finding]) -> None:
    """Changed and changed back: each change works all slots and held-back lanes out anew."""
    text, by = await store.command("HMGET", keys.META, "limits", "limits_by")
    for each in (REBUILD, text or ""):
        await store.run("set_limits", text=each, by=by or "doctor")
    await limits.apply(store)


async def _strays(store: Store, findings: Sequence[Finding]) -> None:
    await store.run_many("forget_strays", [(job_id,) for job_id in _subjects(findings)])


async def _expiries(store: Store, findings: Sequence[Finding]) -> None:
    """NX: one that has got its expiry meanwhile keeps it."""
    for key in _subjects(findings):
        await store.command("EXPIRE", key, EXPIRY_SECONDS, "NX")


def _fixes(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    return [finding.fix for finding in findings]


def _subjects(findings: Sequence[Finding]) -> list[str]:
    return sorted({finding.it for finding in findings})


def _parts(subjects: Sequence[str], most: int) -> list[Sequence[str]]:
    return [subjects[start : start + most] for start in range(0, len(subjects), most)]


REPAIRS: Final[dict[str, Callable[[Store, Sequence[Finding]], Awaitable[None]]]] = {
    "fields": _fields,
    "policies": _policies,
    "pause": _pause,
    "pauses": _pauses,
    "entries": _entries,  # before jobs are put back: one that stands in two places might run twice
    "payloads": _payloads,
    "jobs": _jobs,
    "lanes": _lanes,  # after jobs: what they no longer refer to is out of the streams
    "limits": _limits,
    "strays": _strays,
    "expiries": _expiries,
}
"""What repairs each kind of fault (findings.Kind.by), in order."""
