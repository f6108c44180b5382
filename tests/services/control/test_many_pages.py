"""Lists of jobs and dead letters, and many of them changed at once, without JavaScript (C-9, Q-8, 70-10)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp import ClientSession

from sluicegate.model import Job
from sluicegate.store import dead_letters, endings, jobs, workers
from sluicegate.store.connection import Store
from sluicegate.store.workers import Presence
from tests.support import given
from tests.support.forms import look, post, send, words
from tests.support.tokens import operator_token

NASTY = "<script>alert('x')</script>"


def listed(page: str) -> list[str]:
    return re.findall(r'<a id="job-([^"]+)"', page)


async def dead(store: Store, error: str, *, kind: str = "task", **described: Any) -> str:
    job = await given.running(store, kind, max_attempts=1, **described)
    await given.end(store, job, endings.Fail(job.id, given.token(job), error, retryable=True))
    return job.id


async def status(store: Store, *job_ids: str) -> list[str]:
    return [job.status if job else "gone" for job in await jobs.read(store, job_ids)]


async def test_the_jobs_by_filters_and_pages(control: ClientSession, store: Store) -> None:
    """The address keeps the filters; what is wrong is told at its field."""
    done = await given.succeeded(store, "report")
    running: Job = await given.running(store, worker_id="worker-7")
    first, second, third = [await given.queued(store) for _ in range(3)]
    assert len(listed(await look(control, "/jobs"))) == 5
    assert listed(await look(control, "/jobs?type=report&status=&repository=")) == [done]
    assert listed(await look(control, "/jobs?claimedBy=worker-7")) == [running.id]
    assert listed(await look(control, "/jobs?createdBefore=2001-01-01T00:00")) == []
    page = await look(control, "/jobs?status=queued&limit=2")
    assert listed(page) == [third, second]
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following and "status=queued" in following[1]
    assert listed(await look(control, following[1].replace("&amp;", "&"))) == [first]
    async with control.get("/jobs", params={"id": f" {done.upper()} "}, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, f"/jobs/{done}")
    for field, value in {"id": "12", "type": "Not A Type", "createdAfter": "x", "status": "none"}.items():
        page = await look(control, f"/jobs?{field}={value}", expect=422)
        assert f'id="wrong-{field}"' in page


async def test_ticked_jobs_are_cancelled_after_a_look(control: ClientSession, store: Store) -> None:
    """C-9: what would be touched is counted first, and nothing is done before; refusals are told."""
    done = await given.succeeded(store)
    running = await given.running(store)
    waiting, other = [await given.queued(store) for _ in range(2)]
    ids = [done, running.id, waiting]
    answer = await send(control, "/jobs", verb="cancel", ids=ids)
    assert answer.status == 200
    assert "2 of 3 chosen jobs can be changed so. Nothing has been done yet." in answer.words
    assert await status(store, waiting) == ["queued"]
    answer = await send(control, "/jobs", verb="cancel", ids=ids, sure="true", reason=NASTY)
    assert "2 changed of 2 that could be." in answer.words
    assert f"{done[-12:]} job {done}" in answer.words
    assert NASTY not in answer.text
    assert await status(store, done, waiting, other) == ["succeeded", "cancelled", "queued"]
    assert (await jobs.get(store, running.id)).cancel_reason == NASTY
    answer = await send(control, "/jobs", verb="cancel", page=f"/jobs/{other}/actions/cancel")
    assert answer.status == 422
    assert "tick at least one job" in answer.words


async def test_all_that_fit_are_changed(control: ClientSession, store: Store) -> None:
    """70-10: by the filter of the list, on every page of it; never simply everything."""
    for _ in range(3):
        await given.queued(store, "nightly")
    other = await given.queued(store, "task")
    page = await look(control, "/jobs?type=nightly&limit=1")
    assert '<input type="hidden" name="type" value="nightly">' in page
    fields = {"verb": "cancel", "all": "true", "type": "nightly"}
    answer = await send(control, "/jobs", **fields)
    assert "3 jobs can be changed so: all that fit type = nightly" in answer.words
    assert len(listed(answer.text)) == 3
    answer = await send(control, "/jobs", **fields, sure="true")
    assert "3 changed of 3" in answer.words
    assert await status(store, other) == ["queued"]
    answer = await send(control, "/jobs", verb="cancel", all="true", sure="true")
    assert answer.status == 422
    assert await status(store, other) == ["queued"]
    answer = await send(control, "/jobs", verb="retry", all="true", type="nightly", sure="true")
    assert "3 changed of 3" in answer.words
    assert (await send(control, "/jobs", verb="purge", ids=other, page="/jobs")).status == 404


async def test_dead_letters_are_redriven_one_first(control: ClientSession, store: Store) -> None:
    """Q-8: grouped by cause; a canary, then the rest; each step shows its count before it is done."""
    same = [await dead(store, f"cannot open /srv/w{n}/{n}af3c9d/x: {n}") for n in range(3)]
    other = await dead(store, NASTY)
    page = await look(control, "/dead-letters")
    assert NASTY not in page
    assert "2 causes of 4 dead letters" in words(page)
    cards = re.findall(r"<article.*?</article>", page, re.DOTALL)
    assert [len(re.findall('name="ids"', card)) for card in cards] == [3, 1]
    ids = re.findall(r'name="ids" value="([^"]+)"', cards[0])
    assert sorted(ids) == sorted(same)
    answer = await send(control, "/dead-letters", verb="canary", ids=ids)
    assert "1 of 1 chosen job can be changed so" in answer.words
    assert "the other 2 stay dead letters" in answer.words
    rest = re.findall(r'name="rest" value="([^"]+)"', answer.text)
    assert rest == ids[1:]
    fields = {"ids": ids[0], "rest": rest, "sure": "true"}
    answer = await send(control, "/dead-letters", verb="canary", **fields)
    assert "1 changed of 1" in answer.words
    assert re.findall(r'name="ids" value="([^"]+)"', answer.text) == rest
    assert await status(store, *ids) == ["queued", "dead_letter", "dead_letter"]
    answer = await send(control, "/dead-letters", verb="redrive", ids=rest, sure="true", page="/pauses")
    assert "2 changed of 2" in answer.words
    assert await status(store, *ids, other) == ["queued"] * 3 + ["dead_letter"]
    assert "1 cause of 1 dead letter" in words(await look(control, "/dead-letters?type=task"))
    assert "None that fits" in words(await look(control, "/dead-letters?failureClass=transient_runtime"))


async def test_dead_letters_are_purged_after_a_count(control: ClientSession, store: Store) -> None:
    ids = [await dead(store, "broken") for _ in range(2)]
    answer = await send(control, "/dead-letters", verb="purge", ids=ids)
    assert "2 of 2 chosen jobs can be changed so" in answer.words
    assert "cannot be taken back" in answer.words
    assert len((await dead_letters.listing(store))[0]) == 2
    answer = await send(control, "/dead-letters", verb="purge", ids=ids, sure="true")
    assert "2 changed of 2" in answer.words
    assert await status(store, *ids) == ["gone", "gone"]


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_a_viewer_only_looks_at_lists(closed: ClientSession, store: Store, role: str) -> None:
    gone, job_id = await dead(store, "broken"), await given.queued(store)
    await post(closed, "/login", token=(await operator_token(store, role)).token)
    allowed = role == "operator"
    for url in ("/jobs", "/dead-letters"):
        page = await look(closed, url)
        assert ('name="verb"' in page) == allowed
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    for url, verb, target in (("/jobs", "cancel", job_id), ("/dead-letters", "purge", gone)):
        fields = {"verb": verb, "ids": target, "sure": "true"}
        assert (await post(closed, url, **fields)).status == 403
        answer = await post(closed, url, csrf=found[1], **fields)
        assert answer.status == (200 if allowed else 403)
    assert await status(store, job_id, gone) == (
        ["cancelled", "gone"] if allowed else ["queued", "dead_letter"]
    )


def presence(worker_id: str, **said: Any) -> Presence:
    about: dict[str, Any] = {
        "host": "build-1", "pid": 7, "version": "0.1.0", "transport": "redis", "capabilities": ["git"],
        "types": None, "slots": 4, "state": "idle", "jobs": [], **said,
    }  # fmt: skip
    return Presence(worker_id=worker_id, **about)


async def test_the_workers_and_what_they_do(control: ClientSession, store: Store) -> None:
    assert "None. Jobs wait until one comes" in words(await look(control, "/workers"))
    job = await given.running(store)
    there = presence(NASTY, state="paused_at_checkpoint", jobs=[job.id], paused_jobs=[job.id])
    await workers.announce(store, there)
    page = await look(control, "/workers")
    assert NASTY not in page
    assert f"{NASTY} Paused at checkpoint 1 of 4 {job.id[-12:]} waits any type git build-1" in words(page)


async def test_an_open_page_of_the_workers_follows_them(control: ClientSession, store: Store) -> None:
    """It is sent its own parts and no others."""
    async with control.get("/events?parts=strip,workers") as live:
        while "data:" not in (first := (await live.content.readuntil(b"\n\n")).decode()):
            pass
        assert 'id=\\"workers\\"' in first and 'id=\\"counts\\"' not in first
        await workers.announce(store, presence("worker-9"))
        while "worker-9" not in (sent := (await live.content.readuntil(b"\n\n")).decode()):
            pass
        assert 'id=\\"workers\\"' in sent
    async with control.get("/events?parts=none") as refused:
        assert refused.status == 422
