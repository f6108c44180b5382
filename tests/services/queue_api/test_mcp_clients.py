"""`sluicegate mcp` with the official client, over stdio and streamable HTTP (60-2, 70-20)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from click.testing import CliRunner
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult

from services.queue_api.app import build
from sluicegate.cli.main import main
from sluicegate.dev.embedded_store import free_port
from sluicegate.http import LONG_REQUESTS, serving
from sluicegate.operations.tools import TOOLS
from sluicegate.settings import QueueApiSettings
from sluicegate.store import Store
from tests.services.queue_api.conftest import Api
from tests.support.tokens import operator_token
from tests.support.wait import until

COMMAND = [sys.executable, "-m", "sluicegate", "mcp"]
INITIALIZE = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
    },
}  # fmt: skip


def environment(url: str, token: str = "") -> dict[str, str]:
    return {**os.environ, "SLUICEGATE_URL": url, "SLUICEGATE_TOKEN": token}


def over_stdio(url: str, token: str = "", mode: str = "auto") -> Client:
    process = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=environment(url, token))
    return Client(process, mode=mode)


@contextmanager
def over_http(url: str, folder: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The server as a process, with its log; ended by SIGTERM, which it obeys with 0."""
    log = folder / "mcp.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*COMMAND, "--http", "--port", "0", *flags], env=environment(url), stderr=errors
        )
    try:
        yield process, log
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


async def listening(process: subprocess.Popen[bytes], log: Path) -> str:
    def address() -> str | None:
        assert process.poll() is None, log.read_text()
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        return next((line["url"] for line in lines if line["event"] == "mcp_listening"), None)

    await until(lambda: address() is not None, "the server of MCP listens", 20)
    return str(address())


async def result(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer
    assert json.loads(text(answer)) == answer.structured_content
    return dict(answer.structured_content)


def text(answer: CallToolResult) -> str:
    (block,) = answer.content
    assert block.type == "text"
    return block.text


async def refusal(client: Client, tool: str, **arguments: Any) -> tuple[str, str]:
    """The code of the problem, and the sentence for who reads."""
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error
    return answer.structured_content["code"], text(answer)


@pytest.mark.parametrize("mode", ["auto", pytest.param("legacy", marks=pytest.mark.slow)])
async def test_an_agent_enqueues_watches_and_cancels(api: Api, mode: str) -> None:
    """60-2: by the protocol of today and by that of older clients."""
    async with over_stdio(api.url, mode=mode) as client:
        listed = (await client.list_tools()).tools
        served = (await api.get("//mcp/tools")).json["tools"]
        assert [
            {"name": each.name, "description": each.description, "inputSchema": each.input_schema}
            for each in listed
        ] == served
        hints = {each.name: each.annotations for each in listed}
        assert hints["queue.get"].read_only_hint
        assert hints["queue.cancel"].destructive_hint
        assert not hints["queue.enqueue"].destructive_hint
        assert hints["queue.complete"].idempotent_hint
        made = await result(client, "queue.enqueue", type="echo", payload={"n": [1, "ü"]})
        assert (await api.get(f"/jobs/{made['id']}")).json == made
        await result(client, "queue.cancel", jobId=made["id"], reason="not needed")
        events = (await result(client, "queue.events", jobId=made["id"]))["items"]
        assert events[-1]["payload"]["kind"] == "job.cancelled"
        assert await refusal(client, "queue.destroy") == (
            "tool_not_found", "tool_not_found: there is no tool 'queue.destroy'; GET /mcp/tools lists them",
        )  # fmt: skip
        code, sentence = await refusal(client, "queue.enqueue", tpe="echo")
        assert code == "invalid_tool_arguments"
        assert "tpe: is not a field here" in sentence
        assert "type: is required" in sentence
        assert (await refusal(client, "queue.enqueue"))[0] == "invalid_tool_arguments"


async def test_an_agent_works_as_a_worker(api: Api) -> None:
    """60-2, Q-16: and a claim whose client leaves takes nothing with it."""
    async with over_stdio(api.url) as client:
        made = await api.enqueue()
        claimed = await result(client, "queue.claim", workerId="agent", leaseSeconds=30, waitSeconds=5)
        assert claimed["job"]["id"] == made["id"]
        held = {"jobId": made["id"], "workerId": "agent", "leaseToken": claimed["job"]["leaseToken"]}
        beat = await result(client, "queue.heartbeat", **held, leaseSeconds=60)
        assert beat["system"]["workersPaused"] is False
        content = b64encode(bytes(3_000_000)).decode()
        kept = await result(client, "queue.upload_artifact", **held, name="a.bin", contentBase64=content)
        assert kept["sizeBytes"] == 3_000_000
        assert (await result(client, "queue.complete", **held, resultSummary="ok"))["status"] == "succeeded"
        assert (await refusal(client, "queue.fail", **held, errorMessage="no"))[0] == "lease_lost"
        waiting = asyncio.create_task(
            client.call_tool("queue.claim", {"workerId": "agent", "leaseSeconds": 30, "waitSeconds": 20})
        )
        await until(lambda: len(api.app[LONG_REQUESTS]._waiting) == 1, "the claim waits")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await until(lambda: not api.app[LONG_REQUESTS]._waiting, "nobody waits any more")
    second = await api.enqueue()
    assert (await api.get(f"/jobs/{second['id']}")).json["status"] == "queued"


@pytest.mark.slow
async def test_a_wrong_token_is_told(api_settings: QueueApiSettings, store: Store) -> None:
    """00-6: the credential is SLUICEGATE_TOKEN, and the caller's rights are its own."""
    async with service(msgspec.structs.replace(api_settings, auth="required"), store) as api:
        async with over_stdio(api.url, "sgop_wrong") as client:
            assert len((await client.list_tools()).tools) == len(TOOLS)
            code, sentence = await refusal(client, "queue.list")
            assert code == "operator_auth_failed"
            assert "SLUICEGATE_TOKEN" in sentence
        viewer = (await operator_token(store, "viewer")).token
        async with over_stdio(api.url, viewer) as client:
            assert (await result(client, "queue.list"))["items"] == []
            assert (await refusal(client, "queue.enqueue", type="echo"))[0] == "operator_not_authorized"
            code, sentence = await refusal(client, "queue.claim", workerId="w", leaseSeconds=30)
            assert code == "worker_auth_failed"


@pytest.mark.slow
async def test_a_service_that_is_away_and_comes_back(api_settings: QueueApiSettings, store: Store) -> None:
    """00-5: clear errors meanwhile, and no restart of the client after it."""
    port = free_port()
    async with over_stdio(f"http://127.0.0.1:{port}") as client:
        assert [each.name for each in (await client.list_tools()).tools] == [tool.name for tool in TOOLS]
        code, sentence = await refusal(client, "queue.list")
        assert code == "server_unreachable"
        assert f"http://127.0.0.1:{port} cannot be reached" in sentence
        assert "sluicegate dev" in sentence
        async with service(api_settings, store, port) as api:
            made = await result(client, "queue.enqueue", type="echo")
            assert (await api.get(f"/jobs/{made['id']}")).status == 200
            assert len((await client.list_tools()).tools) == len(TOOLS)
        assert (await refusal(client, "queue.list"))[0] in ("server_unreachable", "outcome_unknown")


async def test_streamable_http(api: Api, tmp_path: Path) -> None:
    """60-2: the same tools; requests from other names and pages are refused (DNS rebinding)."""
    with over_http(api.url, tmp_path) as (process, log):
        url = await listening(process, log)
        for mode in ("auto", "legacy"):
            async with Client(url, mode=mode) as client:
                assert [each.name for each in (await client.list_tools()).tools] == [
                    tool.name for tool in TOOLS
                ]
                made = await result(client, "queue.enqueue", type="echo")
                assert (await result(client, "queue.cancel", jobId=made["id"]))["status"] == "cancelled"
                assert (await refusal(client, "queue.get", jobId="none"))[0] == "job_not_found"
        accept = {"Accept": "application/json, text/event-stream"}
        own = url.removesuffix("/mcp")
        for headers, status in (
            ({}, 200),
            ({"Origin": own}, 200),
            ({"Host": "evil.example"}, 421),
            ({"Host": "evil.example:80"}, 421),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "http://localhost:1"}, 403),
        ):
            async with api.session.post(url, json=INITIALIZE, headers={**accept, **headers}) as answer:
                assert (headers, answer.status) == (headers, status)


@pytest.mark.parametrize("end", ["SIGTERM", "end of input", pytest.param("SIGINT", marks=pytest.mark.slow)])
def test_it_ends_with_0_when_its_client_is_done(end: str, tmp_path: Path) -> None:
    """60-2: nothing but messages on stdout."""
    with subprocess.Popen(
        COMMAND, env=environment("http://127.0.0.1:1"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"] == "sluicegate"
        if end == "end of input":
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[end])
        assert process.wait(60) == 0
        assert process.stdout.read() == b""


@pytest.mark.slow
def test_a_client_that_reads_no_more_is_gone() -> None:
    """60-2: that is an end like any other."""
    with subprocess.Popen(
        COMMAND, env=environment("http://127.0.0.1:1"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        process.stdin.flush()
        assert (process.wait(60), process.stderr.read()) == (0, b"")


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        (["--http", "--host", "0.0.0.0"], 1, "--allow-host"),
        (["--http", "--host", "no.such.host.invalid"], 1, "is not an address"),
        (["--port", "0"], 2, "go with --http"),
        (["--allow-host", "a"], 2, "go with --http"),
        (["--url", "nonsense"], 1, "is not the address of a server"),
    ],
)
def test_what_it_refuses(flags: list[str], status: int, said: str) -> None:
    """70-63: beyond loopback only when it is said on purpose."""
    done = CliRunner().invoke(main, ["mcp", *flags])
    assert done.exit_code == status
    assert said in done.output


@pytest.mark.slow
async def test_a_name_for_other_machines(api: Api, tmp_path: Path) -> None:
    """It then answers to that name, and still to no other."""
    with over_http(api.url, tmp_path, "--allow-host", "queue.example.com") as (process, log):
        url = await listening(process, log)
        accept = {"Accept": "application/json, text/event-stream"}
        for host, status in (
            ("queue.example.com", 200),
            ("queue.example.com:8443", 200),
            ("evil.example", 421),
        ):
            headers = {**accept, "Host": host}
            async with api.session.post(url, json=INITIALIZE, headers=headers) as answer:
                assert (host, answer.status) == (host, status)


def test_other_commands_do_not_load_the_package() -> None:
    code = (
        "import sys; from sluicegate.cli.main import main; main(['mcp', '--help'], standalone_mode=False); "
    )
    code += "assert not {'mcp', 'aiohttp', 'uvicorn'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@asynccontextmanager
async def service(settings: QueueApiSettings, store: Store, port: int = 0) -> AsyncIterator[Api]:
    app = build(settings, store)
    async with serving(app, "127.0.0.1", port) as (host, bound), aiohttp.ClientSession() as session:
        yield Api(f"http://{host}:{bound}", session, app)
