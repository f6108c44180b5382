"""Pausing and resuming on the page, without JavaScript, and looking who did (P-8, P-12, P-13)."""

from __future__ import annotations

import re

import pytest
from aiohttp import ClientSession

from sluicegate.store import narrow_pauses, pause
from sluicegate.store.connection import Store
from sluicegate.times import to_rfc3339
from tests.support import given
from tests.support.forms import look, post, send, words
from tests.support.job_builder import HOUR_MS, now_ms
from tests.support.tokens import operator_token

NASTY = "<script>alert('x')</script>"


async def version(store: Store) -> str:
    return str((await pause.read(store)).version)


async def test_all_workers_are_paused_and_resumed(control: ClientSession, store: Store) -> None:
    """P-8: mode and reason, until when; the strip says it on every page."""
    until = to_rfc3339(await now_ms(store) + HOUR_MS)
    form = {"form": "fleet", "action": "pause", "mode": "quiesce", "reason": NASTY}
    answer = await send(control, "/pauses", until=until[:16], expectedVersion=await version(store), **form)
    assert (answer.status, answer.where) == (303, "/pauses")
    system = await pause.read(store)
    assert (system.mode, system.reason, system.until) == ("quiesce", NASTY, f"{until[:16]}:00.000Z")
    for url in ("/pauses", "/audit"):
        page = await look(control, url)
        assert "<strong>Paused (Quiesce)</strong>" in page
        assert NASTY not in page
    assert "Drained." in words(await look(control, "/pauses"))
    answer = await send(
        control, "/pauses", form="fleet", action="resume", reason="done", expectedVersion=await version(store)
    )
    assert answer.status == 303
    assert not (await pause.read(store)).workers_paused


async def test_a_resume_before_the_drain_is_a_choice_of_its_own(control: ClientSession, store: Store) -> None:
    """P-8: what still runs is named, and forcing is said explicitly."""
    job = await given.running(store, worker_id="worker-7")
    await pause.change(store, action="pause", mode="drain", reason="Upgrade", actor="alex")
    page = await look(control, "/pauses")
    assert "Not drained. 1 running" in words(page)
    assert re.search(rf"{job.id[-12:]} worker-7 \d s ago Running", words(page))
    assert 'name="forceResume"' in page
    fields = {"form": "fleet", "action": "resume"}
    answer = await send(control, "/pauses", **fields)
    assert answer.status == 409
    assert "Nothing was done: 1 job still runs: wait for the drain, or force the resume" in answer.words
    assert (await pause.read(store)).workers_paused
    assert (await send(control, "/pauses", forceResume="true", **fields)).status == 303
    assert "forced" in words(await look(control, "/audit?control=worker_pause"))


async def test_what_is_wrong_with_a_pause_stands_at_its_field(control: ClientSession, store: Store) -> None:
    """What was typed stays; an older page changes nothing."""
    form = {"form": "fleet", "action": "pause", "mode": "drain"}
    for field, more in (
        ("reason", {"reason": " "}),
        ("until", {"reason": "keep me", "until": "tomorrow"}),
        ("until", {"reason": "keep me", "until": "2001-01-01T00:00"}),
    ):
        answer = await send(control, "/pauses", **form, **more)
        assert answer.status == 400
        assert f'id="wrong-{field}"' in answer.text
        assert ('value="keep me"' in answer.text) == ("keep me" in more.values())
    before = await version(store)
    assert (await send(control, "/pauses", **form, reason="one", expectedVersion=before)).status == 303
    answer = await send(control, "/pauses", **form, reason="two", expectedVersion=before)
    assert answer.status == 409
    assert (await pause.read(store)).reason == "one"


async def test_a_part_is_paused_and_lifted(control: ClientSession, store: Store) -> None:
    """P-12."""
    form = {"form": "narrow", "action": "pause", "scope": "type", "mode": "drain", "reason": NASTY}
    answer = await send(control, "/pauses", value="Not A Type", **form)
    assert answer.status == 400
    assert 'id="wrong-value"' in answer.text
    assert (await send(control, "/pauses", value="nightly", **form)).status == 303
    page = await look(control, "/pauses")
    assert NASTY not in page
    assert f"type nightly Drain {NASTY} 0 s ago by" in words(page)
    (standing,) = (await narrow_pauses.read(store)).items
    lift = {"form": "narrow", "action": "resume", "scope": "type", "value": "nightly"}
    stale = await send(control, "/pauses", expectedVersion=str(standing.version - 1), **lift)
    assert stale.status == 409
    assert (await send(control, "/pauses", expectedVersion=str(standing.version), **lift)).status == 303
    assert (await narrow_pauses.read(store)).items == []


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_a_viewer_sees_the_pauses(closed: ClientSession, store: Store, role: str) -> None:
    await post(closed, "/login", token=(await operator_token(store, role)).token)
    page = await look(closed, "/pauses")
    allowed = role == "operator"
    assert ('action="/pauses"' in page) == allowed
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    fields = {"form": "fleet", "action": "pause", "mode": "drain", "reason": "x"}
    assert (await post(closed, "/pauses", **fields)).status == 403
    answer = await post(closed, "/pauses", csrf=found[1], **fields)
    assert answer.status == (303 if allowed else 403)
    assert (await pause.read(store)).workers_paused == allowed


def entries(page: str) -> list[str]:
    return [words(row) for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL)[1:]]


async def test_the_audit_by_filters_and_pages(control: ClientSession, store: Store) -> None:
    """P-8: the address keeps what was asked for; a wrong filter is told at its field."""
    job_id = await given.queued(store)
    await send(control, f"/jobs/{job_id}/actions/cancel", reason="unused")
    for number in range(3):
        await pause.change(store, action="pause", mode="drain", reason=f"r{number}", actor="alex")
    page = await look(control, "/audit?control=job_cancel&actor=&since=")
    (entry,) = entries(page)
    assert "request job cancel" in entry and entry.endswith(f"{job_id[-12:]} unused")
    assert f'href="/jobs/{job_id}"' in page
    page = await look(control, "/audit?actor=alex&limit=2")
    assert [each[-2:] for each in entries(page)] == ["r2", "r1"]
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following and "actor=alex" in following[1]
    page = await look(control, following[1].replace("&amp;", "&"))
    assert [each[-2:] for each in entries(page)] == ["r0"]
    assert "Back to the newest" in page
    for wrong in ("since=yesterday", "control=none", "cursor=none"):
        page = await look(control, f"/audit?{wrong}", expect=422)
        assert "Nothing that fits" in page
        assert 'role="alert"' in page
    assert entries(await look(control, "/audit?until=2001-01-01T00:00")) == []
