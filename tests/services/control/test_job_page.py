"""The page of a job as it comes from the server, and its stream: state, timeline, output (60-4)."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from aiohttp import ClientSession
from msgspec import structs

from services.control.dashboard import output_view, timelines
from services.control.handlers import job_page
from sluicegate.model import Job, NewEvent
from sluicegate.store import cancellation, controls, endings, events, pause, workers
from sluicegate.store.connection import Store
from sluicegate.store.workers import Clocks, Presence
from tests.services.control.test_pages import NASTY, read, stream
from tests.support import given

STEP: dict[str, Any] = {"stepId": "build", "stepIndex": 1, "jobAttempt": 1, "attempt": 1}
STEPS = [{"id": name, "title": name.title()} for name in ("plan", "build", "test", "docs")]
TASK: dict[str, Any] = {
    "repository": "acme/a",
    "targetRuntime": "shell",
    "task": {"instructions": "Improve it\nand more", "steps": STEPS},
}
LIMITS = {"wallSeconds": 900.0, "idleSeconds": 300.0}


async def tell(store: Store, job: Job, kind: str, level: Any = "info", **payload: Any) -> None:
    event = NewEvent(message=payload.pop("message", "said"), level=level, payload={"kind": kind, **payload})
    await events.append(store, str(job.claimed_by), job.id, given.token(job), [event])


async def task(store: Store, **more: Any) -> Job:
    return await given.running(store, "task", payload=TASK, **more)


async def at_its_second_attempt(store: Store) -> Job:
    job = await task(store)
    await tell(store, job, "task.stage.started", stage="execute")
    await tell(store, job, "task.step.started", **STEP)
    await tell(store, job, "task.step.attempt.started", **STEP, limits=LIMITS)
    failed = {**STEP, "failureClass": "transient_runtime", "summary": NASTY}
    await tell(store, job, "task.step.attempt.failed", "warn", **failed)
    await tell(store, job, "task.self_heal.triggered", **STEP, strategy="soft_reset")
    second = {**STEP, "attempt": 2, "strategy": "soft_reset", "limits": LIMITS}
    await tell(store, job, "task.step.attempt.started", **second)
    return job


async def hears(store: Store, job: Job, silent: float) -> None:
    """Its worker says for how long the command is silent."""
    here = Presence(
        worker_id=str(job.claimed_by), host="h", pid=1, version="1", transport="redis", capabilities=[],
        types=None, slots=1, state="busy", jobs=[job.id],
        clocks=[Clocks(job_id=job.id, ran_seconds=195.0, silent_seconds=silent)],
    )  # fmt: skip
    await workers.announce(store, here)


def words(markup: str) -> str:
    text = html.unescape(re.sub("<[^>]+>", " ", markup))
    return re.sub(r" ([.,;:])", r"\1", " ".join(text.split()))


def state(page: str) -> str:
    """The line at its top, with its times as they are at the first look."""
    found = re.search(r'<p id="state"[^>]*>(.*?)</p>', page, re.DOTALL)
    assert found
    return re.sub(r"\b[0-9]\.?\d? s\b", "0 s", words(found[1]))


def output(page: str) -> str:
    found = re.search(r'<div id="output"[^>]*>(.*?)</div>\s*<button id="follow"', page, re.DOTALL)
    assert found
    return html.unescape(re.sub("<[^>]+>", "", found[1]))


def part(page: str, name: str) -> str:
    return words(page.partition(f'<section id="{name}"')[2].partition("</section>")[0])


async def test_a_running_step_is_told_whole(control: ClientSession, store: Store) -> None:
    """The step, the attempt, how it came about, and how long it is idle, by its worker's count (60-4)."""
    job = await at_its_second_attempt(store)
    page = await read(control, f"/jobs/{job.id}")
    begun = "Running step 2 of 4 (build), attempt 2 after a soft reset, for"
    assert state(page).startswith(f"{begun} 0 s of 900 s")
    await hears(store, job, 3.0)
    assert state(await read(control, f"/jobs/{job.id}")) in [
        f"{begun} {n} s of 900 s." for n in range(195, 205)
    ]
    await hears(store, job, 140.0)
    line = state(await read(control, f"/jobs/{job.id}"))
    assert line in [f"{begun} {195 + n} s of 900 s, idle {140 + n} s of 300 s." for n in range(10)]
    assert NASTY not in page and "Improve it" in page and "and more" not in page


async def test_a_held_run_says_why(control: ClientSession, store: Store) -> None:
    job = await at_its_second_attempt(store)
    await controls.request(
        store, job.id, controls.Request(action="takeover", actor="ann", reason=NASTY, metadata={})
    )
    page = await read(control, f"/jobs/{job.id}")
    assert "to wait at its next checkpoint as ann asked" in state(page)
    await tell(store, job, "task.paused", reason="operator", stepId="build")
    page = await read(control, f"/jobs/{job.id}")
    assert state(page) == (
        f"Waiting at its checkpoint in step 2 of 4 (build) for 0 s: an operator holds it (ann: {NASTY})."
    )
    await tell(store, job, "task.resumed", reason="operator")
    assert "Running step 2" in state(await read(control, f"/jobs/{job.id}"))


async def test_the_line_of_every_other_state(control: ClientSession, store: Store) -> None:
    """Each is true of its job; what people wrote is text."""
    lines: dict[str, str] = {}

    async def look(name: str, job_id: str) -> None:
        lines[name] = state(await read(control, f"/jobs/{job_id}"))

    await look("succeeded", await given.succeeded(store, result="All is well"))
    stale = await given.stale(store)
    await look("stale", stale.id)
    await cancellation.cancel(store, stale.id, actor="ann", reason="it hangs")
    await look("cancelled", stale.id)
    for name, most, again in (("failed", 3, False), ("dead", 1, True)):
        job = await given.running(store, max_attempts=most)
        ending = endings.Fail(job.id, given.token(job), NASTY, retryable=again, failure_class="odd")
        await given.end(store, job, ending)
        await look(name, job.id)
    running = await given.running(store)
    await look("running", running.id)
    await cancellation.cancel(store, running.id, actor="bob", reason="wrong one")
    await look("cancelling", running.id)
    await look("delayed", await given.queued(store, delay_ms=600_000))
    waiting = await given.queued(store)
    await look("waiting", waiting)
    await pause.change(store, action="pause", mode="drain", reason="Upgrade", actor="alex")
    await look("paused", waiting)
    assert lines["succeeded"] == "Succeeded after 0 s: All is well."
    assert lines["stale"].startswith(
        "Stale: worker-1 has not renewed its lease, which ended 0 s ago; the sweeper"
    )
    assert lines["cancelled"] == "Cancelled by ann: it hangs."
    assert lines["failed"] == f"Failed after 0 s (odd): {NASTY}."
    assert lines["dead"] == f"Dead letter after 1 attempt (odd): {NASTY}."
    assert lines["running"] == "Running attempt 1 of 3 on worker-1 for 0 s."
    assert lines["cancelling"] == (
        "Cancelling: asked by bob 0 s ago: wrong one, waiting for worker-1 to end every process of it."
    )
    assert lines["delayed"].startswith("Waiting: ") and "its producer asked for" in lines["delayed"]
    assert lines["waiting"].startswith("Waiting: ")
    assert lines["paused"].startswith("Waiting: all workers are paused (drain): Upgrade; ")


async def test_the_timeline_reads_without_a_script(control: ClientSession, store: Store) -> None:
    """Attempts, stages, steps and each try of them, with its outcome in words, and what came next (70-29)."""
    job = await at_its_second_attempt(store)
    page = await read(control, f"/jobs/{job.id}")
    shown = part(page, "attempts")
    for each in (
        "Attempt 1 on worker-1 Running", "Execute Running", "Step 2 (build)", "Attempt 1: first Failed",
        f"transient_runtime {NASTY}", "Then: soft reset",
        "Attempt 2: again, in the same workspace Running",
        "Step 3 (test) Test to come", "Step 4 (docs) Docs to come",
    ):  # fmt: skip
        assert each in shown
    assert 'class="chip failed"' in page and NASTY not in page
    waits = await given.queued(store)
    assert '<section id="attempts" aria-labelledby="attempts-title" hidden>' in await read(
        control, f"/jobs/{waits}"
    )


async def test_what_is_looked_at_often_is_read_once(
    control: ClientSession, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history of a job is as long as its log; only what is new of it is read for the next look."""
    monkeypatch.setattr(timelines, "PAGE", 3)
    job = await at_its_second_attempt(store)
    for _ in range(2):
        assert "after a soft reset" in state(await read(control, f"/jobs/{job.id}"))
    await tell(store, job, "task.step.attempt.finished", **{**STEP, "attempt": 2})
    await tell(store, job, "task.step.finished", **STEP)
    assert state(await read(control, f"/jobs/{job.id}")).startswith("Running stage execute for")


async def told(store: Store) -> Job:
    job = await given.running(store, "task", worker_id="worker-7")
    await given.says(store, job, f"\x1b[31mred\x1b[0m {NASTY}\r\n")
    await tell(store, job, "task.note", "warn", message="Look out")
    await given.says(store, job, "second needle\n", stream="stderr")
    return job


@pytest.mark.parametrize(
    ("asked", "there", "not_there"),
    [
        ("", ["Enqueued", "Attempt 1 claimed by worker-7", f"red {NASTY}\n", "Look out", "second"], ["\x1b"]),
        ("?show=logs", [f"red {NASTY}\n", "second"], ["claimed", "Look out"]),
        ("?show=stages", ["claimed", "Look out"], ["red", "second"]),
        ("?show=warnings", ["Look out"], ["claimed", "second"]),
        ("?q=NEEDLE", ["second needle"], ["red", "claimed"]),
        ("?q=needle&show=stages", ["Nothing yet"], ["second"]),
        ("?q=%3Cscript", ["red <script>"], ["second"]),
    ],
)
async def test_filters_and_search_stand_in_the_address(
    control: ClientSession, store: Store, asked: str, there: list[str], not_there: list[str]
) -> None:
    """Without a script; markup and escape codes in output stay text."""
    job = await told(store)
    page = await read(control, f"/jobs/{job.id}{asked}")
    shown = output(page) or "Nothing yet"
    assert all(each in shown for each in there), shown
    assert not any(each in shown for each in not_there), shown
    assert NASTY not in page and "<script>alert" not in page
    if "show=logs" in asked:
        assert re.search(r'id="show-logs"[^>]*aria-current', page)
    if "q=NEEDLE" in asked:
        assert "<mark>needle</mark>" in page and "show=logs&amp;q=NEEDLE" in page


@pytest.mark.parametrize("asked", ["show=most", "q=" + "x" * 201, "before=yesterday", "wat=1", "q=a&q=b"])
async def test_an_address_that_asks_for_nothing_known_is_refused(
    control: ClientSession, store: Store, asked: str
) -> None:
    job = await given.running(store)
    page = await read(control, f"/jobs/{job.id}?{asked}", expect=422)
    assert asked.partition("=")[0] in page


async def test_a_long_history_shows_its_end(
    control: ClientSession, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is bounded; a link leads to what came before, and back to the latest."""
    monkeypatch.setattr(output_view, "MOST_PIECES", 40)
    job = await given.running(store)
    batch = [NewEvent(message=f"event {n}.", payload={"kind": "note"}) for n in range(100)]
    await events.append(store, str(job.claimed_by), job.id, given.token(job), batch)
    seen: list[str] = []
    address: str | None = f"/jobs/{job.id}"
    for _ in range(3):
        assert address
        page = await read(control, address)
        seen = re.findall(r">event (\d+)\.<", page) + seen
        earlier = re.search(r'id="earlier" href="([^"]+)"', page)
        address = html.unescape(earlier[1]) if earlier else None
    assert seen == [str(n) for n in range(100)]
    assert address is None
    assert "An earlier part, as it was." in page and "data-live" not in page.partition('id="output"')[2][:200]


async def test_a_job_page_goes_on_where_it_was(control: ClientSession, store: Store) -> None:
    """What is new is appended; a reconnect goes on after `Last-Event-ID`; `end` when the job has ended."""
    job = await given.running(store)
    await given.says(store, job, "first\n")
    async with stream(control, f"/jobs/{job.id}/events") as live:
        assert "Running" in await live.next("put")
        assert "first" in await live.next("append")
        await given.says(store, job, "second\n")
        assert "second" in await live.next("append")
        seen = live.last_id
    await given.says(store, job, "third\n")
    async with stream(control, f"/jobs/{job.id}/events", **{"Last-Event-ID": seen}) as live:
        appended = await live.next("append")
        assert "third" in appended
        assert "second" not in appended
        await given.complete(store, job, result="All is well")
        rest = await live.rest()
        assert "All is well" in rest
        assert "job.succeeded" in rest
        assert rest.count("third") == 0
        assert rest.rstrip().endswith('event: end\ndata: ""')


async def test_a_stream_sends_what_its_page_shows(control: ClientSession, store: Store) -> None:
    job = await given.running(store)
    async with stream(control, f"/jobs/{job.id}/events?show=logs&q=needle") as live:
        await live.next("put")
        await given.says(store, job, "hay\nhay and nee")
        await given.says(store, job, "dle\nhay\n")
        appended = await live.next("append")
        assert words(appended).endswith("hay and needle")
        await given.complete(store, job)
        assert "event: append" not in await live.rest()


@pytest.mark.parametrize("asked", ["", "?show=stages", "?q=needle"])
async def test_a_stream_goes_on_where_its_page_ends(control: ClientSession, store: Store, asked: str) -> None:
    """Also where the page shows nothing of what came last: what it has read is not read again."""
    job = await given.running(store)
    await given.says(store, job, "hay\n")
    page = await read(control, f"/jobs/{job.id}{asked}")
    (newest,) = await events.page(store, job.id, sort="desc", limit=1)
    assert f'data-after="{newest.id}"' in page
    await given.complete(store, job)
    live = re.search(r'data-live="([^"]+)" data-after="([^"]+)"', page)
    assert live
    address = html.unescape(live[1])
    async with stream(control, f"{address}{'&' if '?' in address else '?'}after={live[2]}") as sent:
        assert "hay" not in await sent.rest()


async def test_a_flood_comes_in_few_messages(control: ClientSession, store: Store) -> None:
    """What happens within half a second comes in one message, however many events that are."""
    job = await given.running(store)
    async with stream(control, f"/jobs/{job.id}/events") as live:
        await live.next("put")
        for start in range(0, 600, 100):
            batch = [
                NewEvent(message=f"event {n}.", payload={"kind": "note"}) for n in range(start, start + 100)
            ]
            await events.append(store, str(job.claimed_by), job.id, given.token(job), batch)
        await given.complete(store, job)
        rest = await live.rest()
    assert len(re.findall(r">event \d+\.<", rest)) == 600
    assert rest.count("event: append") < 20


async def test_the_state_is_told_again_when_the_worker_says_more(
    control: ClientSession, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no notice of it: an open page looks by itself."""
    monkeypatch.setattr(job_page, "LONGEST_SECONDS", 0.1)
    job = await at_its_second_attempt(store)
    async with stream(control, f"/jobs/{job.id}/events") as live:
        await live.next("put")
        await hears(store, job, 40.0)
        while "idle" not in await live.next("put"):
            pass
        await hears(store, job, 0.0)
        while "idle" in await live.next("put"):
            pass


async def test_the_timeline_grows_while_it_is_looked_at(control: ClientSession, store: Store) -> None:
    job = await task(store)
    async with stream(control, f"/jobs/{job.id}/events") as live:
        await live.next("put")
        await tell(store, job, "task.step.started", **STEP)
        await tell(store, job, "task.step.attempt.started", **STEP)
        while "Step 2 (build)" not in (sent := await live.next("put")):
            pass
        assert state(sent).startswith("Running step 2 of 4 (build), attempt 1")


async def test_a_place_that_is_none_is_refused(control: ClientSession, store: Store) -> None:
    job = await given.running(store)
    async with control.get(f"/jobs/{job.id}/events", params={"after": "yesterday"}) as response:
        assert response.status == 422


async def test_a_worker_that_is_not_the_jobs_says_nothing_of_it(control: ClientSession, store: Store) -> None:
    """One that has lost the job may still believe that it runs it."""
    job = await at_its_second_attempt(store)
    await hears(store, structs.replace(job, claimed_by="worker-9"), 40.0)
    assert "idle" not in state(await read(control, f"/jobs/{job.id}"))


async def test_a_job_page_shows_who_holds_the_run_and_what_is_asked(
    control: ClientSession, store: Store
) -> None:
    """H-10, L-5."""
    job = await given.running(store)
    asked = {"action": "retry_step", "stepId": "<build>", "requestedByUserId": "bob"}
    for each in (
        controls.Request(action="takeover", actor="ann", reason="mine", metadata={}),
        controls.Request(action="retry_step", actor="bob", recovery=asked, metadata={}),
    ):
        await controls.request(store, job.id, each)
    text = await read(control, f"/jobs/{job.id}")
    assert "taken over by ann at" in text and ": mine" in text
    assert "retry step &lt;build&gt; by bob at" in text
