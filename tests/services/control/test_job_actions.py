"""What an operator does with one job on its page, without JavaScript (C-9, H-10, L-5)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp import ClientSession

from sluicegate.operations.run_state import live_control
from sluicegate.store import cancellation, endings, jobs
from sluicegate.store.connection import Store
from tests.support import given
from tests.support.forms import look, post, send, words
from tests.support.tokens import bearer, operator_token

NASTY = "<script>alert('x')</script>"


def task_payload(*steps: dict[str, str]) -> dict[str, Any]:
    return {
        "repository": "acme/a",
        "targetRuntime": "shell",
        "task": {"instructions": "Improve it", "steps": list(steps)},
    }


def offers(page: str) -> list[str]:
    part = page.partition('id="actions"')[2].partition("</section>")[0]
    return re.findall(r'id="do-(\w+)"', part)


async def test_a_running_job_is_cancelled_with_a_reason(control: ClientSession, store: Store) -> None:
    """C-9: the form says what will happen; the request is shown until its worker has ended it."""
    job = await given.running(store, worker_id="worker-7")
    assert offers(await look(control, f"/jobs/{job.id}")) == ["pause", "stop", "takeover", "cancel"]
    form = f"/jobs/{job.id}/actions/cancel"
    assert "worker-7 is asked to stop" in words(await look(control, form))
    answer = await send(control, form, reason=NASTY)
    assert (answer.status, answer.where) == (303, f"/jobs/{job.id}")
    page = await look(control, answer.where)
    assert NASTY not in page
    assert NASTY in words(page)
    assert "Cancel requested 0 s ago by" in words(page)
    assert "Waiting for worker-7" in words(page)
    assert offers(page) == []
    assert (await jobs.get(store, job.id)).cancel_reason == NASTY
    await cancellation.acknowledge(store, job.id, worker_id="worker-7", lease_token=given.token(job))
    page = await look(control, answer.where)
    assert "Waiting for worker-7" not in words(page)
    assert offers(page) == ["retry"]


async def test_a_waiting_job_says_why_and_ends_at_once(control: ClientSession, store: Store) -> None:
    """C-1, Q-19: each reason with what would change it."""
    job_id = await given.queued(store)
    page = words(await look(control, f"/jobs/{job_id}"))
    assert "No worker was heard of within 30 s" in page
    assert "To change that: start a worker" in page
    answer = await send(control, f"/jobs/{job_id}/actions/cancel")
    assert answer.status == 303
    assert (await jobs.get(store, job_id)).status == "cancelled"


async def test_a_stale_job_is_ended_by_cancelling_again(control: ClientSession, store: Store) -> None:
    """C-4: the worker is gone; the page offers what ends it."""
    job = await given.running(store)
    await send(control, f"/jobs/{job.id}/actions/cancel")
    stale = await given.stale(store)
    page = await look(control, f"/jobs/{stale.id}")
    assert "no worker is waited for" in words(await look(control, f"/jobs/{stale.id}/actions/cancel"))
    assert "cancel" in offers(page)
    await send(control, f"/jobs/{stale.id}/actions/cancel")
    assert (await jobs.get(store, stale.id)).status == "cancelled"


async def test_a_failed_job_is_retried(control: ClientSession, store: Store) -> None:
    """70-11: it leads to the new job; a second time it says so, and leads there too."""
    job = await given.running(store)
    await given.end(store, job, endings.Fail(job.id, given.token(job), "broken", retryable=False))
    form = f"/jobs/{job.id}/actions/retry"
    first, second = await send(control, form), await send(control, form)
    assert (first.status, second.status) == (303, 409)
    assert f'href="{first.where}"' in second.text
    assert (await jobs.get(store, first.where.removeprefix("/jobs/"))).retry_of == job.id


async def test_a_run_is_held_and_given_back(control: ClientSession, store: Store) -> None:
    """L-5: stop at once, take over, resume with a summary; what holds is shown."""
    job = await given.running(store)
    await send(control, f"/jobs/{job.id}/actions/stop", reason="look")
    wanted = live_control(await jobs.get(store, job.id))
    assert wanted is not None and wanted.hard and wanted.reason == "look"
    page = await look(control, f"/jobs/{job.id}")
    assert "Held : stopped by" in words(page)
    assert offers(page) == ["resume", "takeover", "cancel"]
    await send(control, f"/jobs/{job.id}/actions/takeover")
    await send(control, f"/jobs/{job.id}/actions/resume", summary="did it by hand")
    wanted = live_control(await jobs.get(store, job.id))
    assert wanted is not None and not wanted.paused
    assert wanted.summary is not None and wanted.summary.text == "did it by hand"
    assert "Summary : to be told by" in words(await look(control, f"/jobs/{job.id}"))


async def test_a_task_is_sent_back_to_a_step(control: ClientSession, store: Store) -> None:
    """H-10: each step has its own actions; the request is shown while it is pending."""
    payload = task_payload({"id": "build", "title": "Build it"}, {"id": "test"})
    job = await given.running(store, "task", payload=payload)
    page = await look(control, f"/jobs/{job.id}")
    form = f"/jobs/{job.id}/actions/retry_step"
    assert f'href="{form}?stepId=test"' in page
    assert '<option value="test" selected>2 test' in await look(control, f"{form}?stepId=test")
    answer = await send(control, form, stepId="test", strategy="hard_reset", reason="again")
    assert answer.status == 303
    page = words(await look(control, answer.where))
    assert re.search(r"Asked : retry step test \(hard_reset\) by \S+ at \S+ again", page)


async def test_what_is_refused_is_told_at_its_field(control: ClientSession, store: Store) -> None:
    """Nothing changes, and what was typed is still there."""
    job = await given.running(store, "task", payload=task_payload())
    form = f"/jobs/{job.id}/actions/resume_from_step"
    for field in ({"stepId": "none"}, {"stepId": ""}):
        answer = await send(control, form, reason="so", **field)
        assert answer.status == 422
        assert 'id="wrong-stepId"' in answer.text
        assert 'value="so"' in answer.text
    done = await given.succeeded(store)
    answer = await send(control, f"/jobs/{done}/actions/cancel")
    assert answer.status == 409
    assert "Nothing was done" in answer.words
    assert (await send(control, f"/jobs/{job.id}/actions/pause", reason="x" * 2001)).status == 422
    assert live_control(await jobs.get(store, job.id)) is None
    await look(control, f"/jobs/{job.id}/actions/none", expect=404)


async def test_a_form_of_another_page_changes_nothing(
    control: ClientSession, closed: ClientSession, store: Store
) -> None:
    """70-18: with auth disabled, and for a JWT or token that a proxy adds to whatever a browser sends."""
    job_id = await given.queued(store)
    form = f"/jobs/{job_id}/actions/cancel"
    assert (await post(control, form, csrf="x")).status == 403
    closed.headers.update(bearer((await operator_token(store, "operator")).token))
    assert (await post(closed, form)).status == 403
    assert (await jobs.get(store, job_id)).status == "queued"
    assert (await send(closed, form)).status == 303


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_a_viewer_only_sees(closed: ClientSession, store: Store, role: str) -> None:
    job_id = await given.queued(store)
    await post(closed, "/login", token=(await operator_token(store, role)).token)
    page = await look(closed, f"/jobs/{job_id}")
    allowed = role == "operator"
    assert bool(offers(page)) == allowed
    await look(closed, f"/jobs/{job_id}/actions/cancel", expect=200 if allowed else 403)
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    answer = await post(closed, f"/jobs/{job_id}/actions/cancel", csrf=found[1])
    assert answer.status == (303 if allowed else 403)
