"""What open dashboards cost control while jobs come and go, and how soon a page is there."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Final, cast

import aiohttp
import psutil
from yarl import URL

from benchmarks.programs import Program, until
from benchmarks.rig import Rig, fill
from benchmarks.subject import Measure, Reading, Round, Scale, Subject, Unmeasured
from sluicegate.store import Store

PAGES: Final = 200
STORED: Final = 100_000
EVENTS_PER_SECOND: Final = 100
WARM_SECONDS: Final = 2.0
PUT: Final = b"event: put\n"
INTERACTIVE: Final = "performance.getEntriesByType('navigation')[0].domInteractive"
SCRIPTED: Final = "document.body.classList.contains('scripted')"

COST: Final = Measure(
    name=f"{PAGES} open dashboards, {EVENTS_PER_SECOND} events/s", unit="% of a core", target=20
)
CHANGES: Final = Measure(name="changes sent to one of them", unit="/s", target=2.1)
SENT: Final = Measure(name="sent to one of them", unit="kB/s")
FIRST_BYTE: Final = Measure(name=f"first byte of the overview, {STORED:,} jobs stored", unit="ms", target=50)
READY: Final = Measure(name="overview interactive in Chromium, the same", unit="ms", target=500)


class Page(asyncio.Protocol):
    """One open dashboard's stream, read by as little as can be."""

    def __init__(self, host: str) -> None:
        self._request = f"GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.changes = self.octets = 0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.octets += len(data)
        self.changes += data.count(PUT)

    def connection_lost(self, _: Exception | None) -> None:
        self.lost = True

    def close(self) -> None:
        self._transport.close()


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    pages, stored = scale.of(PAGES, quick=20), scale.of(STORED, quick=2_000)
    seconds = scale.of(10, quick=3)
    with Rig() as rig:
        async with rig.store() as store, rig.service_process("control") as (control, url):
            await fill(store, stored)
            async with aiohttp.ClientSession(url) as session:
                for _ in scale.rounds:
                    found = {FIRST_BYTE: Reading(await _first_byte(session))}
                    if (interactive := await _interactive(url)) is not None:
                        found[READY] = Reading(interactive)
                    async with _open(URL(url), pages, control) as opened:
                        yield found | await _cost(store, control, opened, seconds)


async def _first_byte(session: aiohttp.ClientSession) -> float:
    """The median of twenty, in ms: the server has rendered all of it by then."""
    found = []
    for _ in range(20):
        began = time.perf_counter()
        async with session.get("/") as response:
            found.append((time.perf_counter() - began) * 1000)
            if response.status != 200:
                raise Unmeasured(f"the overview answers {response.status}")
            await response.read()
    return statistics.median(found)


async def _interactive(url: str) -> float | None:
    """ms until the page takes input, its script running; None without Chromium, or a driver for it."""
    chromium = shutil.which("chromium")
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        return None
    if chromium is None:
        return None
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            found = []
            for _ in range(5):
                page = await browser.new_page()
                await page.goto(url)
                await page.wait_for_function(SCRIPTED)
                found.append(float(await page.evaluate(INTERACTIVE)))
                await page.close()
            return statistics.median(found)
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def _open(url: URL, number: int, control: Program) -> AsyncIterator[list[Page]]:
    assert url.host is not None and url.port is not None
    loop, opened = asyncio.get_running_loop(), list[Page]()
    try:
        for _ in range(number):
            _, page = await loop.create_connection(
                partial(Page, f"{url.host}:{url.port}"), url.host, url.port
            )
            opened.append(page)

        async def all_live() -> bool:
            return all(page.changes for page in opened)

        await until(all_live, "every page is live", control)
        yield opened
    finally:
        for page in opened:
            page.close()


async def _cost(store: Store, control: Program, opened: list[Page], seconds: float) -> Round:
    """The processor time of control while jobs are enqueued at this rate, one by one."""
    process = psutil.Process(control.pid)
    await _events(store, WARM_SECONDS)
    for page in opened:
        page.changes = page.octets = 0
    before, began = process.cpu_times(), time.monotonic()
    await _events(store, seconds)
    after, passed = process.cpu_times(), time.monotonic() - began
    control.check()
    if any(page.lost for page in opened):
        raise Unmeasured("a page lost its connection")
    spent = after.user + after.system - before.user - before.system
    return {
        COST: Reading(100 * spent / passed),
        CHANGES: Reading(max(page.changes for page in opened) / passed),
        SENT: Reading(statistics.median(page.octets for page in opened) / passed / 1000),
    }


async def _events(store: Store, seconds: float) -> None:
    began = time.monotonic()
    for number in range(int(seconds * EVENTS_PER_SECOND)):
        await asyncio.sleep(max(0.0, began + number / EVENTS_PER_SECOND - time.monotonic()))
        await fill(store, 1)


SUBJECT: Final = Subject(
    name="dashboards", says="what 200 open dashboards cost, and how soon a page is there", rounds=rounds,
    limit_seconds=180, long=True,
)  # fmt: skip
