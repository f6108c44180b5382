"""A worker keeps the live session of its task, on both ways to the queue, and the task never notices."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import structs

from services.worker.terminal import live_session
from services.worker.terminal.browser import Browser
from sluicegate import keys
from sluicegate.model import Job, LiveSession
from sluicegate.sealing import SealingKeys, new_key
from sluicegate.settings import Settings
from sluicegate.store import Store, events, jobs, live_sessions, terminals
from sluicegate.store.live_sessions import Ways
from tests.services.worker.conftest import Way, ended, working
from tests.support import tasks
from tests.support.job_builder import JobBuilder
from tests.support.origin import Origin
from tests.support.wait import until

HEARD = pytest.mark.parametrize(
    "heard",
    [{"hearing": "hearing"}, {"hearing": "deaf", "worker_heartbeat_seconds": 0.2}],
    ids=["push", "heartbeat"],
)
SECRET = "s3cr3t-of-the-relay"
UNTIL_GO = "while ! [ -e go ]; do sleep 0.05; done; echo gone on"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return structs.replace(
        settings, allow_local_repositories=True, live_keys=SealingKeys.read(new_key("one"))
    )


class Stub:
    """A provider whose terminal is a word, another one after each grant."""

    def __init__(self, run: Any) -> None:
        self.opened = 0
        STUBS.append(self)
        self.closed = 0

    async def start(self) -> Ways:
        return self._ways()

    def look(self, known: Any) -> None: ...

    async def grant_over(self) -> Ways | None:
        return self._ways()

    async def ended(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed += 1

    def _ways(self) -> Ways:
        self.opened += 1
        return Ways(attach_ro="look", attach_rw=f"type-{self.opened}")


STUBS: list[Stub] = []


async def task(make: JobBuilder, origin: Origin, *scripts: str) -> Job:
    payload = tasks.payload(origin, *scripts, publish={"mode": "none"})
    made = await make.waiting(type="task", payload=payload, capabilities=("git", "shell"))
    return await jobs.get(make.store, made.job_id)


async def session(store: Store, job: Job) -> LiveSession | None:
    known = await live_sessions.read(store, job.id)
    return known and known.session


async def came_to(store: Store, job: Job, status: str, **fields: Any) -> LiveSession:
    async def look() -> LiveSession | None:
        found = await session(store, job)
        fits = found is not None and found.status == status
        return (
            found if fits and all(getattr(found, name) == value for name, value in fields.items()) else None
        )

    return await until(look, f"the session of {job.id} is {status}", timeout=20)


async def type_line(store: Store, job: Job, text: str) -> None:
    await terminals.type_into(store, job.id, "ann", "d", text.encode() + b"\r")


async def shown(store: Store, job: Job, text: str) -> bool:
    entries = await store.command("XRANGE", keys.job_terminal(job.id), "-", "+")
    return text in "".join(flat[1] for _, flat in entries if flat[0] == "d")


async def output(store: Store, job: Job) -> str:
    found = await events.page(store, job.id, limit=500)
    return "".join(each.payload["text"] for each in found if each.payload and "text" in each.payload)


@HEARD
async def test_a_task_is_watched_and_typed_into(
    store: Store, way: Way, make: JobBuilder, origin: Origin, heard: dict[str, Any]
) -> None:
    """L-1, L-8, L-10, 70-60: open with its execute stage, by itself; nothing of it is left after the end."""
    async with working(way, "one", **heard):
        job = await task(make, origin, "echo hello; read -r line; echo got:$line")
        opened = await came_to(store, job, "ready")
        assert (opened.provider, opened.worker_id, opened.web_ro) == ("browser", "one", f"/jobs/{job.id}")
        await live_sessions.grant(store, job.id, 5, actor="ann")
        await until(lambda: shown(store, job, "hello"), "its terminal is published", timeout=20)
        await type_line(store, job, "it works")
        assert (await ended(store, job)).status == "succeeded"
        assert "got:it works" in await output(store, job)
        over = await came_to(store, job, "ended")
    assert over.id == opened.id and over.ended_at and over.rw_granted_until is None
    assert await store.command("ZCARD", keys.LIVE) == 0
    assert not await store.command("EXISTS", keys.job_typed(job.id))
    assert not [e for e in await events.page(store, job.id, limit=500) if "live.ended" in str(e.payload)]


@HEARD
async def test_a_revoked_one_is_torn_down_and_the_task_goes_on(
    store: Store, way: Way, make: JobBuilder, origin: Origin, heard: dict[str, Any]
) -> None:
    """L-8, L-10: by push, or by the heartbeat where no push comes; another one may follow."""
    async with working(way, "one", **heard):
        job = await task(make, origin, UNTIL_GO)
        first = await came_to(store, job, "ready")
        await live_sessions.revoke(store, job.id, actor="ann")

        async def torn_down() -> bool:
            found = await session(store, job)
            return found is not None and found.ended_at is not None

        await until(torn_down, "its worker has torn it down", timeout=20)
        await live_sessions.ask(store, job.id, "browser", actor="ann")
        second = await came_to(store, job, "ready")
        assert second.id != first.id
        assert (await jobs.get(store, job.id)).status == "running"
    assert (await came_to(store, job, "ended")).id == second.id


async def test_its_time_passes_and_the_task_goes_on(
    store: Store, way: Way, make: JobBuilder, origin: Origin, settings: Settings
) -> None:
    """L-8, L-11."""
    store.settings = structs.replace(store.settings, live_session_ttl_minutes=0.01)
    async with working(way, "one", live_session_ttl_minutes=0.01):
        job = await task(make, origin, UNTIL_GO)
        over = await came_to(store, job, "ended")
        assert over.error_message == "its time is over"
        assert (await jobs.get(store, job.id)).status == "running"


@pytest.mark.parametrize("fault", ["raises", "hangs", "cannot be closed"])
async def test_a_provider_that_fails_harms_no_task(
    store: Store, way: Way, make: JobBuilder, origin: Origin, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """L-12: the session is an error, with its reason; the task goes on without it."""

    class Broken(Browser):
        async def start(self) -> Ways:
            if fault == "raises":
                raise OSError(f"no pseudo-terminal left for {SECRET} " + "x" * 5000)
            if fault == "hangs":
                await asyncio.sleep(60)
            return await super().start()

        async def close(self) -> None:
            await super().close()
            if fault == "cannot be closed":
                raise OSError("it is stuck")

    monkeypatch.setitem(live_session.PROVIDERS, "browser", Broken)  # type: ignore[arg-type]
    monkeypatch.setenv("A_SECRET", SECRET)
    async with working(way, "one", live_session_ready_timeout_seconds=0.2, secret_env=("A_SECRET",)):
        job = await task(make, origin, "sleep 0.5; echo done")
        if fault == "cannot be closed":
            await came_to(store, job, "ready")
        else:
            failed = await came_to(store, job, "error")
            reason = "no pseudo-terminal left for" if fault == "raises" else "it was not ready within 0.2 s"
            assert (failed.error_message or "").startswith(reason) and failed.ended_at is not None
            assert SECRET not in (failed.error_message or "") and len(failed.error_message or "") <= 1000
        assert (await ended(store, job)).status == "succeeded"
    told = [str(each.payload) for each in await events.page(store, job.id, limit=500)]
    assert any("task.live.error" in each for each in told) == (fault != "cannot be closed")


async def test_one_that_was_asked_for_and_its_grant(
    store: Store, way: Way, make: JobBuilder, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L-10, 70-60: of another kind, asked for before the run began; at the end of a grant its ways change."""
    STUBS.clear()
    monkeypatch.setitem(live_session.PROVIDERS, "tmux", Stub)  # type: ignore[arg-type]
    job = await task(make, origin, UNTIL_GO)
    await live_sessions.ask(store, job.id, "tmux", actor="ann")
    async with working(way, "one", worker_heartbeat_seconds=0.2):
        await came_to(store, job, "ready", provider="tmux", attach_ro="look")
        granted = await live_sessions.grant(store, job.id, 1, actor="ann")
        assert granted.attach_rw == "type-1"
        await store.run(
            "grant_live", id=job.id, actor="ann", ttl_ms=300, mode="0.3 s", metadata="{}", most=100
        )
        await until(lambda: STUBS and STUBS[0].opened == 2, "the way to write has changed", timeout=20)

        async def changed() -> bool:
            return (await live_sessions.grant(store, job.id, 1, actor="ann")).attach_rw == "type-2"

        await until(changed, "it is told to who is granted next")
    assert (await came_to(store, job, "ended")).attach_ro is None
    assert (len(STUBS), STUBS[0].closed) == (1, 1)


async def test_a_kind_that_a_worker_does_not_have(
    store: Store, way: Way, make: JobBuilder, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L-12."""
    monkeypatch.delitem(live_session.PROVIDERS, "tmux")  # type: ignore[arg-type]
    job = await task(make, origin, "echo done")
    await live_sessions.ask(store, job.id, "tmux", actor="ann")
    async with working(way, "one"):
        assert (await ended(store, job)).status == "succeeded"
        assert (await came_to(store, job, "error")).error_message == "its worker has no provider tmux"


async def test_more_than_a_worker_may_have(store: Store, way: Way, make: JobBuilder, origin: Origin) -> None:
    """L-11: the one that is too many goes without."""
    async with working(way, "one", live_session_max_per_worker=1):
        first = await task(make, origin, UNTIL_GO)
        await came_to(store, first, "ready")
        second = await task(make, origin, "echo done")
        assert (await ended(store, second)).status == "succeeded"
        failed = await came_to(store, second, "error")
        assert "SLUICEGATE_LIVE_SESSION_MAX_PER_WORKER" in (failed.error_message or "")


@pytest.mark.parametrize("settings_of", ["off", "tmate"])
async def test_none_is_opened_where_none_is_wanted(
    store: Store, way: Way, make: JobBuilder, origin: Origin, settings_of: str
) -> None:
    """L-11, 70-60: tmate only when somebody asks."""
    changes: dict[str, Any] = (
        {"live_session_enabled": False} if settings_of == "off" else {"live_session_provider": "tmate"}
    )
    async with working(way, "one", **changes):
        job = await task(make, origin, "echo done")
        assert (await ended(store, job)).status == "succeeded"
    assert await session(store, job) is None
    assert (await jobs.get(store, job.id)).live_session_version is None
