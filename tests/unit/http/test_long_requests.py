"""Long polls end with their client and with the service."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp.test_utils import make_mocked_request

from sluicegate.http import serving
from sluicegate.http.long_requests import LongRequests
from sluicegate.settings import ServerSettings
from tests.support.wait import until
from tests.unit.http.conftest import SEEN, Site, small_app


async def test_a_poll_lasts_as_long_as_it_may(site: Site) -> None:
    response = await site.call("POST", "/poll/0.05")
    assert await response.json() == {"over": False}
    assert site.app[SEEN].waited[0] >= 0.05


async def test_a_poll_ends_when_its_client_leaves(site: Site) -> None:
    poll = asyncio.create_task(site.call("POST", "/poll/30"))
    await until(lambda: site.app[SEEN].waiting == 1, "the poll waits")
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)
    await until(lambda: site.app[SEEN].waiting == 0, "the poll has ended", timeout=2)


async def test_a_service_may_stop_just_as_a_poll_ends() -> None:
    """Its orderly stop failed when a client left in that very moment: the limit was over, and ended again."""
    requests = LongRequests()
    request = make_mocked_request("GET", "/")

    async def poll() -> None:
        async with requests.patience(request, 30):
            await asyncio.sleep(30)

    polling = asyncio.create_task(poll())
    await asyncio.sleep(0)
    requests.stop()
    await asyncio.sleep(0)  # the limit is over; the poll itself comes next
    await requests.close()
    await asyncio.wait_for(polling, 1)


async def test_polls_end_at_once_when_the_service_stops() -> None:
    app = small_app(ServerSettings())
    async with aiohttp.ClientSession() as session:
        async with serving(app, "127.0.0.1", 0) as (host, port):
            polls = [asyncio.create_task(session.post(f"http://{host}:{port}/poll/30")) for _ in range(3)]
            await until(lambda: app[SEEN].waiting == 3, "all wait")
        for poll in polls:
            response = await poll
            assert await response.json() == {"over": True}
    assert max(app[SEEN].waited) < 10
