"""The service as a process: starts on a free port, says where, stops in order, refuses what is unsafe."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.programs import ROOT, python_path
from tests.support.wait import until


@asynccontextmanager
async def service(folder: Path, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environ = {**os.environ, "SLUICEGATE_QUEUE_API_PORT": "0", "PYTHONPATH": python_path(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.queue_api",
        cwd=folder,
        env={**environ, **{f"SLUICEGATE_{name}": value for name, value in variables.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    """The log line with this event."""
    assert process.stderr is not None
    async with asyncio.timeout(15):
        while text := await process.stderr.readline():
            found: dict[str, Any] = json.loads(text)
            if found["event"] == event:
                return found
    raise AssertionError(f"the process ended without logging {event}")


async def test_it_says_where_it_listens_and_stops_in_order(store_url: str, tmp_path: Path) -> None:
    """SIGTERM: no new connections, long polls answered at once, exit 0."""
    async with service(tmp_path, REDIS_URL=store_url, MISPELT="1") as process:
        assert (await line(process, "settings.unknown_variable"))["name"] == "SLUICEGATE_MISPELT"
        listening = await line(process, "service_listening")
        url = f"http://{listening['host']}:{listening['port']}"
        async with aiohttp.ClientSession() as session:
            async with session.get(url + "/readyz") as ready:
                assert ready.status == 200
            call = {"workerId": "w", "leaseSeconds": 30, "waitSeconds": 30}
            poll = asyncio.create_task(session.post(url + "/api/queue/jobs/claim", json=call))

            async def claimed() -> bool:
                async with session.get(url + "/metrics") as metrics:
                    return 'claims_total{result="empty"} 1.0' in await metrics.text()

            await until(claimed, "the claim has looked and waits")
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(8):
                answer = await poll
                assert (await answer.json())["job"] is None
        assert await asyncio.wait_for(process.wait(), 8) == 0


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"HOST": "0.0.0.0"}, ["SLUICEGATE_HOST='0.0.0.0'", "SLUICEGATE_ALLOW_INSECURE=1"]),
        (
            {"REDIS_URL": "redis://127.0.0.1:1/0", "REDIS_TIMEOUT_MS": "300"},
            ["127.0.0.1:1", "sluicegate dev"],
        ),
        ({"QUEUE_API_PORT": "eighty"}, ["SLUICEGATE_QUEUE_API_PORT='eighty'"]),
    ],
)
async def test_what_cannot_work_ends_with_a_plain_message(
    store_url: str, tmp_path: Path, variables: dict[str, str], words: list[str]
) -> None:
    """70-63 among others."""
    async with service(tmp_path, **{"REDIS_URL": store_url, **variables}) as process:
        _, stderr = await asyncio.wait_for(process.communicate(), 15)
        assert process.returncode == 1
        last = stderr.decode().splitlines()[-1]
        assert "Traceback" not in stderr.decode()
        for word in words:
            assert word in last
