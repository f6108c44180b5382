"""Who may call what: tokens of workers, operators and producers; auth required, and auth disabled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from yarl import URL

from services.queue_api.app import build
from sluicegate.http import LONG_REQUESTS, serving
from sluicegate.operations import credentials
from sluicegate.settings import QueueApiSettings
from sluicegate.store.connection import Store
from sluicegate.times import to_rfc3339
from tests.services.queue_api.conftest import WORKER, Api
from tests.support.contents import contents
from tests.support.tokens import bearer, operator_token, worker_token
from tests.support.wait import until

BOOTSTRAP = "sgop-bootstrap-" + "x" * 40
CLAIM = {"workerId": WORKER, "leaseSeconds": 30}
ID = "01890000-0000-7000-8000-000000000000"
HELD = {"workerId": WORKER, "leaseToken": "1"}
WORKER_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/jobs/claim", CLAIM),
    ("/jobs/heartbeat", {**CLAIM, "jobs": []}),
    ("/jobs/finish", {"workerId": WORKER, "jobs": []}),
    (f"/jobs/{ID}/heartbeat", {**HELD, "leaseSeconds": 30}),
    (f"/jobs/{ID}/complete", HELD),
    (f"/jobs/{ID}/fail", {**HELD, "errorMessage": "e"}),
    (f"/jobs/{ID}/release", HELD),
    (f"/jobs/{ID}/cancel/ack", HELD),
    (f"/jobs/{ID}/events", {**HELD, "message": "m"}),
]


@pytest.fixture
def required(api_settings: QueueApiSettings) -> QueueApiSettings:
    return msgspec.structs.replace(api_settings, auth="required", bootstrap_admin_token=BOOTSTRAP)


@pytest.fixture
async def closed(required: QueueApiSettings, store: Store) -> AsyncIterator[Api]:
    """A service that asks everybody who they are."""
    app = build(required, store)
    async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        yield Api(f"http://{host}:{port}", session, app)


@pytest.fixture
async def tokenless(api_settings: QueueApiSettings, store: Store) -> AsyncIterator[Api]:
    """A service that admits older clients."""
    settings = msgspec.structs.replace(api_settings, allow_tokenless=True)
    own = await Store.open(settings)
    app = build(settings, own)
    async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        yield Api(f"http://{host}:{port}", session, app)
    await own.close()


def by(token: str) -> dict[str, Any]:
    return {"headers": {"X-Worker-Token": token}}


async def claimed(api: Api, token: str, **fields: Any) -> list[str]:
    answer = await api.post("/jobs/claim", {**CLAIM, "maxJobs": 100, **fields}, **by(token))
    assert answer.status == 200, answer.text
    return [job["id"] for job in answer.json["jobs"]]


@pytest.mark.parametrize(("path", "body"), WORKER_CALLS)
async def test_a_worker_call_needs_a_worker(closed: Api, store: Store, path: str, body: Any) -> None:
    """Q-1: none, a wrong one and an operator's are 401, before the body is looked at."""
    admin = (await operator_token(store, "admin")).token
    wrong = (await worker_token(store)).token[:-4] + "AAAA"
    before = await contents(store)
    for headers in (
        {}, {"X-Worker-Token": wrong}, {"X-Worker-Token": "sgwt_"}, {"X-Worker-Token": "x" * 5000},
        bearer(admin), bearer(wrong), bearer("a.b.c"), {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
    ):  # fmt: skip
        answer = await closed.post(path, {"nonsense": 1}, headers=headers)
        assert (answer.status, answer.code) == (401, "worker_auth_failed"), headers
        assert wrong not in answer.text
    assert await contents(store) == before


@pytest.mark.parametrize("header", [b"X-Worker-Token: \xff", b"Authorization: Bearer \xff"])
async def test_a_token_that_is_no_text_is_wrong(closed: Api, header: bytes) -> None:
    """Q-1, 70-3: bytes that are no UTF-8 are 401 like any other wrong token."""
    address = URL(closed.url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(
        b"GET /api/queue/workers/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + b"\r\n\r\n"
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ") and b'"worker_auth_failed"' in answer


@pytest.mark.parametrize("header", ["X-Worker-Token", "X-MoonMind-Worker-Token", "Authorization"])
async def test_a_token_is_taken_from_each_header(closed: Api, store: Store, header: str) -> None:
    """Spec 00-6."""
    token = (await worker_token(store)).token
    text = f"Bearer {token}" if header == "Authorization" else token
    assert (await closed.post("/jobs/claim", CLAIM, headers={header: text})).status == 200


@pytest.mark.parametrize(("path", "body"), WORKER_CALLS)
async def test_a_token_speaks_for_its_own_worker(closed: Api, store: Store, path: str, body: Any) -> None:
    """Q-2: another workerId is a 403, and nothing is written."""
    token = (await worker_token(store, "another")).token
    before = await contents(store)
    answer = await closed.post(path, body, **by(token))
    assert (answer.status, answer.code) == (403, "worker_not_authorized")
    assert await contents(store) == before


ROLES = ("viewer", "producer", "operator", "admin", "worker")
READS = {"viewer", "operator", "admin"}
OPERATOR_CALLS: list[tuple[str, str, Any, set[str]]] = [
    ("GET", "/jobs", None, READS | {"producer"}),
    ("POST", "/jobs", {"type": "echo"}, {"producer", "operator", "admin"}),
    ("POST", "/jobs/batch", {"jobs": []}, {"producer", "operator", "admin"}),
    ("GET", f"/jobs/{ID}", None, READS | {"producer", "worker"}),
    ("POST", f"/jobs/{ID}/cancel", {}, {"producer", "operator", "admin"}),
    ("GET", f"/jobs/{ID}/events", None, READS | {"producer", "worker"}),
    ("GET", f"/jobs/{ID}/events/stream", None, READS | {"producer", "worker"}),
    ("GET", "/workers/tokens", None, {"admin"}),
    ("POST", "/workers/tokens", {"workerId": "w"}, {"admin"}),
    ("POST", "/workers/tokens/x/revoke", None, {"admin"}),
    ("POST", "/workers/tokens/x/rotate", None, {"admin"}),
]


@pytest.mark.parametrize(("method", "path", "body", "allowed"), OPERATOR_CALLS)
async def test_each_role_may_what_it_may(
    closed: Api, store: Store, method: str, path: str, body: Any, allowed: set[str]
) -> None:
    """Spec 00-6, 70-59: viewer < operator < admin; a producer enqueues, sees and cancels its own."""
    tokens = {role: (await operator_token(store, role)).token for role in ROLES if role != "worker"}
    tokens["worker"] = (await worker_token(store)).token
    rest = {} if body is None else {"json": body}
    answer = await closed.call(method, path, **rest)
    assert (answer.status, answer.code) == (401, "operator_auth_failed")
    for role, token in tokens.items():
        answer = await closed.call(method, path, headers=bearer(token), **rest)
        if role in allowed:
            assert answer.status in (200, 201, 207, 404), (role, answer.text)
        else:
            assert (answer.status, answer.code) == (403, "operator_not_authorized"), role
            assert role in answer.json["detail"]


async def test_health_is_open_and_unknown_addresses_are_not_found(closed: Api) -> None:
    for path in ("//healthz", "//readyz", "//metrics"):
        assert (await closed.get(path)).status == 200
    assert (await closed.get("/nothing")).status == 404


async def test_a_producer_sees_and_cancels_its_own_only(closed: Api, store: Store) -> None:
    """70-59."""
    one, other = [(await operator_token(store, "producer", name)).token for name in ("one", "other")]
    mine = (await closed.post("/jobs", {"type": "echo"}, headers=bearer(one))).json["id"]
    theirs = (await closed.post("/jobs", {"type": "echo"}, headers=bearer(other))).json["id"]
    listed = (await closed.get("/jobs", headers=bearer(one))).json["items"]
    assert [(job["id"], job["createdByUserId"]) for job in listed] == [(mine, "one")]
    for path in (f"/jobs/{theirs}", f"/jobs/{theirs}/events", f"/jobs/{theirs}/events/stream"):
        answer = await closed.get(path, headers=bearer(one))
        assert (answer.status, answer.code) == (403, "job_not_authorized"), path
    refused = await closed.post(f"/jobs/{theirs}/cancel", {}, headers=bearer(one))
    assert (refused.status, refused.code) == (403, "job_not_authorized")
    assert (await closed.post(f"/jobs/{mine}/cancel", {}, headers=bearer(one))).json["status"] == "cancelled"


async def test_idempotency_keys_of_producers_are_apart(closed: Api, store: Store) -> None:
    """Q-13: another producer's key is another key."""
    headers = [bearer((await operator_token(store, "producer", name)).token) for name in ("one", "other")]
    body = {"type": "echo", "idempotencyKey": "k"}
    ids = [(await closed.post("/jobs", body, headers=each)).json["id"] for each in (*headers, *headers)]
    assert ids[0] == ids[2] != ids[1] == ids[3]


async def test_a_policy_decides_what_a_claim_returns(closed: Api, store: Store) -> None:
    """Q-3, Q-4, 70-17: types, repositories in one form, capabilities; a job without repository never."""
    admin = {"headers": bearer(BOOTSTRAP)}

    async def enqueue(**fields: Any) -> str:
        answer = await closed.post("/jobs", {"type": "echo", **fields}, **admin)
        assert answer.status == 201, answer.text
        return str(answer.json["id"])

    fitting = await enqueue(payload={"repository": "git@github.com:Acme/A.git"}, requiredCapabilities=["git"])
    await enqueue(payload={"repository": "acme/b"})
    await enqueue()
    await enqueue(type="other", payload={"repository": "acme/a"})
    await enqueue(payload={"repository": "acme/a"}, requiredCapabilities=["git", "gpu"])
    token = (
        await worker_token(
            store, allowed_repositories=["https://github.com/acme/a"], allowed_job_types=["echo"],
            capabilities=["git"],
        )
    ).token  # fmt: skip
    assert await claimed(closed, token, workerCapabilities=["gpu"]) == []
    assert await claimed(closed, token, allowedTypes=["other"]) == []
    assert await claimed(closed, token, allowedRepositories=["acme/b"]) == []
    assert await claimed(closed, token, workerCapabilities=["git", "gpu"]) == [fitting]
    nothing = (await worker_token(store, allowed_job_types=[])).token
    assert await claimed(closed, nothing) == []


@pytest.mark.parametrize("allowed", [{"allowed_job_types": ["other"]}, {"allowed_repositories": ["acme/b"]}])
async def test_a_job_outside_the_policy_cannot_be_touched(closed: Api, store: Store, allowed: Any) -> None:
    """Q-3: 403 even for the holder of its lease, once its token allows less; 404 comes before."""
    free = (await worker_token(store)).token
    admin = {"headers": bearer(BOOTSTRAP)}
    job = {"type": "echo", "payload": {"repository": "acme/a"}}
    job_id = (await closed.post("/jobs", job, **admin)).json["id"]
    found = (await closed.post("/jobs/claim", CLAIM, **by(free))).json["job"]
    token = (await worker_token(store, **allowed)).token
    held = {"workerId": WORKER, "leaseToken": found["leaseToken"]}
    before = await contents(store)
    for path, body in (
        ("complete", held), ("fail", {**held, "errorMessage": "e"}), ("release", held), ("cancel/ack", held),
        ("heartbeat", {**held, "leaseSeconds": 5}), ("events", {**held, "message": "m"}),
    ):  # fmt: skip
        answer = await closed.post(f"/jobs/{job_id}/{path}", body, **by(token))
        assert (answer.status, answer.code) == (403, "job_not_authorized"), path
        assert (await closed.post(f"/jobs/{ID}/{path}", body, **by(token))).code == "job_not_found"
    one = {"id": job_id, "leaseToken": found["leaseToken"]}
    beats = await closed.post("/jobs/heartbeat", {**CLAIM, "jobs": [one]}, **by(token))
    ends = await closed.post(
        "/jobs/finish", {"workerId": WORKER, "jobs": [{**one, "outcome": "complete"}]}, **by(token)
    )
    for answer in (beats, ends):
        assert [each["error"]["code"] for each in answer.json["items"]] == ["job_not_authorized"]
    assert (await closed.get(f"/jobs/{job_id}", headers=bearer(token))).code == "job_not_authorized"
    assert await contents(store) == before
    assert (await closed.post(f"/jobs/{job_id}/complete", held, **by(free))).json["status"] == "succeeded"


async def test_a_revoked_token_ends_with_the_reply(closed: Api, store: Store) -> None:
    """Q-2: 50 rounds; a request that begins after the revoke has returned is refused."""
    admin = {"headers": bearer(BOOTSTRAP)}
    for _ in range(50):
        issued = (await closed.post("/workers/tokens", {"workerId": WORKER}, **admin)).json
        assert (await closed.post("/jobs/claim", CLAIM, **by(issued["token"]))).status == 200
        path = f"/workers/tokens/{issued['workerToken']['id']}/revoke"
        assert (await closed.post(path, **admin)).json["revokedAt"]
        assert (await closed.post("/jobs/claim", CLAIM, **by(issued["token"]))).status == 401
        assert (await closed.post(path, **admin)).status == 200


async def test_a_token_revoked_in_mid_poll_claims_nothing(closed: Api, store: Store) -> None:
    """Q-2: a long poll looks again before it claims."""
    issued = await worker_token(store)
    poll = asyncio.create_task(closed.post("/jobs/claim", {**CLAIM, "waitSeconds": 20}, **by(issued.token)))
    await until(lambda: len(closed.app[LONG_REQUESTS]._waiting) == 1, "the claim waits")
    await credentials.revoke(store, "worker", issued.worker_token.id, actor="ann")
    job = (await closed.post("/jobs", {"type": "echo"}, headers=bearer(BOOTSTRAP))).json
    answer = await asyncio.wait_for(poll, 10)
    assert (answer.status, answer.code) == (401, "worker_auth_failed")
    # The ring was not lost with it: whoever waits by the same policy is woken.
    other = (await worker_token(store)).token
    assert await claimed(closed, other) == [job["id"]]


async def test_an_expired_token_is_refused(closed: Api, store: Store) -> None:
    """Q-2, by the store's clock."""
    now = await store.now_ms()
    issued = await worker_token(store, expires_at=to_rfc3339(now + 300))
    await until(lambda: _later(store, now + 300), "the token has expired")
    assert (await closed.post("/jobs/claim", CLAIM, **by(issued.token))).code == "worker_auth_failed"


async def test_tokens_over_http(closed: Api, store: Store) -> None:
    """Q-11, 70-16: create shows the token once, lists never; rotate keeps the old one working for a while."""
    admin = {"headers": bearer(BOOTSTRAP)}
    body = {
        "workerId": WORKER, "description": "build host", "allowedRepositories": ["Acme/A"],
        "allowedJobTypes": ["task"], "capabilities": ["git"],
    }  # fmt: skip
    created = await closed.post("/workers/tokens", body, **admin)
    assert created.status == 201
    assert created.headers["Cache-Control"] == "no-store"
    shown = created.json["workerToken"]
    assert created.json["token"].startswith("sgwt_")
    assert shown["allowedRepositories"] == ["github.com/acme/a"]
    assert (shown["createdByUserId"], shown["revokedAt"]) == ("bootstrap-admin", None)
    listed = await closed.get("/workers/tokens", **admin)
    assert listed.json == {"items": [shown], "nextCursor": None}
    assert created.json["token"][38:] not in listed.text
    rotated = await closed.post(f"/workers/tokens/{shown['id']}/rotate", **admin)
    assert rotated.status == 200
    for token in (created.json["token"], rotated.json["token"]):
        assert (await closed.post("/jobs/claim", CLAIM, **by(token))).status == 200
    for verb in ("revoke", "rotate"):
        answer = await closed.post(f"/workers/tokens/{'0' * 32}/{verb}", **admin)
        assert (answer.status, answer.code) == (404, "worker_token_not_found")
    await closed.post(f"/workers/tokens/{shown['id']}/revoke", {}, **admin)
    dead = await closed.post(f"/workers/tokens/{shown['id']}/rotate", **admin)
    assert (dead.status, dead.code) == (409, "token_state_conflict")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "workerId"),
        ({"workerId": ""}, "workerId"),
        ({"workerId": "w", "allowedRepositories": "acme/a"}, "allowedRepositories"),
        ({"workerId": "w", "allowedRepositories": ["../x"]}, "allowedRepositories[0]"),
        ({"workerId": "w", "allowedJobTypes": ["Not A Type"]}, "allowedJobTypes[0]"),
        ({"workerId": "w", "capabilities": [1]}, "capabilities[0]"),
        ({"workerId": "w", "expiresAt": "tomorrow"}, "expiresAt"),
        ({"workerId": "w", "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"workerId": "w", "role": "admin"}, "role"),
    ],
)
async def test_a_wrong_token_request_names_its_field(closed: Api, store: Store, body: Any, path: str) -> None:
    """Q-11: nothing is created."""
    before = await contents(store)
    answer = await closed.post("/workers/tokens", body, headers=bearer(BOOTSTRAP))
    assert answer.paths == [path]
    assert await contents(store) == before


async def test_pages_of_tokens(closed: Api, store: Store) -> None:
    """70-2."""
    ids = [(await worker_token(store, f"w{number}")).worker_token.id for number in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await closed.get("/workers/tokens", params=query, headers=bearer(BOOTSTRAP))).json
        seen += [each["id"] for each in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == sorted(ids, reverse=True)


async def test_disabled_auth_checks_a_token_that_is_presented(api: Api, store: Store) -> None:
    """70-18: without one everything is open; with one it is checked and narrows."""
    assert (await api.post("/jobs/claim", CLAIM)).status == 200
    await api.enqueue(type="echo")
    token = (await worker_token(store, allowed_job_types=["other"])).token
    assert await claimed(api, token) == []
    assert (await api.post("/jobs/claim", {**CLAIM, "workerId": "x"}, **by(token))).status == 403
    assert (await api.post("/jobs/claim", CLAIM, **by(token[:-1] + "!"))).status == 401
    assert (await api.post("/jobs", {"type": "echo"}, headers=bearer(token))).status == 403
    viewer = (await operator_token(store, "viewer")).token
    assert (await api.post("/jobs", {"type": "echo"}, headers=bearer(viewer))).status == 403


async def test_worker_tokens_can_be_made_mandatory(api_settings: QueueApiSettings, store: Store) -> None:
    """Spec 00-6: SLUICEGATE_REQUIRE_WORKER_TOKEN, with auth disabled."""
    app = build(msgspec.structs.replace(api_settings, require_worker_token=True), store)
    token = (await worker_token(store)).token
    async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        api = Api(f"http://{host}:{port}", session, app)
        assert (await api.post("/jobs", {"type": "echo"})).status == 201
        assert (await api.post("/jobs/claim", CLAIM)).code == "worker_auth_failed"
        assert (await api.post("/jobs/claim", CLAIM, **by(token))).status == 200


async def test_older_clients_without_lease_tokens(tokenless: Api) -> None:
    """Spec 00-5, 70-42: admitted by a setting, while the worker claimed this job exactly once."""
    api, old = tokenless, {"workerId": WORKER}
    job_id, _ = await api.running()
    assert (await api.post(f"/jobs/{job_id}/heartbeat", {**old, "leaseSeconds": 5})).status == 200
    assert (await api.post(f"/jobs/{job_id}/events", {**old, "message": "m"})).status == 201
    many = await api.post("/jobs/heartbeat", {**old, "leaseSeconds": 5, "jobs": [{"id": job_id}]})
    assert [each["status"] for each in many.json["items"]] == [200]
    stranger = await api.post(f"/jobs/{job_id}/complete", {"workerId": "stranger"})
    assert (stranger.status, stranger.code) == (409, "job_ownership_mismatch")
    # Another worker in between does not matter; a second claim of its own does.
    await api.post(f"/jobs/{job_id}/release", old)
    await _claimed_again(api, job_id, "other")
    beat = await api.post(f"/jobs/{job_id}/heartbeat", {"workerId": "other", "leaseSeconds": 5})
    assert beat.status == 200, beat.text
    assert (
        await api.post(f"/jobs/{job_id}/heartbeat", {"workerId": "other", "leaseSeconds": 5})
    ).status == 200
    await api.post(f"/jobs/{job_id}/release", {"workerId": "other"})
    token = await _claimed_again(api, job_id, WORKER)
    answer = await api.post(f"/jobs/{job_id}/complete", old)
    assert (answer.status, answer.code) == (409, "lease_lost")
    items = (await api.post("/jobs/finish", {**old, "jobs": [{"id": job_id, "outcome": "complete"}]})).json
    assert items["items"][0]["error"]["code"] == "lease_lost"
    assert (await api.post(f"/jobs/{job_id}/complete", {**old, "leaseToken": token})).status == 200
    wrong = await api.post(f"/jobs/{job_id}/complete", {})
    assert wrong.paths == ["workerId"]


async def test_without_the_setting_a_lease_token_is_required(api: Api) -> None:
    """70-1."""
    job_id, held = await api.running()
    assert (await api.post(f"/jobs/{job_id}/complete", {"workerId": WORKER})).paths == ["leaseToken"]
    assert (await api.post(f"/jobs/{job_id}/complete", {**held, "leaseToken": ""})).code == "lease_lost"


async def test_refusals_are_counted(closed: Api, store: Store) -> None:
    """Spec 60-5: auth_failures_total, by kind and never by name."""
    await closed.post("/jobs/claim", CLAIM)
    await closed.get("/jobs")
    viewer = (await operator_token(store, "viewer")).token
    await closed.post("/jobs", {"type": "echo"}, headers=bearer(viewer))
    page = (await closed.get("//metrics")).text
    for kind in ("worker_auth_failed", "operator_auth_failed", "operator_not_authorized"):
        assert f'sluicegate_auth_failures_total{{kind="{kind}"}} 1.0' in page


async def _claimed_again(api: Api, job_id: str, worker: str) -> str:
    answer = await api.post("/jobs/claim", {**CLAIM, "workerId": worker})
    assert answer.json["job"]["id"] == job_id
    return str(answer.json["job"]["leaseToken"])


async def _later(store: Store, moment_ms: int) -> bool:
    return await store.now_ms() > moment_ms


async def test_a_caller_that_asks_too_often_is_told_when_to_come_back(
    api_settings: QueueApiSettings, store: Store
) -> None:
    """70-19: off by default; heartbeats and ends are never refused."""
    settings = msgspec.structs.replace(api_settings, rate_limit=0.01, rate_limit_burst=2)
    app = build(settings, store)
    async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        api = Api(f"http://{host}:{port}", session, app)
        job_id, held = await api.running()
        refused = await api.get("/jobs")
        assert (refused.status, refused.code) == (429, "rate_limited")
        assert int(refused.headers["Retry-After"]) > 1
        assert (await api.post(f"/jobs/{job_id}/heartbeat", {**held, "leaseSeconds": 5})).status == 200
        assert (await api.post(f"/jobs/{job_id}/complete", held)).status == 200


async def test_a_cursor_that_no_page_gave_is_refused(closed: Api) -> None:
    """70-2."""
    answer = await closed.get("/workers/tokens", params={"cursor": "zz"}, headers=bearer(BOOTSTRAP))
    assert answer.paths == ["cursor"]
