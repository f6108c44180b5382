"""What operators say reaches the agent's inbox once and in order, and its next prompt (L-6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from sluicegate.settings import Settings
from sluicegate.store import Store, events, jobs, messages
from tests.services.worker.conftest import Way, ended, working
from tests.services.worker.test_live_sessions import HEARD, task
from tests.support.job_builder import JobBuilder
from tests.support.origin import Origin
from tests.support.wait import until


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return structs.replace(settings, allow_local_repositories=True)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@HEARD
async def test_messages_come_into_the_inbox_and_the_next_prompt(
    store: Store, way: Way, make: JobBuilder, origin: Origin, tmp_path: Path, heard: dict[str, Any]
) -> None:
    """L-6: those of before the run, those that come while a step runs; told again to no later step."""
    kept = tmp_path / "kept"
    kept.mkdir()
    first = (
        "while [ $(wc -l < $SLUICEGATE_INBOX) -lt 3 ]; do sleep 0.02; done; "
        f"cp $SLUICEGATE_INBOX {kept}/inbox; cp $SLUICEGATE_PROMPT_FILE {kept}/first"
    )
    job = await task(
        make, origin, first, *(f"cp $SLUICEGATE_PROMPT_FILE {kept}/{name}" for name in ("second", "third"))
    )
    sent = [await messages.send(store, job.id, "before it began", actor="ann")]
    async with working(way, "one", **heard):
        await until(lambda: store_runs(store, job.id), "it runs")
        sent += [await messages.send(store, job.id, f"mind\nno. {at} ä", actor="bob") for at in range(2)]
        assert (await ended(store, job)).status == "succeeded"
    assert lines(kept / "inbox") == [
        {
            "id": each.id, "createdAt": each.created_at, "actorUserId": each.actor_user_id,
            "message": each.metadata_json["message"],
        }
        for each in sent
    ]  # fmt: skip
    prompts = {name: (kept / name).read_text() for name in ("first", "second", "third")}
    assert "before it began" in prompts["first"] and "no. 0 ä" not in prompts["first"]
    assert "before it began" not in prompts["second"]
    assert prompts["second"].index("no. 0 ä") < prompts["second"].index("no. 1 ä")
    assert "A message from" not in prompts["third"]


async def store_runs(store: Store, job_id: str) -> bool:
    found = await events.page(store, job_id, limit=500)
    return any((each.payload or {}).get("kind") == "task.step.started" for each in found)


async def test_what_an_attempt_did_not_finish_is_told_again(
    store: Store, way: Way, make: JobBuilder, origin: Origin, tmp_path: Path
) -> None:
    """L-6: a message is read once a step that got it has finished; the next worker's inbox has it once."""
    kept = tmp_path / "kept"
    kept.mkdir()
    script = (
        f"cp $SLUICEGATE_PROMPT_FILE {kept}/prompt-$$; cp $SLUICEGATE_INBOX {kept}/inbox-$$; "
        f"[ $(ls {kept} | grep -c prompt) = 2 ] || sleep 60"
    )
    job = await task(make, origin, script)
    await messages.send(store, job.id, "say it again", actor="ann")
    async with working(way, "one"):
        await until(lambda: list(kept.glob("inbox-*")), "the first attempt has it", timeout=20)
    assert (await jobs.get(store, job.id)).status == "queued", "released, unfinished"
    async with working(way, "two"):
        assert (await ended(store, job)).status == "succeeded"
    prompts = [path.read_text() for path in kept.glob("prompt-*")]
    assert [text.count("say it again") for text in prompts] == [1, 1]
    assert [len(lines(path)) for path in kept.glob("inbox-*")] == [1, 1]
