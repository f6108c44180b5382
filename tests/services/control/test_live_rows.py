"""The stream of an open list of jobs: rows where they stand, and how many more fit now."""

from __future__ import annotations

import html
import re
from contextlib import AbstractAsyncContextManager

import msgspec
from aiohttp import ClientResponse, ClientSession, ClientTimeout

from sluicegate.store import cancellation, pause
from sluicegate.store.connection import Store
from tests.support import given
from tests.support.forms import look, words


def stream_of(page: str) -> str:
    found = re.search(r'data-live="([^"]+)"', page)
    assert found
    return html.unescape(found[1])


def opened(control: ClientSession, page: str) -> AbstractAsyncContextManager[ClientResponse]:
    """The stream of a page, for as long as a busy machine may need."""
    return control.get(stream_of(page), timeout=ClientTimeout(total=90))


async def put(live: ClientResponse) -> str:
    """The next parts that are sent."""
    while True:
        frame = (await live.content.readuntil(b"\n\n")).decode()
        if data := re.search(r"^data: (.*)$", frame, re.MULTILINE):
            return msgspec.json.decode(data[1].encode(), type=str)


def rows(parts: str) -> dict[str, str]:
    found = re.findall(r'<tr id="row-([^"]+)".*?class="chip (\w+)"', parts, re.DOTALL)
    return dict(found)


async def test_rows_change_where_they_stand(control: ClientSession, store: Store) -> None:
    """Only those of the page, each with its box; then only those that changed; the strip too."""
    waiting, other = [await given.queued(store) for _ in range(2)]
    page = await look(control, "/jobs?status=queued")
    async with opened(control, page) as live:
        first = await put(live)
        assert rows(first) == {other: "queued", waiting: "queued"}
        assert first.count('name="ids"') == 2 and 'id="strip"' in first
        job = await given.claimed(store)
        assert job is not None and job.id == waiting
        assert rows(await put(live)) == {waiting: "running"}
        await pause.change(store, action="pause", mode="drain", reason="Upgrade", actor="ann")
        parts = await put(live)
        assert "Upgrade" in parts and rows(parts) == {}
        await cancellation.cancel(store, other, actor="ann", reason=None)
        assert rows(await put(live)) == {other: "cancelled"}


async def test_more_that_fit_are_counted(control: ClientSession, store: Store) -> None:
    """By the filter of the page, each once; not on a page of older ones."""
    first = await given.queued(store, "report")
    page = await look(control, "/jobs?type=report")
    older = await look(control, "/jobs?type=report&limit=1&cursor=OTk5OTk5OTk5OTk5OSB4")
    assert first in older
    async with opened(control, page) as live, opened(control, older) as behind:
        await put(live)
        await put(behind)
        await given.queued(store, "task")
        second = await given.queued(store, "report")
        assert "1 more fits now" in words(await put(live))
        await cancellation.cancel(store, second, actor="ann", reason=None)
        await given.queued(store, "report")
        assert "2 more fit now" in words(await put(live))
        await cancellation.cancel(store, first, actor="ann", reason=None)
        parts = await put(behind)
        assert rows(parts) == {first: "cancelled"} and "newer" not in parts


async def test_time_alone_changes_a_row(control: ClientSession, store: Store) -> None:
    """A lease runs out without a word from anybody."""
    job = await given.running(store, lease_ms=1500)
    async with opened(control, await look(control, "/jobs")) as live:
        while rows(await put(live)) != {job.id: "stale"}:
            pass


async def test_the_last_viewer_ends_the_looking(control: ClientSession, store: Store) -> None:
    """And the next one sees what happened meanwhile; a viewer's rows have no boxes."""
    job_id = await given.queued(store)
    page = await look(control, "/jobs")
    for status in ("queued", "running"):
        async with opened(control, page) as live:
            assert rows(await put(live)) == {job_id: status}
        if status == "queued":
            await given.claimed(store)
    async with control.get("/jobs/events?rows=nonsense") as answer:
        assert answer.status == 422
    async with control.get("/jobs/events?rows=&type=Not+A+Type") as answer:
        assert answer.status == 422
