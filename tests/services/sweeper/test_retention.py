"""Retention: what is old or too many goes, files before keys, the audit once it is in a file (Q-15)."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.sweeper.retention import Retention
from sluicegate import artifacts, keys
from sluicegate.errors import Conflict, NotFound
from sluicegate.operations import credentials, removal
from sluicegate.settings import Settings, SweeperSettings
from sluicegate.store import (
    Store,
    audit,
    cancellation,
    dead_letters,
    invariants,
    jobs,
    pause,
    retention,
    tokens,
)
from sluicegate.store.endings import Complete, Fail
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder, Made, now_ms
from tests.support.tokens import worker_token
from tests.support.wait import until

DAY_MS = 86_400_000
NONE = {"succeeded": 0, "failed": 0, "cancelled": 0, "dead_letters": 0, "audit": 0, "tokens": 0}


@pytest.fixture
def builder(store: Store) -> JobBuilder:
    return JobBuilder(store)


@pytest.fixture
def sweeper_settings(settings: Settings) -> SweeperSettings:
    return SweeperSettings(**msgspec.structs.asdict(settings))


def loop(store: Store, settings: SweeperSettings, **changes: Any) -> Retention:
    return Retention(store, msgspec.structs.replace(settings, **changes))


async def aged(store: Store, made: Made, status: str, days: float) -> Made:
    """As if the job had ended so long ago."""
    ended = await now_ms(store) - int(days * DAY_MS)
    await store.command("ZADD", keys.status(status), ended, made.job_id)
    return made


async def with_file(store: Store, settings: Settings, builder: JobBuilder, **described: Any) -> Made:
    """A running job with an artifact."""
    made = await builder.running(**described)
    files = artifacts.open_store(settings)

    async def content() -> Any:
        yield b"patch"

    await artifacts.keep(
        store, files, "patch", content(), job_id=made.job_id, worker_id=made.worker, lease_token=made.token,
        limit=100,
    )  # fmt: skip
    return made


def folder(settings: Settings, made: Made) -> Path:
    return settings.artifacts_dir / made.job_id


async def exists(store: Store, made: Made) -> bool:
    found = [name for name in await contents(store) if made.job_id in name]
    assert (await jobs.read(store, [made.job_id]) == [None]) == (not found)
    return bool(found)


@pytest.mark.parametrize(
    ("status", "kept_days", "old_days"),
    [("succeeded", 6.9, 7.1), ("failed", 29.9, 30.1), ("cancelled", 29.9, 30.1)],
)
async def test_each_status_has_its_time(
    store: Store, builder: JobBuilder, sweeper_settings: SweeperSettings, status: str, kept_days: float,
    old_days: float,
) -> None:  # fmt: skip
    """Q-15: succeeded 7 d, failed and cancelled 30 d."""
    kept = await aged(store, await builder.made(status, type="a"), status, kept_days)
    old = await aged(store, await builder.made(status, type="b"), status, old_days)
    sweep = loop(store, sweeper_settings)
    assert await sweep.run_once() == NONE | {status: 1}
    assert (await exists(store, kept), await exists(store, old)) == (True, False)
    assert await sweep.run_once() == NONE
    assert await invariants.check(store) == []


async def test_nothing_that_goes_on_is_touched(
    store: Store, builder: JobBuilder, sweeper_settings: SweeperSettings
) -> None:
    """Dead letters stay until they are purged."""
    made = {}
    for state in ("waiting", "delayed", "returned", "running", "stale", "cancelling", "dead_letter"):
        made[state] = await builder.made(state, type=state.replace("_", "-"))
    for status in ("queued", "running", "dead_letter"):
        for job_id in await store.command("ZRANGE", keys.status(status), 0, -1):
            await aged(store, Made(job_id), status, 1000)
    before = await contents(store)
    assert await loop(store, sweeper_settings).run_once() == NONE
    assert await contents(store) == before


async def test_the_time_is_a_setting(
    store: Store, builder: JobBuilder, sweeper_settings: SweeperSettings
) -> None:
    made = await aged(store, await builder.succeeded(), "succeeded", 0.5)
    assert await loop(store, sweeper_settings, retention_succeeded_seconds=3600).run_once() == (
        NONE | {"succeeded": 1}
    )
    assert not await exists(store, made)


@pytest.mark.parametrize(
    ("status", "setting", "count"),
    [
        ("succeeded", "retention_max_jobs", "succeeded"),
        ("failed", "retention_max_jobs", "failed"),
        ("cancelled", "retention_max_jobs", "cancelled"),
        ("dead_letter", "retention_max_dead_letters", "dead_letters"),
    ],
)
async def test_past_its_number_the_oldest_go(
    store: Store, builder: JobBuilder, sweeper_settings: SweeperSettings, status: str, setting: str,
    count: str,
) -> None:  # fmt: skip
    made = [await builder.made(status, type=f"kind-{number}") for number in range(4)]
    for number, each in enumerate(made):
        await aged(store, each, status, (4 - number) / 100)
    assert await loop(store, sweeper_settings, **{setting: 2}).run_once() == NONE | {count: 2}
    assert [await exists(store, each) for each in made] == [False, False, True, True]
    assert await invariants.check(store) == []


async def test_a_job_goes_with_all_its_keys_and_files(
    store: Store, builder: JobBuilder, sweeper_settings: SweeperSettings
) -> None:
    made = await with_file(store, sweeper_settings, builder)
    await builder.ended(made, Complete(made.job_id, made.token))
    assert list(folder(sweeper_settings, made).iterdir())
    await aged(store, made, "succeeded", 8)
    await loop(store, sweeper_settings).run_once()
    assert not await exists(store, made)
    assert not folder(sweeper_settings, made).exists()


async def test_a_crash_between_files_and_keys_is_finished_by_the_next_pass(
    store: Store, builder: JobBuilder, sweeper_settings: SweeperSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-15: files first. The other way round, files without a job would stay for ever."""
    made = await with_file(store, sweeper_settings, builder)
    await builder.ended(made, Complete(made.job_id, made.token))
    await aged(store, made, "succeeded", 8)

    async def crash(*_: Any, **__: Any) -> list[None]:
        raise KeyboardInterrupt

    sweep = loop(store, sweeper_settings)
    with monkeypatch.context() as patch:
        patch.setattr(retention, "remove", crash)
        with pytest.raises(KeyboardInterrupt):
            await sweep._remove("succeeded", 7 * 86_400, 10)
    assert not folder(sweeper_settings, made).exists()
    assert await exists(store, made)
    assert (await sweep.run_once())["succeeded"] == 1
    assert not await exists(store, made)


async def test_many_go_in_several_passes(
    store: Store, builder: JobBuilder, sweeper_settings: SweeperSettings
) -> None:
    """No pass is long; one that did something is followed by the next at once (tests/unit/test_loop.py)."""
    submissions = [builder.submission() for _ in range(150)]
    await builder.enqueued(*submissions)
    for each in submissions:
        await cancellation.cancel(store, each.id, actor="someone")
        await aged(store, Made(each.id), "cancelled", 31)
    sweep = loop(store, sweeper_settings)
    assert [(await sweep.run_once())["cancelled"] for _ in range(3)] == [100, 50, 0]


async def write_audit(store: Store, count: int) -> list[str]:
    """The ids of entries, oldest first."""
    for number in range(count):
        action = "resume" if number % 2 else "pause"
        await pause.change(
            store, action=action, mode=None if number % 2 else "drain", reason=f"no {number}", actor="someone"
        )  # fmt: skip
    return [entry_id for entry_id, _ in await store.command("XRANGE", keys.AUDIT, "-", "+")]


def exported(settings: Settings) -> list[dict[str, Any]]:
    text = (settings.data_dir / "audit" / "audit.jsonl").read_text()
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # half a line, where a crash cut it off
    return found


async def test_the_audit_is_exported_before_it_is_trimmed(
    store: Store, sweeper_settings: SweeperSettings
) -> None:
    ids = await write_audit(store, 6)
    shown = {entry.id: entry for entry in (await audit.page(store))[0]}
    sweep = loop(store, sweeper_settings, retention_max_audit=4)
    assert await sweep.run_once() == NONE | {"audit": 2}
    assert await sweep.run_once() == NONE
    assert [entry["id"] for entry in exported(sweeper_settings)] == ids[:2]
    assert exported(sweeper_settings) == [
        json.loads(msgspec.json.encode(shown[entry_id])) for entry_id in ids[:2]
    ]
    assert [entry.id for entry in (await audit.page(store))[0]] == list(reversed(ids[2:]))


async def test_the_audit_is_kept_for_a_time(store: Store, sweeper_settings: SweeperSettings) -> None:
    """Q-15: bounded in time as well as in number."""
    ids = await write_audit(store, 3)
    assert await loop(store, sweeper_settings).run_once() == NONE
    await until(partial(past, store, ids[-1]), "the clock to pass the last entry")
    assert await loop(store, sweeper_settings, retention_audit_seconds=0.001).run_once() == NONE | {
        "audit": 3
    }
    assert [entry["id"] for entry in exported(sweeper_settings)] == ids


async def past(store: Store, entry_id: str) -> bool:
    seconds, micros = await store.command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000 > int(entry_id.partition("-")[0]) + 1


async def test_after_a_crash_before_the_trimming_nothing_is_missing(
    store: Store, sweeper_settings: SweeperSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await write_audit(store, 5)
    sweep = loop(store, sweeper_settings, retention_max_audit=2)

    async def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retention, "drop_audit", crash)
        with pytest.raises(KeyboardInterrupt):
            await sweep._export_audit()
    assert len((await audit.page(store))[0]) == 5
    await sweep.run_once()
    kept = {entry.id for entry in (await audit.page(store))[0]}
    assert list(dict.fromkeys(entry["id"] for entry in exported(sweeper_settings))) == ids[:3]
    assert kept == set(ids[3:])


@pytest.mark.parametrize("cut", [1, 20])
async def test_half_a_line_spoils_no_other(store: Store, sweeper_settings: SweeperSettings, cut: int) -> None:
    """A crash in mid-write: the next entry was glued to the half one, unreadable, and then trimmed."""
    ids = await write_audit(store, 4)
    sweep = loop(store, sweeper_settings, retention_max_audit=3)
    await sweep.run_once()
    file = sweeper_settings.data_dir / "audit" / "audit.jsonl"
    file.write_bytes(file.read_bytes() + b'{"id":"0-0","control":"worker_pause"'[:cut])
    await write_audit(store, 2)
    await sweep.run_once()
    assert [entry["id"] for entry in exported(sweeper_settings)] == ids[:3]


async def test_paused_it_goes_on(
    store: Store, builder: JobBuilder, sweeper_settings: SweeperSettings
) -> None:
    """P-4."""
    made = await aged(store, await builder.succeeded(), "succeeded", 8)
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="someone")
    await loop(store, sweeper_settings).run_once()
    assert not await exists(store, made)


@pytest.mark.parametrize("cut", ["before the files", "between files and keys"])
async def test_a_purge_that_was_cut_short_is_ended(
    store: Store, builder: JobBuilder, sweeper_settings: SweeperSettings, monkeypatch: pytest.MonkeyPatch,
    cut: str,
) -> None:  # fmt: skip
    """Q-8, Q-15: once condemned it is audited, nobody redrives it, and in the end all of it is gone."""
    made = await with_file(store, sweeper_settings, builder, max_attempts=1)
    await builder.ended(made, Fail(made.job_id, made.token, "broken"))
    files = artifacts.open_store(sweeper_settings)

    async def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        place: tuple[object, str] = (files, "delete") if cut == "before the files" else (retention, "remove")
        patch.setattr(*place, crash)
        with pytest.raises(KeyboardInterrupt):
            await removal.purge(store, files, [made.job_id], actor="ann", reason="old")
    assert folder(sweeper_settings, made).exists() == (cut == "before the files")
    assert [(each.action, each.target) for each in (await audit.page(store))[0]] == [("purge", made.job_id)]
    (refused,) = await dead_letters.redrive(store, [made.job_id], actor="bob")
    assert isinstance(refused, Conflict)

    sweep = loop(store, sweeper_settings)
    assert await sweep.run_once() == NONE, "whoever began it may still be at it"
    await store.command("ZADD", keys.CONDEMNED, await now_ms(store) - 61_000, made.job_id)
    assert await sweep.run_once() == NONE | {"dead_letters": 1}
    assert not await exists(store, made) and not folder(sweeper_settings, made).exists()
    assert len((await audit.page(store))[0]) == 1


async def test_a_purge_that_was_cut_short_can_be_repeated(
    store: Store, builder: JobBuilder, sweeper_settings: SweeperSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-8: at once, by whoever asked."""
    made = await with_file(store, sweeper_settings, builder, max_attempts=1)
    await builder.ended(made, Fail(made.job_id, made.token, "broken"))
    files = artifacts.open_store(sweeper_settings)
    await dead_letters.condemn(store, [made.job_id], actor="ann")
    await files.delete(made.job_id)
    assert await removal.purge(store, files, [made.job_id], actor="ann") == [None]
    assert not await exists(store, made)
    (refused,) = await removal.purge(store, files, [made.job_id], actor="ann")
    assert isinstance(refused, NotFound)


async def test_only_what_is_condemned_loses_its_files(
    store: Store, builder: JobBuilder, sweeper_settings: SweeperSettings
) -> None:
    """Q-8: a redrive that came first keeps the job, and all that its next attempt needs."""
    made = await with_file(store, sweeper_settings, builder, max_attempts=1)
    await builder.ended(made, Fail(made.job_id, made.token, "broken"))
    await dead_letters.redrive(store, [made.job_id], actor="bob")
    files = artifacts.open_store(sweeper_settings)
    (refused,) = await removal.purge(store, files, [made.job_id], actor="ann")
    assert isinstance(refused, Conflict)
    assert list(folder(sweeper_settings, made).iterdir())


async def test_dead_tokens_go(
    store: Store, sweeper_settings: SweeperSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-11, Q-15: what accumulates is bounded."""
    issued = await worker_token(store)
    await credentials.revoke(store, "worker", issued.worker_token.id, actor="ann")
    assert await loop(store, sweeper_settings).run_once() == NONE
    monkeypatch.setattr(tokens, "KEPT_MS", -60_000)
    assert await loop(store, sweeper_settings).run_once() == NONE | {"tokens": 1}
