"""The front: routes by path, streams both ways, sees clients leave, merges what all services say (70-36)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sluicegate.dev.front import Front
from sluicegate.errors import ConfigurationError
from sluicegate.http import Endpoint, openapi
from sluicegate.http.service import HEALTH
from tests.support.wait import until


@dataclass
class Service:
    """A service in this process, behind the front; `url` None is one that is being restarted."""

    name: str
    url: str | None = None
    ready_path: str = "/readyz"
    not_ready: str | None = None
    endpoints: tuple[Endpoint, ...] = ()
    left: list[str] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def readyz(self, _: web.Request) -> web.Response:
        if self.not_ready:
            return web.json_response({"detail": self.not_ready, "code": "store_unavailable"}, status=503)
        return web.json_response({"status": "ready"})

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            text=f'# HELP hits Hits.\n# TYPE hits counter\nhits_total{{of="{self.name}"}} 1.0\n'
        )

    async def openapi(self, _: web.Request) -> web.Response:
        return web.json_response(openapi.document(self.endpoints))

    async def echo(self, request: web.Request) -> web.Response:
        """What arrived: method, path, headers, body."""
        said = {
            "service": self.name,
            "method": request.method,
            "target": request.raw_path,
            "headers": dict(request.headers),
            "body": await request.text(),
        }
        response = web.json_response(said, status=201)
        response.headers["X-Own"] = "kept"
        response.headers["Connection"] = "keep-alive, X-Hop"
        response.headers["X-Hop"] = "dropped"
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    async def wait(self, _: web.Request) -> web.Response:
        """A long poll."""
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            self.left.append("client")
            raise
        return web.Response()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """One event, then nothing until released, then the end, or an abrupt one."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: first\n\n")
        await self.released.wait()
        if "abrupt" in request.query:
            assert request.transport
            request.transport.abort()
            return response
        await response.write(b"data: second\n\n")
        return response

    async def upload(self, request: web.Request) -> web.Response:
        """Says that the first bytes came before it reads the rest."""
        first = await request.content.readany()
        self.left.append(first.decode())
        rest = await request.content.read()
        return web.json_response({"size": len(first) + len(rest)})

    async def hang_up(self, request: web.Request) -> web.Response:
        assert request.transport
        request.transport.abort()
        return web.Response()

    async def terminal(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("tty",))
        await socket.prepare(request)
        async for message in socket:
            if message.type == aiohttp.WSMsgType.TEXT and message.data == "bye":
                await socket.close(code=4001, message=b"done")
            elif message.type == aiohttp.WSMsgType.TEXT:
                await socket.send_str(f"{request.headers['Origin']} {message.data}")
            else:
                await socket.send_bytes(message.data[::-1])
        self.left.append("terminal")
        return socket

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        app = web.Application()
        for prefix in ("", "/api/queue"):
            app.router.add_get(prefix + "/wait", self.wait)
            app.router.add_get(prefix + "/stream", self.stream)
            app.router.add_post(prefix + "/upload", self.upload)
            app.router.add_post(prefix + "/hang-up", self.hang_up)
            app.router.add_get(prefix + "/terminal", self.terminal)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/openapi.json", self.openapi)
        app.router.add_route("*", "/{any:.*}", self.echo)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self.url = None
            await runner.cleanup()


@pytest.fixture
async def queue_api() -> AsyncIterator[Service]:
    async with Service("queue_api").running() as service:
        yield service


@pytest.fixture
async def control() -> AsyncIterator[Service]:
    async with Service("control").running() as service:
        yield service


@pytest.fixture
async def client(queue_api: Service, control: Service) -> AsyncIterator[aiohttp.ClientSession]:
    front = Front({"queue_api": queue_api, "control": control})
    async with (
        front.serving("127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(10)) as session,
    ):
        yield session


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/api/queue/jobs?status=queued&limit=1", "queue_api"),
        ("/api/queue", "queue_api"),
        ("/mcp/tools", "queue_api"),
        ("/api/queues", "control"),
        ("/mcpx", "control"),
        ("/api/system/worker-pause", "control"),
        ("/jobs/1%2F2?q=%20a+b", "control"),
        ("/", "control"),
    ],
)
async def test_a_path_goes_to_its_service_unchanged(
    client: aiohttp.ClientSession, path: str, service: str
) -> None:
    from yarl import URL

    async with client.get(URL(path, encoded=True)) as answer:
        said = await answer.json()
    assert (said["service"], said["target"]) == (service, path)


async def test_end_to_end_headers_pass_and_hop_by_hop_ones_do_not(client: aiohttp.ClientSession) -> None:
    sent = {
        "Origin": "http://127.0.0.1:1",
        "Authorization": "Bearer x",
        "Connection": "keep-alive, X-Secret-Hop",
        "X-Secret-Hop": "1",
        "TE": "trailers",
        "X-Forwarded-For": "6.6.6.6",
    }
    async with client.post("/api/queue/jobs", json={"a": "ü"}, headers=sent) as answer:
        said = await answer.json()
        assert answer.status == 201
        assert answer.headers["X-Own"] == "kept"
        assert "X-Hop" not in answer.headers
        assert sorted(answer.headers.getall("Set-Cookie")) == ["a=1; Path=/", "b=2; Path=/"]
        own = f"127.0.0.1:{answer.url.port}"
    arrived = said["headers"]
    assert json.loads(said["body"]) == {"a": "ü"}
    assert arrived["Authorization"] == "Bearer x"
    assert arrived["Origin"] == "http://127.0.0.1:1"
    assert arrived["Host"] == arrived["X-Forwarded-Host"] == own, "an Origin is compared with the Host"
    assert arrived["X-Forwarded-For"] == "127.0.0.1"
    assert not {"X-Secret-Hop", "TE"} & set(arrived)


async def test_an_event_stream_is_not_held_back(client: aiohttp.ClientSession, queue_api: Service) -> None:
    async with client.get("/api/queue/stream") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert await answer.content.readuntil(b"\n\n") == b"data: first\n\n"
        queue_api.released.set()
        assert await answer.content.read() == b"data: second\n\n"


async def test_an_answer_that_breaks_off_is_not_taken_for_whole(
    client: aiohttp.ClientSession, queue_api: Service
) -> None:
    async with client.get("/api/queue/stream?abrupt") as answer:
        await answer.content.readuntil(b"\n\n")
        queue_api.released.set()
        with pytest.raises(aiohttp.ClientError):
            await answer.content.read()


async def test_an_upload_is_not_held_back(client: aiohttp.ClientSession, queue_api: Service) -> None:
    arrived = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"begin"
        await arrived.wait()
        yield b"x" * 3_000_000

    upload = asyncio.create_task(_json(client.post("/api/queue/upload", data=body())))
    await until(lambda: queue_api.left == ["begin"], "the first bytes are there before the last were sent")
    arrived.set()
    assert await upload == {"size": 3_000_005}


async def test_a_client_that_leaves_ends_the_long_poll_behind(
    client: aiohttp.ClientSession, queue_api: Service
) -> None:
    with pytest.raises(TimeoutError):
        await client.get("/api/queue/wait", timeout=aiohttp.ClientTimeout(0.1))
    await until(lambda: queue_api.left == ["client"], "the service sees that the client left")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda service: None, "outcome_unknown"),
        (lambda service: setattr(service, "url", None), "service_unavailable"),
        (lambda service: setattr(service, "url", "http://127.0.0.1:1"), "service_unavailable"),
    ],
    ids=["hangs up", "not running", "refuses"],
)
async def test_a_service_that_is_away_is_a_503_that_says_what_may_be_repeated(
    client: aiohttp.ClientSession, queue_api: Service, spoil: Callable[[Service], None], code: str
) -> None:
    spoil(queue_api)
    async with client.post("/api/queue/hang-up", json={}) as answer:
        assert answer.status == 503
        assert answer.content_type == "application/problem+json"
        assert (await answer.json())["code"] == code
        assert answer.headers["Retry-After"] == "1"


async def test_websockets_pass_both_ways_and_close_with_their_code(
    client: aiohttp.ClientSession, control: Service
) -> None:
    async with client.ws_connect(
        "/terminal", protocols=("tty",), headers={"Origin": "http://here"}
    ) as socket:
        assert socket.protocol == "tty"
        await socket.send_str("ls")
        assert await socket.receive_str() == "http://here ls"
        await socket.send_bytes(b"\x01\x02")
        assert await socket.receive_bytes() == b"\x02\x01"
        await socket.send_str("bye")
        closing = await socket.receive()
        assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, 4001)
    await until(lambda: control.left == ["terminal"], "the service sees the end")


async def test_a_websocket_client_that_leaves_is_seen(
    client: aiohttp.ClientSession, control: Service
) -> None:
    socket = await client.ws_connect("/terminal", headers={"Origin": "http://here"})
    await socket.close()
    await until(lambda: control.left == ["terminal"], "the service sees the end")


async def test_a_refused_websocket_keeps_its_status(client: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect("/no-such-terminal")
    assert refused.value.status == 201, "the service answered without an upgrade"


async def test_readyz_is_that_of_all(
    client: aiohttp.ClientSession, queue_api: Service, control: Service
) -> None:
    """Spec 60: one merged /readyz behind one address."""
    assert await _json(client.get("/readyz")) == {
        "status": "ready",
        "services": {"queue_api": "ready", "control": "ready"},
    }
    queue_api.not_ready = "the store is loading"
    control.url = None
    async with client.get("/readyz") as answer:
        assert answer.status == 503
        said = await answer.json()
    assert said["services"] == {"queue_api": "the store is loading", "control": "not running"}
    assert await _json(client.get("/healthz")) == {"status": "ok"}


async def test_metrics_are_those_of_all_that_run(client: aiohttp.ClientSession, control: Service) -> None:
    """70-38: dev merges all on its port."""
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await answer.text()
    assert text.count("# TYPE hits_total counter") == 1
    assert 'hits_total{of="queue_api"} 1.0' in text
    assert 'hits_total{of="control"} 1.0' in text
    control.url = None
    async with client.get("/metrics") as answer:
        assert 'of="control"' not in await answer.text()


async def test_a_taken_port_is_named(queue_api: Service, control: Service) -> None:
    front = Front({"queue_api": queue_api, "control": control})
    async with front.serving("127.0.0.1", 0) as port:
        other = Front({"queue_api": queue_api, "control": control})
        with pytest.raises(ConfigurationError, match=rf"127.0.0.1:{port}.*--port"):
            async with other.serving("127.0.0.1", port):
                pass


async def _json(request: Awaitable[aiohttp.ClientResponse]) -> dict[str, Any]:
    answer = await request
    async with answer:
        return dict(await answer.json())


async def test_both_descriptions_are_one(
    client: aiohttp.ClientSession, queue_api: Service, control: Service
) -> None:
    """60-1, "behind one address": what both have is there once; half of it is never shown."""
    queue_api.endpoints, control.endpoints = HEALTH[:2], HEALTH[1:]
    async with client.get("/openapi.json") as answer:
        assert set((await answer.json())["paths"]) == {each.path for each in HEALTH}
    async with client.get("/docs") as answer:
        assert answer.content_type == "text/html"
        assert "get_metrics" in await answer.text()
    control.url = None
    for path in ("/openapi.json", "/docs"):
        async with client.get(path) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "service_unavailable")
