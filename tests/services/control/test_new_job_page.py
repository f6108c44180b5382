"""Making a job on the page, without JavaScript, by the rules of every other way."""

from __future__ import annotations

import html
import re
import subprocess
from typing import Any

import msgspec
from aiohttp import ClientSession

from sluicegate.store import jobs
from sluicegate.store.connection import Store
from sluicegate.store.jobs import JobFilter
from tests.support.forms import look, send

PAGE = "/jobs/new"
TASK = {
    "type": "task",
    "payload.repository": "acme/a",
    "payload.targetRuntime": "shell",
    "payload.task.instructions": "Improve it",
    "payload.task.publish.mode": "none",
}


async def stored(store: Store) -> list[Any]:
    return (await jobs.listing(store, JobFilter(), cursor=None))[0]


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{re.escape(name)}"[^>]* value="([^"]*)"', page)
    return html.unescape(found[1]) if found else ""


async def test_a_task_with_steps_is_made(control: ClientSession, store: Store) -> None:
    """Blank steps are left out; the same form sent twice makes one job."""
    assert 'value="acme' not in await look(control, PAGE)
    steps = {
        "payload.task.steps[0].instructions": " ",
        "payload.task.steps[1].id": "build",
        "payload.task.steps[1].instructions": "make\nmake test",
        "payload.task.steps[3].title": "Tell it",
    }
    answer = await send(control, PAGE, do="add", **TASK, **steps)
    assert answer.status == 200
    assert field(answer.text, "payload.task.steps[1].id") == "build"
    assert field(answer.text, "payload.task.steps[2].title") == "Tell it"
    assert 'name="payload.task.steps[3].id"' in answer.text
    made = {
        **TASK,
        **steps,
        "priority": "7",
        "requiredCapabilities": "git, gh",
        "id": field(answer.text, "id"),
    }
    for _ in range(2):
        answer = await send(control, PAGE, do="enqueue", **made)
        assert (answer.status, answer.where) == (303, f"/jobs/{made['id']}")
    (job,) = await stored(store)
    assert (job.priority, job.repository, job.required_capabilities) == (
        7,
        "github.com/acme/a",
        ["gh", "git"],
    )
    assert job.payload["task"]["steps"] == [
        {"id": "build", "instructions": "make\nmake test"},
        {"title": "Tell it"},
    ]
    answer = await send(control, PAGE, do="enqueue", **{**made, "priority": "8"})
    assert answer.status == 409
    assert field(answer.text, "id") != made["id"]
    assert len(await stored(store)) == 1


async def test_steps_are_moved_and_left_out(control: ClientSession, store: Store) -> None:
    """Each button sends the form as it is; the last step stays; nonsense changes nothing."""
    steps = {f"payload.task.steps[{at}].id": name for at, name in enumerate("abc")}

    async def after(change: str) -> list[str]:
        answer = await send(control, PAGE, do=change, **TASK, **steps)
        assert answer.status == 200
        return [field(answer.text, f"payload.task.steps[{at}].id") for at in range(4)]

    assert await after("up 1") == ["b", "a", "c", ""]
    assert await after("down 1") == ["a", "c", "b", ""]
    assert await after("remove 0") == ["b", "c", "", ""]
    for nonsense in ("up 0", "down 2", "up 9", "up x", "remove"):
        assert await after(nonsense) == ["a", "b", "c", ""]
    answer = await send(control, PAGE, do="remove 0", **TASK, **{"payload.task.steps[0].id": "only"})
    assert 'name="payload.task.steps[0].id"' in answer.text
    assert await stored(store) == []


async def test_a_form_is_checked_while_it_is_filled_in(control: ClientSession, store: Store) -> None:
    """By the queue's own rules, at the fields as they stand, blank steps among them; nothing is changed."""

    async def checked(**fields: str) -> Any:
        return msgspec.json.decode((await send(control, f"{PAGE}/check", page=PAGE, **fields)).text)

    steps = {"payload.task.steps[0].id": " ", "payload.task.steps[2].id": "not an id"}
    found = await checked(**TASK, **steps, priority="high")
    assert set(found["errors"]) == {"priority"}
    found = await checked(**TASK, **steps)
    assert "payload.task.steps[2].id" in found["errors"] and "curl" not in found
    found = await checked(type="report", payload="[1]")
    assert set(found["errors"]) == {"payload"}
    assert (await checked(**TASK))["curl"].startswith("curl -fsS")
    assert await stored(store) == []
    async with control.post(f"{PAGE}/check", data=TASK) as refused:
        assert refused.status == 403


async def test_what_is_wrong_stands_at_its_field(control: ClientSession, store: Store) -> None:
    """The document's own paths name the fields, also after a blank step before them is gone."""
    for name, value in {
        "payload.task.steps[4].id": "not an id",
        "payload.repository": "http://",
        "payload.task.git.newBranch": "a..b",
        "priority": "high",
        "maxAttempts": "1.5",
        "delaySeconds": "-1",
    }.items():
        answer = await send(control, PAGE, do="enqueue", **{**TASK, name: value})
        assert answer.status == 422, name
        shown = name.replace("[4]", "[0]")
        assert f'id="wrong-{shown}"' in answer.text, name
        assert field(answer.text, shown) == value
    for name, wrong, words in (
        ("maxAttempts", "50", "must be at most 20"),
        ("maxRunSeconds", "-1", "must be more than 0<"),
        ("affinityKey", "a\nb", "must have 1 to 128 printable characters"),
        ("type", "A B", "must begin with a small letter"),
    ):
        assert words in (await send(control, PAGE, do="enqueue", **{"type": "report", name: wrong})).text
    answer = await send(control, PAGE, do="enqueue", type="report", payload="[1]")
    assert answer.status == 422
    assert 'id="wrong-payload"' in answer.text
    assert await stored(store) == []


async def test_a_check_enqueues_nothing_and_shows_the_call(control: ClientSession, store: Store) -> None:
    """What is shown as curl is that very job, whatever is in it."""
    nasty = 'it\'s $HOME `x` "<script>" \\'
    answer = await send(control, PAGE, do="check", **{**TASK, "payload.task.instructions": nasty})
    assert answer.status == 200
    assert await stored(store) == []
    found = re.search(r'<pre class="secret" id="curl"[^>]*>(.*?)</pre>', answer.text, re.DOTALL)
    assert found and "<script>" not in found[1]
    line = html.unescape(found[1])
    assert "Authorization" not in line
    script = f'curl() {{ printf "%s" "${{@: -1}}"; }}\n{line}'
    said = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    document = msgspec.json.decode(said)
    assert document["payload"]["task"]["instructions"] == nasty
    assert "id" not in document


async def test_a_job_of_another_type_is_made(control: ClientSession, store: Store) -> None:
    assert 'name="payload"' in await look(control, f"{PAGE}?kind=other")
    answer = await send(
        control, PAGE, do="enqueue", type="report.weekly", payload='{"week": 4}', delaySeconds="60.5"
    )
    assert answer.status == 303
    (job,) = await stored(store)
    assert (job.type, job.payload) == ("report.weekly", {"week": 4})
    assert job.next_attempt_at is not None
