"""The queue's REST service on a real store, spoken to over a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from services.queue_api.app import build
from sluicegate.http import serving
from sluicegate.settings import QueueApiSettings, Settings
from sluicegate.store import Store

WORKER = "worker-1"


class Answer:
    """A reply that was read to its end."""

    def __init__(self, status: int, headers: Any, text: str) -> None:
        self.status = status
        self.headers = headers
        self.text = text

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The code of a problem document, checked to be one."""
        assert self.headers["Content-Type"] == "application/problem+json", self.text
        problem = self.json
        assert problem["status"] == self.status
        assert problem["type"].endswith("/" + problem["code"])
        assert problem["title"]
        assert problem["detail"]
        return str(problem["code"])

    @property
    def paths(self) -> list[str]:
        """The wrong fields that a 422 names."""
        assert (self.status, self.code) == (422, "validation_failed"), self.text
        assert all(each["message"] for each in self.json["errors"])
        return [each["path"] for each in self.json["errors"]]


class Api:
    """Calls with paths under /api/queue; two slashes in front lead to the service's root."""

    def __init__(self, url: str, session: aiohttp.ClientSession, app: web.Application) -> None:
        self.url = url
        self.session = session
        self.app = app

    async def call(self, method: str, path: str, **rest: Any) -> Answer:
        path = path[1:] if path.startswith("//") else "/api/queue" + path
        async with self.session.request(method, self.url + path, **rest) as response:
            return Answer(response.status, response.headers, await response.text())

    async def get(self, path: str, **rest: Any) -> Answer:
        return await self.call("GET", path, **rest)

    async def post(self, path: str, body: Any = None, **rest: Any) -> Answer:
        if body is not None:
            rest["json"] = body
        return await self.call("POST", path, **rest)

    async def enqueue(self, **fields: Any) -> dict[str, Any]:
        answer = await self.post("/jobs", {"type": "echo", **fields})
        assert answer.status == 201, answer.text
        return dict(answer.json)

    async def claim(self, worker: str = WORKER, **fields: Any) -> dict[str, Any]:
        """One claim's whole reply."""
        answer = await self.post("/jobs/claim", {"workerId": worker, "leaseSeconds": 30, **fields})
        assert answer.status == 200, answer.text
        return dict(answer.json)

    async def running(self, worker: str = WORKER, **fields: Any) -> tuple[str, dict[str, Any]]:
        """A job that `worker` runs: its id, and the fields that its mutations need."""
        await self.enqueue(**fields)
        job = (await self.claim(worker))["job"]
        return job["id"], {"workerId": worker, "leaseToken": job["leaseToken"]}


@pytest.fixture
def api_settings(settings: Settings) -> QueueApiSettings:
    return QueueApiSettings(**msgspec.structs.asdict(settings), sse_keepalive_seconds=0.2)


@pytest.fixture
async def api(api_settings: QueueApiSettings, store: Store) -> AsyncIterator[Api]:
    app = build(api_settings, store)
    async with (
        serving(app, "127.0.0.1", 0) as (host, port),
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=20)
        ) as session,
    ):
        yield Api(f"http://{host}:{port}", session, app)
