"""The live session on the page of a job, without JavaScript: opened, granted, ended; messages (L-13)."""

from __future__ import annotations

import re

import pytest
from aiohttp import ClientSession
from msgspec import structs

from sluicegate.model import Job
from sluicegate.sealing import SealingKeys, new_key
from sluicegate.settings import ControlSettings
from sluicegate.store import controls, live_sessions
from sluicegate.store.connection import Store
from sluicegate.store.live_sessions import Ways
from tests.services.control.test_run_control import TASK
from tests.support import given
from tests.support.forms import Answer, look, post, send, words
from tests.support.tokens import operator_token

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture
def control_settings(control_settings: ControlSettings, store: Store) -> ControlSettings:
    """With a key to seal with; the store's own rules are the same."""
    changed = structs.replace(control_settings, live_keys=SealingKeys.read(new_key("one")))
    store.settings = changed
    return changed


async def running(store: Store) -> Job:
    return await given.running(store, "task", payload=TASK)


async def reported(store: Store, job: Job, ways: Ways | None = None) -> None:
    """Its worker has opened one."""
    assert job.claimed_by
    await live_sessions.report(
        store, job.claimed_by, job.id, given.token(job), "ready",
        provider="tmux" if ways else "browser", ways=ways or Ways(web_ro=f"/jobs/{job.id}"), host="box",
    )  # fmt: skip


def card(page: str) -> str:
    return page.partition('id="session"')[2].partition("</section>")[0]


def offers(page: str) -> list[str]:
    return re.findall(r'id="do-(\w+)"', card(page))


async def do(control: ClientSession, job: Job, action: str, **fields: str) -> Answer:
    return await send(control, f"/jobs/{job.id}/actions/{action}", **fields)


async def test_a_session_from_asked_for_to_its_end(control: ClientSession, store: Store) -> None:
    """L-13: its status, how to attach, who types until when, what can be done; and what was done."""
    job = await running(store)
    page = await look(control, f"/jobs/{job.id}")
    assert "None yet" in words(card(page))
    assert offers(page) == ["message", "open_session"]
    assert (await do(control, job, "open_session")).status == 303
    page = await look(control, f"/jobs/{job.id}")
    assert "Starting" in words(card(page))
    assert offers(page) == ["message", "revoke"]
    await reported(store, job)
    page = await look(control, f"/jobs/{job.id}")
    assert "browser on box" in words(card(page))
    assert f"sluicegate attach {job.id}" in words(card(page))
    assert "Keyboard nobody" in words(card(page))
    assert offers(page) == ["message", "grant", "revoke"]
    assert (await do(control, job, "grant", ttlMinutes="5")).where == f"/jobs/{job.id}"
    page = await look(control, f"/jobs/{job.id}")
    assert re.search(r"Keyboard \S+, until \d{4}-\S+ \S+ UTC", words(card(page)))
    assert (await do(control, job, "revoke", reason="done")).status == 303
    page = await look(control, f"/jobs/{job.id}")
    assert "Revoked" in words(card(page))
    assert offers(page) == ["message", "open_session"]
    told = words(page.partition('id="controls"')[2].partition("</section>")[0])
    assert [each.action for each in await controls.latest(store, job.id, 9)] == ["revoke", "grant", "create"]
    assert re.search(r"revoke \S+: done.* grant \S+: ttlMinutes 5 .*create ", told)


async def test_a_way_to_write_is_told_once(control: ClientSession, store: Store) -> None:
    """L-2: on the page that answers the grant, and on no other."""
    job = await running(store)
    await reported(store, job, Ways(attach_ro="tmux -r x", attach_rw="tmux rw-secret"))
    answer = await do(control, job, "grant")
    assert answer.status == 200
    assert "tmux rw-secret" in answer.words
    page = await look(control, f"/jobs/{job.id}")
    assert "tmux -r x" in words(card(page))
    assert "rw-secret" not in page
    assert "rw-secret" not in await look(control, "/audit")


async def test_a_message_reaches_the_run_and_its_page(control: ClientSession, store: Store) -> None:
    """L-6: escaped; an empty one, or one for a run that is over, is refused at its form."""
    job = await running(store)
    assert (await do(control, job, "message", message=NASTY)).status == 303
    page = await look(control, f"/jobs/{job.id}")
    assert NASTY not in page
    assert f"message local-operator: {NASTY}" in words(page)
    empty = await do(control, job, "message", message=" ")
    assert empty.status == 422
    assert 'id="wrong-message"' in empty.text
    wrong = await do(control, job, "grant", ttlMinutes="241")
    assert (wrong.status, 'id="wrong-ttlMinutes"' in wrong.text) == (422, True)
    assert (await do(control, job, "grant")).status == 404, "there is no session yet"
    await given.complete(store, job)
    assert card(await look(control, f"/jobs/{job.id}")).startswith(' class="card session"')
    assert offers(await look(control, f"/jobs/{job.id}")) == []
    assert (await do(control, job, "message", message="hello")).status == 409


async def test_a_viewer_sees_it_and_does_nothing(closed: ClientSession, store: Store) -> None:
    job = await running(store)
    await reported(store, job)
    await post(closed, "/login", token=(await operator_token(store, "viewer")).token)
    page = await look(closed, f"/jobs/{job.id}")
    assert "Ready" in words(card(page))
    assert offers(page) == []
    await look(closed, f"/jobs/{job.id}/actions/message", expect=403)


async def test_other_jobs_have_none(control: ClientSession, store: Store) -> None:
    job = await given.running(store)
    assert " hidden>" in (await look(control, f"/jobs/{job.id}")).partition('id="session"')[2][:90]
