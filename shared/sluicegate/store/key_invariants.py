"""Says which keys are not the queue's, of a wrong type, without the expiry they need, or kept for nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sluicegate import keys
from sluicegate.model import STATUSES
from sluicegate.store.connection import PARTITIONS, Store
from sluicegate.store.findings import Finding, Findings
from sluicegate.store.flow import DAY, HOUR
from sluicegate.store.pages import at_once, key_pages
from sluicegate.store.rendering import fields
from sluicegate.store.scripts import SCHEMA_VERSION

TYPES: Final = ("string", "list", "set", "zset", "hash", "stream")
FREE: Final = {"<key>", "<lane>", "<class>", "<policy>", "<worker>"}
"""What may hold a colon itself."""


class Known(NamedTuple):
    """A key of the catalogue: how its names look, and what it is."""

    name: str
    pattern: re.Pattern[str]
    type: str


def _known() -> dict[str, list[Known]]:
    """The catalogue by the first word of the names, the longest first."""
    found: dict[str, list[Known]] = {}
    for name, words in sorted(keys.CATALOGUE.items(), key=lambda item: -len(item[0])):
        parts = re.split(r"(<[^>]+>)", name)
        text = "".join(
            (".+" if part in FREE else "[^:]+") if part.startswith("<") else re.escape(part) for part in parts
        )
        known = Known(name, re.compile(text), words.split(":")[0].split(",")[0])
        found.setdefault(name.partition(":")[0], []).append(known)
    return found


async def foundation(store: Store) -> Findings:
    """What no script works without."""
    meta = fields(await store.command("HGETALL", keys.META))
    pause = await store.command("HGET", keys.PAUSE, "version")
    if "version" not in meta:
        yield Finding("no_version", keys.META, fix=(keys.META, "version", "", str(SCHEMA_VERSION)))
    elif meta.get("partitions") != str(PARTITIONS):
        yield _wrong_meta("partitions", meta, str(PARTITIONS))
    elif not meta.get("pause_version", "").isdecimal():
        yield _wrong_meta("pause_version", meta, pause if pause and pause.isdecimal() else "0")
    elif not meta.get("pauses_version", "0").isdecimal():
        # Beyond all that were ever given out, which were counted up one by one.
        yield _wrong_meta("pauses_version", meta, str(await store.now_ms()))
    elif not meta.get("created_at", "").isdecimal():
        yield _wrong_meta("created_at", meta, str(await store.now_ms()))


def _wrong_meta(field: str, meta: dict[str, str], value: str) -> Finding:
    return Finding("wrong_meta", keys.META, field, (keys.META, field, meta.get(field, ""), value))


async def survey(store: Store) -> Findings:
    """Every key that begins with ours."""
    catalogue = _known()
    for type in TYPES:
        async for names in key_pages(store, f"{keys.Q}*", type):
            kept: set[str] = set()
            expiring: list[str] = []
            unknown: list[str] = []
            unique: list[str] = []
            for name in names:
                known = _find(catalogue, name.removeprefix(keys.Q))
                if known is None:
                    unknown.append(name)
                elif known.type != type:
                    yield Finding("wrong_type", name, type)
                elif known.name.startswith("job:<id>:"):
                    kept.add(name.removeprefix(keys.job("")).partition(":")[0])
                elif known.name in keys.EXPIRING:
                    expiring.append(name)
                    if known.name.startswith("unique:"):
                        unique.append(name)
            for name in await _for_ever(store, unknown):
                yield Finding("unknown_key", name)
            for name in await _for_ever(store, expiring):
                yield Finding("no_expiry", name)
            for job_id in await _without_record(store, sorted(kept)):
                yield Finding("stray", job_id)
            for job_id in await _named(store, unique):
                yield Finding("key_of_removed", job_id)


def _find(catalogue: dict[str, list[Known]], name: str) -> Known | None:
    candidates = catalogue.get(name.partition(":")[0], ())
    return next((known for known in candidates if known.pattern.fullmatch(name)), None)


async def _for_ever(store: Store, names: Sequence[str]) -> list[str]:
    times = await store.commands(*(("PTTL", name) for name in names)) if names else []
    return [name for name, time in zip(names, times, strict=True) if time == -1]


async def _without_record(store: Store, job_ids: Sequence[str]) -> list[str]:
    """Those whose record is gone while something of them is kept, in one moment."""
    if not job_ids:
        return []
    there = await store.commands(*(("EXISTS", keys.job(job_id)) for job_id in job_ids))
    found = []
    for job_id in (job_id for job_id, record in zip(job_ids, there, strict=True) if not record):
        record, kept = await at_once(store, [("EXISTS", keys.job(job_id)), ("EXISTS", *_kept_with(job_id))])
        if kept and not record:
            found.append(job_id)
    return found


def _kept_with(job_id: str) -> Iterator[str]:
    for name in keys.CATALOGUE:
        if name.startswith("job:<id>:"):
            yield keys.Q + name.replace("<id>", job_id)


async def _named(store: Store, names: Sequence[str]) -> list[str]:
    """The jobs that idempotency keys name, and that are gone."""
    if not names:
        return []
    values = await store.command("MGET", *names)
    job_ids = [value.rpartition(" ")[2] for value in values if value]
    there = await store.commands(*(("EXISTS", keys.job(job_id)) for job_id in job_ids))
    return [job_id for job_id, record in zip(job_ids, there, strict=True) if not record]


async def counters(store: Store) -> Findings:
    """Totals are numbers of things: a transition fails half way on one that is none."""
    now = await store.now_ms()
    names = [keys.COUNTERS]
    for seconds, shown in (HOUR, DAY):
        last = now // (seconds * 1000)
        names += [keys.flow(seconds, last - ago) for ago in range(shown + 1)]
    for key, found in zip(names, await store.commands(*(("HGETALL", key) for key in names)), strict=True):
        for name, value in fields(found).items():
            if not value.isdecimal():
                yield Finding("wrong_counter", key, name, (key, name, value, "0"))


async def is_empty(store: Store) -> bool:
    """Whether no queue was ever laid out here."""
    laid_out = (keys.META, keys.PAUSE, keys.AUDIT, keys.LANES, *(keys.status(name) for name in STATUSES))
    return not await store.command("EXISTS", *laid_out)
