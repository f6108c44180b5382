"""What holds for each script alike: it touches no other kind of store, and makes no key of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sluicegate import keys
from sluicegate.errors import StoreUninitialised, StoreVersionMismatch
from sluicegate.settings import Settings
from sluicegate.store import (
    audit,
    cancellation,
    controls,
    dead_letters,
    endings,
    events,
    jobs,
    live_sessions,
    messages,
    narrow_pauses,
    pause,
    scripts,
    shelves,
    sweeping,
    terminals,
)
from sluicegate.store import workers as presence
from sluicegate.store.connection import Store
from tests.support import leftovers, live
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder
from tests.support.tokens import worker_token

NUMBERS = {"integer": 1, "number": 1.0, "text": "x"}
NAMES = [name for name in scripts.names() if "Store" not in scripts.script(name).header]


def call(name: str) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """Arguments that fit the header, one item."""
    chosen = scripts.script(name)
    args = {slot.name: NUMBERS[slot.kind] for slot in chosen.args}
    return ([tuple(NUMBERS[slot.kind] for slot in chosen.each)] if chosen.each else []), args


@pytest.mark.damages_the_store
@pytest.mark.parametrize("name", NAMES)
async def test_a_store_without_meta_is_never_an_empty_queue(
    store: Store, builder: JobBuilder, name: str
) -> None:
    await builder.running()
    await store.command("DEL", keys.META)
    before = await contents(store)
    items, args = call(name)
    with pytest.raises(StoreUninitialised):
        await store.run(name, items, **args)
    assert await contents(store) == before


@pytest.mark.damages_the_store
@pytest.mark.parametrize("name", NAMES)
async def test_a_store_of_another_version_is_left_alone(store: Store, builder: JobBuilder, name: str) -> None:
    await builder.running()
    await store.command("HSET", keys.META, "version", "9")
    before = await contents(store)
    items, args = call(name)
    with pytest.raises(StoreVersionMismatch):
        await store.run(name, items, **args)
    assert await contents(store) == before


@pytest.mark.damages_the_store
async def test_the_version_before_works_too(store: Store, builder: JobBuilder) -> None:
    """A rolling upgrade: both versions on one store."""
    await store.command("HSET", keys.META, "version", str(scripts.SCHEMA_VERSION - 1))
    made = await builder.running()
    await builder.ended(made, endings.Complete(made.job_id, made.token))


def test_each_script_has_its_tests() -> None:
    """One file per script, which names it."""
    folder = Path(__file__).parent
    missing = [name for name in scripts.names() if not (folder / f"test_{name}.py").exists()]
    assert missing == []


@pytest.mark.parametrize("name", scripts.names())
def test_memory_never_stops_what_frees_it(name: str) -> None:
    """At maxmemory attempts still end, or every lease would expire just then; enqueue is refused."""
    freeing = {
        "heartbeat", "complete", "fail", "release", "cancel", "cancel_ack", "expire_leases", "condemn",
        "retention", "pause", "pause_some", "bring_back", "end_pauses", "control", "answer_control",
        "keep_token", "set_limits", "apply_limits", "report_live", "renew_live", "revoke_live", "end_live",
    }  # fmt: skip
    flags = scripts.script(name).header.get("Flags", [])
    assert ("allow-oom" in flags) == (name in freeing)


async def test_no_key_outside_the_catalogue_is_ever_made(store: Store, builder: JobBuilder) -> None:
    """Each job state, each call, each index; and what may last for ever is told from what expires."""
    await everything_happens(store, builder)
    found = [name async for name in all_keys(store)]
    patterns = {name: re.sub(r"<[^>]+>", "*", keys.Q + name) for name in keys.CATALOGUE}
    assert [name for name in found if not leftovers.matches(name, patterns.values())] == []
    made = {
        entry
        for entry, pattern in patterns.items()
        if any(leftovers.matches(name, [pattern]) for name in found)
    }
    assert made == set(keys.CATALOGUE), "the catalogue names keys that nothing makes"


async def test_every_event_can_be_shown(store: Store, builder: JobBuilder) -> None:
    """Q-5: each lifecycle event has a level, a sentence, and its name in the payload."""
    await everything_happens(store, builder)
    shown: set[str] = set()
    async for name in all_keys(store):
        if found := re.fullmatch(re.escape(keys.job("")) + "([^:]+)", name):
            page = await events.page(store, found[1], limit=500)
            assert all(event.message and event.level in ("info", "warn", "error") for event in page)
            shown.update(str((event.payload or {}).get("kind")) for event in page)
    assert shown >= set(events.LIFECYCLE)


async def everything_happens(store: Store, builder: JobBuilder) -> None:
    """Every transition at least once, on jobs that are left in every state."""
    number = itertools.count()

    def other() -> dict[str, str]:
        return {"type": f"t{next(number)}"}

    for state in builder.by_state:
        await builder.made(state, **other())
    due = await builder.delayed(delay_ms=1, **other())
    await builder.until_due(due)
    await sweeping.promote_due(store)
    await builder.stale(**other())
    await sweeping.expire_leases(store)
    await builder.waiting(unique="ann:key", fingerprint="f", **other())
    dead = await builder.dead_letter(**other())
    await dead_letters.redrive(store, [dead.job_id], actor="ann", reason="again")
    await dead_letters.condemn(store, [(await builder.dead_letter(**other())).job_id])
    await builder.running(affinity_key="k", **other())
    await builder.waiting(affinity_key="k", **other())
    await builder.claim(limit=0)
    late = await builder.cancelling(**other())
    await builder.ended(late, endings.Complete(late.job_id, late.token))
    waiting = await builder.waiting(**other())
    await cancellation.cancel(store, waiting.job_id, actor="ann", reason="enough")
    running = await builder.running(**other())
    asked = {"action": "retry_step", "requestedByUserId": "ann"}
    for outcome in ("ack", "rejected"):
        for action in ("pause", "retry_step"):
            recovery = asked | {"reason": outcome} if action == "retry_step" else None
            await controls.request(
                store, running.job_id,
                controls.Request(action=action, actor="ann", recovery=recovery, metadata={}),
            )  # fmt: skip
        found = (await jobs.get(store, running.job_id)).payload["liveControl"]["recovery"]
        await controls.answer(
            store, "worker-1", running.job_id, 1, what="recovery", request_id=found["id"], outcome=outcome
        )
    await messages.send(store, running.job_id, "hello", actor="ann")
    for end in ("ended", "error", "revoked"):
        await live_sessions.ask(store, running.job_id, "browser", actor="ann")
        await live_sessions.report(store, "worker-1", running.job_id, 1, "ready")
        if end == "revoked":
            await live_sessions.grant(store, running.job_id, 1, actor="ann")
            await live_sessions.revoke(store, running.job_id, actor="ann")
        else:
            await live_sessions.report(store, "worker-1", running.job_id, 1, end)  # type: ignore[arg-type]
    for shelf in ("steps", "artifacts", "facts"):
        await store.run(
            "attach", worker="worker-1", id=running.job_id, token=1, shelf=shelf, name="n", value="v", once=1,
            most=0,
        )  # fmt: skip
    await store.run("drop_steps", worker="worker-1", id=running.job_id, token=1, first=1)
    limits = {"max_log_bytes": 1, "max_log_entries": 1}
    item = (running.job_id, 1, "info", "a long line", "", 1, 1)
    await store.run("append_events", [item], worker="worker-1", **limits)
    await live.session(store, running.job_id, 1, granted_to="ann")
    await terminals.keep_watched(store, [running.job_id])
    await terminals.show(store, "worker-1", running.job_id, 1, [terminals.Piece(0, "d", b"x")])
    await terminals.type_into(store, running.job_id, "ann", "d", b"x")
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="ann")
    await pause.change(store, action="resume", actor="ann", force=True)
    await narrow_pauses.change(
        store, scope="type", value="paused", action="pause", mode="drain", reason="upgrade", actor="ann"
    )
    await worker_token(store)
    await presence.announce(
        store,
        presence.Presence(
            worker_id="worker-1", host="h", pid=1, version="1", transport="redis", capabilities=[],
            types=None, slots=1, state="idle", jobs=[],
        ),
    )  # fmt: skip
    await store.hearing.claimed("worker-2", builder.everything)
    assert (await audit.page(store, limit=200))[0]
    assert await shelves.steps(store, waiting.job_id) == []


async def all_keys(store: Store) -> AsyncIterator[str]:
    cursor = "0"
    while True:
        cursor, names = await store.command("SCAN", cursor, "COUNT", 1000)
        for name in names:
            yield name
        if cursor == "0":
            return


async def test_a_forgotten_script_is_sent_again(store: Store, builder: JobBuilder, store_kind: str) -> None:
    """After a restart or failover the server knows no script: the call goes on, on the same connection."""
    await builder.waiting()
    await store.command("SCRIPT", "FLUSH")
    assert len(await builder.claim()) == 1


async def test_an_error_among_many_replies_poisons_nobody(store: Store, settings: Settings) -> None:
    """A reply left unread once answered the connection's next call."""
    found = await store.commands(
        ("SET", "{sg:0}:pause2", "x"), ("HGET", "{sg:0}:pause2", "f"), ("DEL", "{sg:0}:pause2"),
        keep_errors=True,
    )  # fmt: skip
    assert (found[0], found[2]) == ("OK", 1)
    assert isinstance(found[1], Exception)
    with pytest.raises(Exception, match="WRONGTYPE"):
        await store.commands(("TIME",), ("GET", keys.META), ("PING",))
    assert await store.command("PING") == "PONG"
