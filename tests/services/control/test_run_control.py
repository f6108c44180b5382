"""`/api/task-runs/{id}/control` and `control-events`: an operator's hand on one run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from services.control.app import build
from sluicegate.http import serving
from sluicegate.model import Job
from sluicegate.settings import ControlSettings
from sluicegate.store import audit, cancellation, endings, jobs
from sluicegate.store.connection import Store
from tests.support import given
from tests.support.dump import dump
from tests.support.tokens import bearer, operator_token

NOBODY = "01890000-0000-7000-8000-000000000000"
TASK: dict[str, Any] = {
    "repository": "acme/app",
    "targetRuntime": "shell",
    "task": {
        "instructions": "Improve it",
        "steps": [{"id": "build", "instructions": "make"}, {"instructions": "make test"}],
    },
}
Answer = tuple[int, dict[str, Any]]


async def ask(control: ClientSession, job_id: str, body: Any, **headers: str) -> Answer:
    async with control.post(f"/api/task-runs/{job_id}/control", json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def events(control: ClientSession, job_id: str, **query: Any) -> Answer:
    async with control.get(f"/api/task-runs/{job_id}/control-events", params=query) as answer:
        return answer.status, await answer.json()


async def running(store: Store) -> Job:
    return await given.running(store, "task", payload=TASK)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"action": "pause"}, {"paused": True, "hard": False, "takeover": False}),
        (
            {"action": "pause", "hard": True, "reason": " look "},
            {"paused": True, "hard": True, "reason": "look"},
        ),
        ({"action": "pause", "hard": False, "reason": " "}, {"paused": True, "hard": False}),
        ({"action": "takeover", "reason": "mine"}, {"paused": True, "takeover": True, "reason": "mine"}),
    ],
)
async def test_a_run_is_held(
    control: ClientSession, store: Store, body: dict[str, Any], shown: dict[str, Any]
) -> None:
    """L-5, H-10, 70-1: the answer is the job, with the control in its payload."""
    job = await running(store)
    code, answer = await ask(control, job.id, body)
    assert (code, answer["id"], answer["status"]) == (200, job.id, "running")
    live = answer["payload"]["liveControl"]
    assert live.items() >= shown.items()
    assert (live["requestedByUserId"], live["version"]) == ("local-operator", 1)
    assert ("reason" in live) == ("reason" in shown)
    assert answer == msgspec.to_builtins(await jobs.get(store, job.id))


async def test_a_resume_ends_a_takeover_with_its_summary(control: ClientSession, store: Store) -> None:
    """L-9."""
    job = await running(store)
    await ask(control, job.id, {"action": "takeover"})
    body = {"action": "resume", "summary": "fixed the import by hand", "reason": "done"}
    code, answer = await ask(control, job.id, body)
    live = answer["payload"]["liveControl"]
    assert (code, live["paused"], live["takeover"]) == (200, False, False)
    assert live["summary"]["text"] == "fixed the import by hand"
    _, page = await events(control, job.id)
    assert [(each["action"], each["metadataJson"]) for each in page["items"]] == [
        ("takeover", {}),
        ("resume", {"reason": "done", "summary": "fixed the import by hand"}),
    ]


@pytest.mark.parametrize(
    ("body", "recovery"),
    [
        ({"action": "retry_step", "stepId": "build"}, {"stepId": "build", "strategy": "soft_reset"}),
        (
            {"action": "retry_step", "stepId": "step-1", "strategy": "hard_reset"},
            {"stepId": "build", "strategy": "hard_reset"},
        ),
        (
            {"action": "retry_step", "stepId": "step-2", "reason": "flaky"},
            {"stepId": "step-2", "reason": "flaky"},
        ),
        ({"action": "hard_reset_step", "stepId": "build"}, {"stepId": "build", "strategy": "hard_reset"}),
        ({"action": "hard_reset_step"}, {"strategy": "hard_reset"}),
        ({"action": "resume_from_step", "stepId": "step-1"}, {"stepId": "build"}),
    ],
)
async def test_a_step_is_asked_for(
    control: ClientSession, store: Store, body: dict[str, Any], recovery: dict[str, Any]
) -> None:
    """H-10, 70-28: `step-<n>` is the n-th step, and its own id is what is kept."""
    job = await running(store)
    code, answer = await ask(control, job.id, body)
    assert code == 200
    kept = answer["payload"]["liveControl"]["recovery"]
    assert kept.items() >= {"action": body["action"], "requestedByUserId": "local-operator"}.items()
    assert kept.items() >= recovery.items()
    assert ("stepId" in kept, "reason" in kept) == ("stepId" in recovery, "reason" in recovery)
    _, page = await events(control, job.id)
    (event,) = page["items"]
    assert (event["taskRunId"], event["actorUserId"]) == (job.id, "local-operator")
    assert (event["action"], event["createdAt"]) == (body["action"], kept["updatedAt"])
    assert event["metadataJson"].items() >= recovery.items()
    (entry,), _ = await audit.page(store)
    assert (entry.control, entry.action, entry.mode) == ("task_run", "request", body["action"])


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "action"),
        ({"action": "stop"}, "action"),
        ({"action": "pause", "nonsense": 1}, "nonsense"),
        ({"action": "pause", "summary": "s"}, "summary"),
        ({"action": "pause", "stepId": "build"}, "stepId"),
        ({"action": "pause", "hard": "yes"}, "hard"),
        ({"action": "resume", "hard": False}, "hard"),
        ({"action": "resume", "summary": "s" * 8001}, "summary"),
        ({"action": "takeover", "hard": True}, "hard"),
        ({"action": "takeover", "summary": "s"}, "summary"),
        ({"action": "retry_step"}, "stepId"),
        ({"action": "retry_step", "stepId": "nope"}, "stepId"),
        ({"action": "retry_step", "stepId": "step-3"}, "stepId"),
        ({"action": "retry_step", "stepId": "build", "strategy": "magic"}, "strategy"),
        ({"action": "retry_step", "stepId": "build", "hard": True}, "hard"),
        ({"action": "hard_reset_step", "stepId": "build", "strategy": "hard_reset"}, "strategy"),
        ({"action": "hard_reset_step", "stepId": "step-0"}, "stepId"),
        ({"action": "resume_from_step"}, "stepId"),
        ({"action": "resume_from_step", "stepId": "build", "strategy": "soft_reset"}, "strategy"),
        ({"action": "resume_from_step", "stepId": 1}, "stepId"),
        ({"action": "pause", "reason": "r" * 2001}, "reason"),
    ],
)
async def test_what_an_action_does_not_take_is_refused(
    control: ClientSession, store: Store, store_url: str, body: dict[str, Any], path: str
) -> None:
    """70-56: 422, naming the field; nothing is written."""
    job = await running(store)
    before = dump(store_url)
    code, problem = await ask(control, job.id, body)
    assert (code, problem["code"]) == (422, "validation_failed")
    assert [each["path"] for each in problem["errors"]] == [path]
    assert dump(store_url) == before


async def test_a_waiting_run_is_held_and_has_no_step_yet(control: ClientSession, store: Store) -> None:
    """70-24."""
    job_id = await given.queued(store, "task", payload=TASK)
    code, problem = await ask(control, job_id, {"action": "retry_step", "stepId": "build"})
    assert (code, problem["code"], problem["jobStatus"]) == (409, "job_state_conflict", "queued")
    code, answer = await ask(control, job_id, {"action": "takeover"})
    assert (code, answer["status"]) == (200, "queued")
    claimed = await given.claimed(store)
    assert claimed is not None and claimed.payload["liveControl"]["takeover"]


async def test_an_ended_run_is_refused(control: ClientSession, store: Store) -> None:
    """70-24."""
    job = await running(store)
    await given.complete(store, job)
    for body in ({"action": "pause"}, {"action": "resume"}, {"action": "retry_step", "stepId": "build"}):
        code, problem = await ask(control, job.id, body)
        assert (code, problem["code"], problem["jobStatus"]) == (409, "job_state_conflict", "succeeded")
    assert (await events(control, job.id))[1] == {"items": [], "nextCursor": None}


async def test_a_run_that_is_being_cancelled_is_refused(control: ClientSession, store: Store) -> None:
    """H-9."""
    job = await running(store)
    await cancellation.cancel(store, job.id, actor="ann")
    code, problem = await ask(control, job.id, {"action": "pause"})
    assert (code, problem["code"]) == (409, "job_state_conflict")
    assert "cancelled" in problem["detail"]


async def test_other_jobs_are_held_too_and_have_no_steps(control: ClientSession, store: Store) -> None:
    """Every handler has checkpoints; only tasks have steps."""
    job = await given.running(store, "noop")
    code, answer = await ask(control, job.id, {"action": "pause"})
    assert (code, answer["payload"]["liveControl"]["paused"]) == (200, True)
    code, problem = await ask(control, job.id, {"action": "retry_step", "stepId": "step-1"})
    assert (code, [each["path"] for each in problem["errors"]]) == (422, ["action"])


@pytest.mark.parametrize("job_id", [NOBODY, "no-id"])
async def test_an_unknown_run_is_not_found(control: ClientSession, job_id: str) -> None:
    for body in ({"action": "pause"}, {"action": "retry_step", "stepId": "x"}):
        code, problem = await ask(control, job_id, body)
        assert (code, problem["code"]) == (404, "job_not_found")
    code, problem = await events(control, job_id)
    assert (code, problem["code"]) == (404, "job_not_found")


async def test_control_events_come_in_pages(control: ClientSession, store: Store) -> None:
    """L-3, 70-2."""
    job = await running(store)
    for hard in (True, False, True):
        await ask(control, job.id, {"action": "pause", "hard": hard})
    code, first = await events(control, job.id, limit=2)
    assert (code, len(first["items"])) == (200, 2)
    _, rest = await events(control, job.id, limit=2, cursor=first["nextCursor"])
    assert [each["metadataJson"] for each in first["items"] + rest["items"]] == [
        {"hard": True}, {}, {"hard": True},
    ]  # fmt: skip
    assert rest["nextCursor"] is None
    for wrong in ({"limit": 0}, {"cursor": "x"}, {"nonsense": 1}):
        assert (await events(control, job.id, **wrong))[0] == 422


async def test_a_released_run_stays_held(control: ClientSession, store: Store) -> None:
    job = await running(store)
    await ask(control, job.id, {"action": "pause", "hard": True})
    await given.end(store, job, endings.Release(job.id, given.token(job), "stopping"))
    again = await given.claimed(store)
    assert again is not None and again.payload["liveControl"]["hard"]


@pytest.fixture
async def closed(control_settings: ControlSettings, store: Store) -> AsyncIterator[ClientSession]:
    app = build(msgspec.structs.replace(control_settings, auth="required"), store)
    async with (
        serving(app, "127.0.0.1", 0) as (host, port),
        ClientSession(f"http://{host}:{port}") as session,
    ):
        yield session


async def test_only_operators_control_a_run_and_viewers_look_on(closed: ClientSession, store: Store) -> None:
    job = await running(store)
    pause = {"action": "pause"}
    assert (await ask(closed, job.id, pause))[0] == 401
    for role, may, sees in (("producer", 403, 403), ("viewer", 403, 200), ("operator", 200, 200)):
        headers = bearer((await operator_token(store, role)).token)
        assert (await ask(closed, job.id, pause, **headers))[0] == may
        async with closed.get(f"/api/task-runs/{job.id}/control-events", headers=headers) as answer:
            assert answer.status == sees
