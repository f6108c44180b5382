"""The overview: what is wrong first, how jobs flow, who works; and what its streams cost."""

from __future__ import annotations

import asyncio
import contextlib
import html
import re
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientTimeout
from msgspec import structs

from services.control.app import build
from services.control.dashboard import live_board
from services.control.dashboard.board import Board
from services.control.dashboard.live_board import LiveBoard
from services.control.dashboard.lookout import Lookout
from services.control.dashboard.rendering import Pages
from sluicegate import keys
from sluicegate.http import serving
from sluicegate.settings import ControlSettings
from sluicegate.store import endings, jobs, workers
from sluicegate.store.connection import Store
from sluicegate.store.notices import Notices
from sluicegate.store.workers import Clocks, Presence
from sluicegate.times import from_rfc3339
from tests.services.control.test_pages import NASTY, read, stream
from tests.support import given

STATIC = Path(live_board.__file__).parent / "static"
MOST_SCRIPT_BYTES = 60_000
PATIENCE_SECONDS = 60


@pytest.fixture
def control_settings(control_settings: ControlSettings) -> ControlSettings:
    """What waits is called late soon."""
    return structs.replace(control_settings, warn_unclaimable_seconds=0.01, warn_stale_seconds=0.01)


def part(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found, f"the page has no part {name}"
    return found[0]


def words(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


async def announce(store: Store, worker_id: str, **known: object) -> None:
    usual: dict[str, object] = {
        "host": "rack", "pid": 1, "version": "1", "transport": "redis", "capabilities": [], "types": None,
        "slots": 4, "state": "idle", "jobs": [],
    }  # fmt: skip
    await workers.announce(store, Presence(worker_id=worker_id, **{**usual, **known}))  # type: ignore[arg-type]


async def test_nothing_is_wrong_with_an_empty_queue(control: ClientSession, store: Store) -> None:
    """Each empty part tells what comes there, or what to do."""
    page = await read(control, "/")
    assert "Nothing is wrong" in words(part(page, "troubles"))
    assert "No job came or ended" in words(part(page, "flow"))
    assert "sluicegate worker" in words(part(page, "doing"))
    assert "sluicegate enqueue" in words(part(page, "jobs"))


async def test_what_is_wrong_comes_first(control: ClientSession, store: Store) -> None:
    """Each a word, how bad, since when, and a way to where one acts; names cannot bring markup."""
    stale = await given.stale(store, worker_id=NASTY)
    await given.queued(store, "train", capabilities=("gpu",))
    dead = await given.running(store, "backup", max_attempts=1)
    await given.end(store, dead, endings.Fail(dead.id, given.token(dead), "full", retryable=True))
    await announce(store, "worker-1")
    await asyncio.sleep(0.05)  # longer than what is called late
    page = await read(control, "/")
    assert page.index('id="troubles"') < page.index('id="counts"') < page.index('id="flow"')
    told = part(page, "troubles")
    assert "3 things need a look, 2 at once" in words(told)
    assert NASTY not in told and NASTY in html.unescape(told)
    rows = [words(row) for row in re.findall(r"<li.*?</li>", told, re.DOTALL)]
    assert [row.split(" ")[0] for row in rows] == ["Stale", "Nobody", "Dead"]
    assert "no live worker has capability gpu" in rows[1] and "1 more in the last hour" in rows[2]
    assert re.search(r"for \d+ s", rows[0])
    links = [html.unescape(link) for link in re.findall(r'href="([^"]+)"', told)]
    assert links == [f"/jobs/{stale.id}", "/jobs?status=queued&type=train", "/dead-letters"]
    for link in links:
        await read(control, link)


async def test_the_oldest_that_waits_is_told(control: ClientSession, store: Store) -> None:
    """Whatever priority it has; not one that is delayed."""
    await given.queued(store, delay_ms=60_000)
    assert "None waits" in words(part(await read(control, "/"), "counts"))
    first = await jobs.get(store, await given.queued(store, "a", priority=-5))
    await given.queued(store, "b", priority=5)
    since = re.search(r'oldest waits for <time datetime="([^"]+)"', part(await read(control, "/"), "counts"))
    assert since and abs(from_rfc3339(since[1]) - from_rfc3339(first.created_at)) <= 5


async def test_the_flow_is_drawn_and_told(control: ClientSession, store: Store) -> None:
    """Six charts with their words, a legend, and the same in numbers."""
    for _ in range(3):
        await given.succeeded(store, "report")
    await given.queued(store, "mail")
    flow = part(await read(control, "/"), "flow")
    assert re.findall(r'id="chart-([\w-]+)"', flow) == [
        "succeeded-hour", "succeeded-day", "failed-hour", "failed-day", "waiting-hour", "waiting-day",
    ]  # fmt: skip
    says = dict(re.findall(r'<desc id="says-([\w-]+)">([^<]*)</desc>', flow))
    assert says["succeeded-hour"].startswith("3 succeeded, at most ") and "report 3" in says["succeeded-hour"]
    assert says["failed-day"] == "None."
    assert says["waiting-hour"].endswith("1 do now.")
    assert flow.count('role="img"') == 6
    assert re.search(r'<path class="c1" d="(M\d+ \d+v-?\d+h4v\d+z)+"/>', flow)
    assert re.findall(r'<li class="c\d">([^<]+)</li>', flow) == ["report", "mail"]
    row = re.search(r'<tr><th scope="row">report</th>(.*?)</tr>', flow, re.DOTALL)
    assert row and words(row[1]) == "0 3 3 0 0 3 3 0 0"


async def test_workers_are_shown_with_what_they_do(control: ClientSession, store: Store) -> None:
    job = await given.running(store, "task", worker_id="w1")
    kept = '{"stepId":"<build>","stepIndex":1,"begun":2}'
    await store.command("HSET", keys.job_shelf(job.id, "facts"), "step_budget", kept)
    silent = Clocks(job_id=job.id, ran_seconds=60, silent_seconds=40)
    await announce(store, "w1", state="busy", jobs=[job.id], clocks=[silent])
    await announce(store, "w2")
    doing = words(part(await read(control, "/"), "doing"))
    assert re.search(
        rf"w1 Busy 1 of 4 slots task {job.id[-12:]} step 2 \(<build>\), attempt 2 silent for \d+ s", doing
    )
    assert "w2 Idle 0 of 4 slots Nothing to do." in doing


async def test_what_is_wrong_and_the_flow_are_live(control_url: str, store: Store) -> None:
    async with (
        ClientSession(control_url, timeout=ClientTimeout(total=PATIENCE_SECONDS)) as session,
        stream(session, "/events?parts=troubles,flow,doing") as live,
    ):
        first = await live.next("put")
        assert "Nothing is wrong" in first and 'id="banner"' not in first
        stale = await given.stale(store)
        while f"/jobs/{stale.id}" not in (sent := await live.next("put")):
            pass
        assert "Stale" in sent
        await given.complete(store, stale)
        while "Nothing is wrong" not in await live.next("put"):
            pass


async def test_a_part_that_was_closed_is_looked_at_anew(
    control_settings: ControlSettings, store: Store
) -> None:
    """Who opens one is never shown what it was when somebody had it open before."""
    notices = Notices(store)
    board = LiveBoard(Lookout(control_settings, store), notices, Pages(0))
    try:
        async with board.viewing(["strip"]) as strip:
            await strip.changed()
            for number in (b"0", b"1", b"2"):
                async with board.viewing(["strip", "counts"]) as counts:
                    sent = await counts.changed()
                    if b"counts" not in sent:  # the strip was there already
                        sent = await counts.changed()
                assert b"<dt>Queued</dt>\\n      <dd>" + number in sent
                await given.queued(store)
    finally:
        await notices.close()


async def test_pages_that_are_as_far_are_sent_the_same(
    control_settings: ControlSettings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes is read, rendered and encoded once for all of them."""
    notices, looks = Notices(store), 0
    lookout = Lookout(control_settings, store)

    async def board(**asked: bool) -> Board:
        nonlocal looks
        looks += 1
        return await Lookout.board(lookout, **asked)

    monkeypatch.setattr(lookout, "board", board)
    pages = LiveBoard(lookout, notices, Pages(0))
    parts = live_board.OVERVIEW.split(",")
    try:
        async with contextlib.AsyncExitStack() as stack:
            views = [await stack.enter_async_context(pages.viewing(parts)) for _ in range(50)]
            first = await asyncio.gather(*(view.changed() for view in views))
            await given.queued(store)
            second = await asyncio.gather(*(view.changed() for view in views))
            assert looks < len(views)
        for sent in (first, second):
            assert all(each is sent[0] for each in sent)
    finally:
        await notices.close()


async def test_pages_that_nobody_types_into_load_themselves_anew(
    control: ClientSession, control_settings: ControlSettings, store: Store
) -> None:
    """Without JavaScript, and not where a person types."""
    job_id = await given.queued(store)
    again = '<noscript><meta http-equiv="refresh" content="5"></noscript>'
    for url in ("/", "/workers"):
        assert again in await read(control, url)
    for url in (
        "/jobs",
        "/jobs/new",
        "/pauses",
        "/dead-letters",
        "/tokens",
        f"/jobs/{job_id}/actions/cancel",
    ):
        page = await read(control, url)
        assert "http-equiv" not in page
        assert re.search(r"<input(?! type=\"hidden\")|<textarea|<select", page) or url == "/dead-letters"
    off = structs.replace(control_settings, page_refresh_seconds=0)
    async with serving(build(off, store), "127.0.0.1", 0) as (host, port), ClientSession() as session:
        assert "http-equiv" not in await read(session, f"http://{host}:{port}/")


def test_scripts_stay_small() -> None:
    """Without what terminals need."""
    scripts = [path for path in STATIC.glob("*.js") if path.stem not in ("terminal", "screen", "player")]
    assert 0 < sum(path.stat().st_size for path in scripts) < MOST_SCRIPT_BYTES
