"""For each tool the result is the JSON that REST gives in the same state (60-2, 70-20).

Two deployments with a store each go through the same calls: one over REST, the other by tools. They agree
in everything but times and what is made from times.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import msgspec
import pytest
import uuid_utils
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.control.app import build as build_control
from services.queue_api.app import build
from sluicegate.http import serving
from sluicegate.operations.tools import BY_NAME, TOOLS
from sluicegate.settings import ControlSettings, QueueApiSettings, Settings
from sluicegate.store import Store, pause
from tests.services.queue_api.conftest import Api
from tests.support import store_server
from tests.support.tool_calls import as_rest

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ENTRY = re.compile(r"(asc\.|desc\.)?\d{13}-\d+")
JOBS = st.sampled_from([0, 0, 0, 1, 1, 2, 9])
"""Which of the jobs of one example a call is about; one that there is not is one that nobody made."""
WORKERS = st.sampled_from(["worker-1", "worker-1", "worker-1", "worker-2"])
TOKENS = st.sampled_from(["1", "1", "1", "2", "nonsense"])
HELD = {"job": JOBS, "workerId": WORKERS, "leaseToken": TOKENS}
TEXT = st.text(max_size=3)
CALLS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "queue.enqueue": {
        "payload": st.dictionaries(TEXT, st.integers(-5, 5) | TEXT, max_size=2),
        "priority": st.sampled_from([0, 0, 5]),
        "maxAttempts": st.integers(1, 2),
    },
    "queue.get": {"job": JOBS},
    "queue.list": {"status": st.sampled_from(["queued", "running", "succeeded", "cancelled", "dead_letter"])},
    "queue.events": {"job": JOBS, "sort": st.sampled_from(["asc", "desc"]), "limit": st.integers(1, 3)},
    "queue.cancel": {"job": JOBS, "reason": TEXT},
    "queue.pause_status": {},
    "queue.claim": {
        "workerId": WORKERS, "leaseSeconds": st.sampled_from([600, 900.5]), "maxJobs": st.integers(1, 2),
    },
    "queue.heartbeat": {**HELD, "leaseSeconds": st.sampled_from([600, 3600])},
    "queue.upload_artifact": {
        **HELD, "name": st.sampled_from(["a", "b/c"]), "contentBase64": st.sampled_from(["aGk=", ""]),
    },
    "queue.complete": {**HELD, "resultSummary": TEXT},
    "queue.fail": {**HELD, "errorMessage": TEXT, "retryable": st.booleans()},
}  # fmt: skip
WRONG = {
    "name": "../d",
    "priority": 1001, "maxAttempts": 0, "status": "done", "sort": "up", "limit": 501, "workerId": "",
    "leaseSeconds": 0.5, "maxJobs": 101, "reason": "x" * 2001, "errorMessage": "x" * 32_769,
}  # fmt: skip
BEGINNING: list[tuple[str, dict[str, Any]]] = [
    ("queue.enqueue", {}),
    ("queue.enqueue", {"maxAttempts": 1}),
    ("queue.claim", {"workerId": "worker-1", "leaseSeconds": 600, "maxJobs": 2}),
]


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    name = draw(st.sampled_from([*CALLS, "queue.enqueue", "queue.claim", "pause", "resume"]))
    arguments = {key: draw(values) for key, values in CALLS.get(name, {}).items()}
    mistake = draw(st.sampled_from([None, None, None, None, "unknown", "left out", "wrong"]))
    if mistake == "unknown":
        arguments["nope"] = "1"
    elif mistake == "left out" and (given := sorted(arguments.keys() - {"job", "contentBase64"})):
        del arguments[draw(st.sampled_from(given))]
    elif mistake == "wrong" and (given := sorted(arguments.keys() & WRONG.keys())):
        most = 1 if name == "queue.upload_artifact" else None  # a form is refused as it comes
        chosen = draw(st.sets(st.sampled_from(given), min_size=1, max_size=most))
        arguments |= {key: WRONG[key] for key in chosen}
    return name, arguments


class World:
    """One deployment: its two services on one store."""

    def __init__(self, store: Store, queue_api: Api, control: Api) -> None:
        self.store = store
        self._queue_api = queue_api
        self._control = control

    async def empty(self) -> None:
        store_server.flush(self.store.settings.redis_url)
        await self.store.initialise()

    async def rest(self, name: str, arguments: dict[str, Any]) -> tuple[bool, Any]:
        """Whether it was refused, and the JSON."""
        method, path, rest = as_rest(name, arguments)
        service = self._control if path.startswith("/api/system") else self._queue_api
        answer = await service.call(method, "/" + path, **rest)
        return answer.status >= 300, answer.json

    async def tool(self, name: str, arguments: dict[str, Any]) -> tuple[bool, Any]:
        answer = await self._queue_api.post("//mcp/tools/call", {"tool": name, "arguments": arguments})
        return answer.status >= 300, answer.json if answer.status >= 300 else answer.json["result"]

    async def pause(self, action: Any) -> None:
        await pause.change(
            self.store, action=action, mode="drain" if action == "pause" else None, reason="r", actor="ann",
            force=True, expected_version=None,
        )  # fmt: skip


@pytest.fixture
async def worlds(settings: Settings, store: Store) -> AsyncIterator[tuple[World, World]]:
    """No backoff ends while an example runs."""
    other_url = settings.redis_url.rpartition("/")[0] + "/1"
    store_server.flush(other_url)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        made = []
        for url in (settings.redis_url, other_url):
            folder = settings.data_dir / str(len(made))
            fields = {**msgspec.structs.asdict(settings), "redis_url": url, "data_dir": folder}
            fields |= {"retry_backoff_base_seconds": 3600.0, "retry_backoff_cap_seconds": 3600.0}
            own = await Store.open(Settings(**fields))
            stack.push_async_callback(own.close)
            apps = build(QueueApiSettings(**fields), own), build_control(ControlSettings(**fields), own)
            bound = [await stack.enter_async_context(serving(app, "127.0.0.1", 0)) for app in apps]
            services = [
                Api(f"http://{host}:{port}", session, app)
                for (host, port), app in zip(bound, apps, strict=True)
            ]
            made.append(World(own, *services))
        yield made[0], made[1]
    store_server.flush(other_url)


@settings(
    max_examples=50,
    phases=[Phase.generate],  # what failed is in the message
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sequence=st.lists(calls(), min_size=4, max_size=12))
async def test_a_tool_gives_what_rest_gives(
    worlds: tuple[World, World], sequence: list[tuple[str, dict[str, Any]]]
) -> None:
    """60-2, 70-20: results, `system` and problems; only wrong arguments have a code of their own."""
    by_rest, by_tool = worlds
    await by_rest.empty()
    await by_tool.empty()
    jobs: list[str] = []
    for name, drawn in [*BEGINNING, *sequence]:
        if name in ("pause", "resume"):
            paused = (await pause.read(by_rest.store)).workers_paused
            if paused == (name == "resume"):
                await by_rest.pause(name)
                await by_tool.pause(name)
            continue
        arguments = completed(name, drawn, jobs)
        expected, found = await by_rest.rest(name, arguments), await by_tool.tool(name, arguments)
        assert (name, arguments, plain(found)) == (name, arguments, plain(as_the_tools_say(expected)))


def test_every_tool_is_compared() -> None:
    assert set(CALLS) == {tool.name for tool in TOOLS}


def completed(name: str, drawn: dict[str, Any], jobs: list[str]) -> dict[str, Any]:
    """With a real job for its number."""
    arguments = dict(drawn)
    number = arguments.pop("job", 0)
    if BY_NAME[name].about_a_job:
        arguments["jobId"] = jobs[number] if number < len(jobs) else str(uuid_utils.uuid7())
    if name == "queue.enqueue":
        arguments |= {"type": "echo", "id": str(uuid_utils.uuid7())}
        jobs.append(arguments["id"])
    return arguments


def as_the_tools_say(answer: tuple[bool, Any]) -> tuple[bool, Any]:
    refused, document = answer
    if refused and document["code"] == "validation_failed":
        code = "invalid_tool_arguments"
        document = {**document, "code": code, "type": document["type"].replace("validation_failed", code)}
    return refused, document


def plain(value: Any) -> Any:
    """Without times and what is made from them. What changed in one millisecond has no order in a list."""
    if isinstance(value, dict):
        shown = {key: plain(each) for key, each in value.items() if key != "estimate"}
        if isinstance(shown.get("items"), list) and all("status" in each for each in shown["items"]):
            shown["items"].sort(key=lambda job: job["id"])
        if "blockers" in shown:
            shown["blockers"].sort(key=lambda job: job["jobId"])
        if "digest" in shown:
            shown["id"] = "drawn"
        if shown.get("nextCursor") is not None:
            shown["nextCursor"] = "more"
        return shown
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, str):
        return ENTRY.sub("entry", TIME.sub("time", value))
    return value
