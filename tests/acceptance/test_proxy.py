"""The proxy of deploy/ in front of real services: one address; streams and terminals pass as they come."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from sluicegate import Client
from tests.support.command_line import Deployment
from tests.support.origin import Origin
from tests.support.programs import programs
from tests.support.proxy import proxy
from tests.support.tasks import payload
from tests.support.terminal import terminal
from tests.support.wait import until

SCRIPT = """
echo "What is to go into the file?"
read -r line
echo "$line" | tee file
"""


@pytest.mark.slow
@pytest.mark.needs("nginx")
@pytest.mark.needs("git")
async def test_both_services_are_behind_one_address(store_url: str, tmp_path: Path) -> None:
    """60-1, 60-6: readiness and description of both, events while a job runs, a terminal typed into."""
    folder = tmp_path / "proxy"
    folder.mkdir()
    with programs(store_url, tmp_path) as started:
        started.settings |= {"ALLOW_LOCAL_REPOSITORIES": "1", "WORKER_CAPABILITIES": "git,shell"}
        queue_api, at_queue_api = await started.service("queue_api")
        _, at_control = await started.service("control")
        with proxy(folder, at_queue_api, at_control) as url:
            async with aiohttp.ClientSession(url) as session:
                await until(lambda: answers(session, "/readyz", 200), "both services are ready")
                description = await (await session.get("/openapi.json")).json()
                assert {"/api/queue/jobs", "/api/system/worker-pause"} <= set(description["paths"])
                page = await session.get("/docs")
                assert page.content_type == "text/html" and "Content-Security-Policy" in page.headers
                assert await answers(session, "/metrics", 404)
                started.start("services.worker", WORKER_ID="worker-1")
                await a_person_types(session, url, Origin(tmp_path / "origin"))
                queue_api.kill()
                assert await answers(session, "/readyz", 503)
                assert await answers(session, "/healthz", 200)


async def answers(session: aiohttp.ClientSession, path: str, status: int) -> bool:
    async with session.get(path) as answer:
        return answer.status == status


async def a_person_types(session: aiohttp.ClientSession, url: str, origin: Origin) -> None:
    """The output of the step comes while it waits for what is then typed."""
    async with Client.from_url(url) as client:
        job = await client.enqueue(type="task", payload=payload(origin, SCRIPT))
        async with session.get(f"/api/queue/jobs/{job.id}/events/stream") as stream:
            while b"What is to go into the file?" not in await stream.content.readline():
                pass
        assert (await client.get(job.id)).status == "running"

        async def is_open() -> bool:
            return (await client.runs.live_session(job.id)).status == "ready"

        await until(is_open, "the live session is open", 30)
        at = Deployment(url)
        with terminal(at.command("attach", "--write", "--ttl", "5", job.id), env=at.env) as person:
            person.until("the keyboard is yours until")
            person.type("words through the proxy\r")
            assert person.ended(60) == 0
        assert (await client.wait(job.id, 60)).status == "succeeded"
    assert origin.file("result", "file") == b"words through the proxy\n"
