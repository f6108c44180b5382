"""The pages as they come from the server, and the streams that keep them live."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse, ClientSession

from services.control.app import build
from sluicegate import keys
from sluicegate.http import serving
from sluicegate.settings import ControlSettings
from sluicegate.store import narrow_pauses, pause
from sluicegate.store.connection import Store
from sluicegate.times import to_rfc3339
from tests.support import given
from tests.support.job_builder import HOUR_MS, now_ms

NASTY = "<script>alert('x')</script> & \"quotes\""


async def read(control: ClientSession, url: str, *, expect: int = 200) -> str:
    async with control.get(url) as response:
        assert response.status == expect
        assert response.content_type == "text/html"
        return await response.text()


def counts(page: str) -> dict[str, str]:
    found = re.findall(r'data-count="(\w+)">\s*<dt>[^<]*</dt>\s*<dd>([^<]*)</dd>', page)
    return dict(found)


async def test_the_overview_shows_exact_counts(control: ClientSession, store: Store) -> None:
    """P-10 on the page: running and stale do not overlap, delayed ones count apart."""
    await given.succeeded(store)
    await given.stale(store)
    await given.running(store)
    await given.queued(store, delay_ms=600_000)
    for _ in range(2):
        await given.queued(store)
    assert counts(await read(control, "/")) == {
        "queued": "2",
        "delayed": "1",
        "running": "1",
        "stale_running": "1",
        "succeeded": "1",
        "failed": "0",
        "cancelled": "0",
        "dead_letter": "0",
    }


async def test_the_overview_lists_the_latest_jobs(control: ClientSession, store: Store) -> None:
    job = await given.running(store, "report.weekly", worker_id="worker-7", max_attempts=5)
    late = await given.queued(store, delay_ms=600_000)
    page = await read(control, "/")
    rows = re.findall(r'<tr id="row-.*?</tr>', page, re.DOTALL)
    assert [re.search(r'href="/jobs/([^"]+)"', row)[1] for row in rows] == [late, job.id]  # type: ignore[index]
    assert "Delayed" in rows[0]
    for text in ("Running", "report.weekly", "worker-7", "1 of 5"):
        assert text in rows[1]


@pytest.mark.parametrize(("mode", "name"), [("drain", "Paused (Drain)"), ("quiesce", "Paused (Quiesce)")])
async def test_the_banner_names_the_pause(control: ClientSession, store: Store, mode: Any, name: str) -> None:
    """P-8: state, reason, since when and by whom; a reason cannot bring markup of its own."""
    assert '<h1 id="banner-title">Running</h1>' in await read(control, "/")
    state = await pause.change(store, action="pause", mode=mode, reason=NASTY, actor="alex")
    page = await read(control, "/")
    assert f'<h1 id="banner-title">{name}</h1>' in page
    assert NASTY not in page
    assert NASTY in html.unescape(page)
    assert f'datetime="{state.requested_at}"' in page
    assert "alex" in page


async def test_the_pages_say_until_when(control: ClientSession, store: Store) -> None:
    """P-13: on the banner and on the strip of a job's page."""
    job = await given.running(store)
    ends = await now_ms(store) + HOUR_MS
    await pause.change(store, action="pause", mode="drain", reason="x", actor="alex", until_ms=ends)
    for url in ("/", f"/jobs/{job.id}"):
        assert f'<time datetime="{to_rfc3339(ends)}">' in await read(control, url)
    await pause.change(store, action="pause", mode="drain", reason="x", actor="alex")
    for url in ("/", f"/jobs/{job.id}"):
        assert to_rfc3339(ends) not in await read(control, url)


def narrow(page: str) -> list[str]:
    """The narrower pauses of a banner, each as a reader sees it."""
    found = re.search(r'<ul id="narrow".*?</ul>', page, re.DOTALL)
    items = re.findall(r"<li.*?</li>", found[0], re.DOTALL) if found else []
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", "", item)).split()) for item in items]


async def test_the_banner_lists_what_is_paused_by_itself(control: ClientSession, store: Store) -> None:
    """P-12, P-13: what of, how, why, by whom and until when, also live; text cannot bring markup."""
    by: dict[str, Any] = {"actor": "alex", "action": "pause"}
    ends = await now_ms(store) + HOUR_MS
    assert narrow(await read(control, "/")) == []
    async with stream(control, "/events") as live:
        await live.next("put")
        await narrow_pauses.change(
            store, scope="worker", value="w-1", mode="quiesce", reason=NASTY, until_ms=ends, **by
        )
        sent = await live.next("put")
        await narrow_pauses.change(store, scope="type", value="nightly", mode="drain", reason="Broken", **by)
        page = await live.next("put")
        assert NASTY not in page
        until = to_rfc3339(ends)[:19].replace("T", " ")
        assert re.sub(r"\d+ s ago", "0 s ago", "\n".join(narrow(page))).splitlines() == [
            "Drain type nightly Broken 0 s ago by alex",
            f"Quiesce worker w-1 {NASTY} 0 s ago by alex, until {until} UTC",
        ]
        assert len(narrow(sent)) == 1
        assert "Running" in page and "but for what is paused below" in page
        assert len(narrow(await read(control, "/"))) == 2
        await narrow_pauses.change(store, scope="type", value="nightly", action="resume", actor="alex")
        assert len(narrow(await live.next("put"))) == 1


async def test_pages_allow_nothing_from_elsewhere(control: ClientSession, store: Store) -> None:
    """No inline script or style, so that the policy can forbid them; nothing is cached or framed."""
    job = await given.running(store)
    for url in ("/", f"/jobs/{job.id}", "/jobs/none"):
        async with control.get(url) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Cache-Control"] == "no-store"
            page = await response.text()
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
        assert all(
            re.match(r"\ssrc=", found) for found in re.findall(r"<script(?: type=\"module\")?(.*?)>", page)
        )


async def test_static_files_may_be_kept_for_ever(control: ClientSession) -> None:
    """Their addresses change with their content."""
    page = await read(control, "/")
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(addresses) == 5
    for address in addresses:
        async with control.get(address) as response:
            assert response.status == 200
            assert "immutable" in response.headers["Cache-Control"]
            assert response.content_type in ("text/css", "text/javascript", "image/svg+xml")
    for wrong in ("/static/none.css", "/static/..%2Frendering.py", "/static/%2e%2e/app.py"):
        async with control.get(wrong) as response:
            assert response.status == 404


@pytest.mark.parametrize("job_id", ["none", "018f0000-0000-7000-8000-000000000000"])
async def test_an_unknown_job_is_a_page_with_404(control: ClientSession, job_id: str) -> None:
    """70-42: a malformed id is a 404 too."""
    page = await read(control, f"/jobs/{job_id}", expect=404)
    assert "job_not_found" in page
    async with control.get(f"/jobs/{job_id}/events") as response:
        assert response.status == 404


async def test_without_the_pause_record_no_page_says_running(control: ClientSession, store: Store) -> None:
    """P-11: what cannot be read is not shown as "not paused"."""
    await store.command("DEL", keys.PAUSE)
    async with control.get("/") as response:
        assert response.status == 503
        assert "Retry-After" in response.headers
        assert "store_uninitialised" in await response.text()
    async with control.get("/events") as response:
        assert response.status == 503


class Stream:
    """The events of one SSE response, one by one."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self.last_id = ""

    async def next(self, name: str) -> str:
        """The data of the next event of that name."""
        event = ""
        while line := (await self._response.content.readline()).decode():
            match line.rstrip("\n").partition(": "):
                case ("event", _, value):
                    event = value
                case ("id", _, value):
                    self.last_id = value
                case ("data", _, value) if event == name:
                    return msgspec.json.decode(value, type=str)
        raise AssertionError(f"the stream ended without {name}")

    async def keepalive(self) -> None:
        while line := await self._response.content.readline():
            if line.startswith(b": "):
                return
        raise AssertionError("the stream ended")

    async def rest(self) -> str:
        """Everything up to the end of the stream."""
        return (await self._response.content.read()).decode()


@asynccontextmanager
async def stream(control: ClientSession, url: str, **headers: str) -> AsyncIterator[Stream]:
    async with control.get(url, headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Stream(response)


async def test_the_overview_is_sent_again_when_something_changes(
    control: ClientSession, store: Store
) -> None:
    """All parts at first; then only the parts that changed; comments while nothing does."""
    async with stream(control, "/events") as live:
        first = await live.next("put")
        assert [re.search(f'id="{part}"', first) is None for part in ("banner", "counts", "jobs")] == [
            False
        ] * 3
        await live.keepalive()
        job_id = await given.queued(store)
        changed = await live.next("put")
        assert counts(changed)["queued"] == "1"
        assert job_id in changed
        assert 'id="banner"' not in changed
        await pause.change(store, action="pause", mode="drain", reason="Upgrade", actor="alex")
        changed = await live.next("put")
        assert "Paused (Drain)" in changed
        assert 'id="jobs"' not in changed


async def test_viewers_share_one_look(control: ClientSession, store: Store) -> None:
    """One reader for any number of pages; one that comes later starts with everything too."""
    connected = len(await clients(store))
    async with stream(control, "/events") as first:
        await first.next("put")
        with_one = len(await clients(store))
        async with stream(control, "/events") as second, stream(control, "/events") as third:
            for live in (second, third):
                assert 'id="counts"' in await live.next("put")
            await given.queued(store)
            for live in (first, second, third):
                assert counts(await live.next("put"))["queued"] == "1"
            assert len(await clients(store)) <= with_one + 1
    assert with_one <= connected + 2


async def clients(store: Store) -> list[str]:
    return str(await store.command("CLIENT", "LIST")).splitlines()


async def test_a_stream_ends_with_what_it_shows(control: ClientSession, store: Store) -> None:
    """P-11: when the state cannot be read any more, open pages are told by the end of their stream."""
    async with stream(control, "/events") as live:
        await live.next("put")
        await store.command("DEL", keys.PAUSE)
        await live.rest()
    await pause.change(store, action="pause", mode="drain", reason="Repaired", actor="alex")
    async with stream(control, "/events") as live:
        assert "Repaired" in await live.next("put")


async def test_open_pages_do_not_hold_up_the_stop(control_settings: ControlSettings, store: Store) -> None:
    """Streams end when the service stops, and nothing of them is left."""
    job = await given.running(store)
    async with ClientSession() as session:
        async with serving(build(control_settings, store), "127.0.0.1", 0) as (host, port):
            overview = await session.get(f"http://{host}:{port}/events")
            page = await session.get(f"http://{host}:{port}/jobs/{job.id}/events")
            await Stream(overview).next("put")
            await Stream(page).next("put")
        for response in (overview, page):
            await Stream(response).rest()
