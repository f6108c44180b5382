"""`sluicegate doctor` as people and programs use it (60-3, 70-40)."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest

from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.damages import Scene, damages, scene
from tests.support.job_builder import JobBuilder
from tests.support.terminal import terminal

PLANTED = ("a running job without a lease", "a wrong count", "a job listed twice")


@pytest.fixture
async def made(store: Store) -> Scene:
    return await scene(store, JobBuilder(store))


async def plant(store: Store, made: Scene) -> None:
    for name in PLANTED:
        await store.commands(*damages(made)[name][0])


def words(store: Store, *flags: str) -> list[str]:
    return [sys.executable, "-m", "sluicegate", "doctor", "--redis-url", store.settings.redis_url, *flags]


async def doctor(store: Store, *flags: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *words(store, *flags), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_it_checks_says_what_differs_repairs_and_checks_again(store: Store, made: Scene) -> None:
    """70-40: exit 1 when anything differs; --apply ends with 0 once nothing does."""
    status, out, err = await doctor(store)
    assert (status, err) == (0, "")
    assert out.startswith("Nothing differs: 10 jobs and 5 lanes checked in ")
    await plant(store, made)
    before = await contents(store)
    status, out, err = await doctor(store)
    assert (status, err) == (1, "")
    assert f"running job {made.id('running')} has no lease" in out
    assert "Repair: it gets a lease of a minute" in out
    assert "3 faults: " in out
    assert await contents(store) == before
    status, out, err = await doctor(store, "--apply")
    assert (status, err) == (0, "")
    assert out.index("3 faults: ") < out.index("Repaired 3 faults") < out.index("Nothing differs: 10 jobs")


async def test_programs_get_an_object(store: Store, made: Scene) -> None:
    """60-3: --json tells every finding."""
    await plant(store, made)
    status, out, _ = await doctor(store, "--json")
    told = json.loads(out)
    assert (status, told["healthy"], told["repaired"]) == (1, False, [])
    assert {each["code"] for each in told["findings"]} == {"no_lease", "also_listed", "wrong_count"}
    assert all(each["repairable"] and each["message"] and each["remedy"] for each in told["findings"])
    status, out, _ = await doctor(store, "--json", "--apply")
    told = json.loads(out)
    assert (status, told["healthy"], told["findings"], len(told["repaired"])) == (0, True, [], 3)


async def test_what_needs_a_person_is_told_and_stays(store: Store, made: Scene) -> None:
    """60-3: exit 1, also with --apply, while something differs that no script may decide."""
    await store.command("SET", "{sg:0}:backup", "x")
    status, out, _ = await doctor(store, "--apply")
    assert status == 1
    assert "By hand: find out what wrote it" in out
    assert "1 fault, 1 for a person to look at" in out
    assert await store.command("DEL", "{sg:0}:backup") == 1


async def test_a_store_without_a_queue_is_not_made_one(store: Store) -> None:
    """Whoever names a wrong store is told so; nothing is written into it."""
    await store.command("FLUSHDB")
    status, out, err = await doctor(store, "--apply")
    assert (status, out) == (1, "")
    assert "there is no queue in this store" in err
    assert await contents(store) == {}


async def test_a_person_is_asked(store: Store, made: Scene) -> None:
    """60-3: a no changes nothing, a yes repairs; --yes does not ask."""
    await plant(store, made)
    before = await contents(store)

    def answered(answer: str) -> tuple[int, str]:
        with terminal(words(store, "--apply"), env=os.environ, lines=60) as screen:
            screen.until("Repair these 3? [y/N]")
            screen.type(f"{answer}\n")
            return screen.ended(), screen.text

    status, text = await asyncio.to_thread(answered, "n")
    assert (status, "Aborted" in text) == (1, True)
    assert await contents(store) == before
    status, text = await asyncio.to_thread(answered, "y")
    assert (status, "Nothing differs" in text) == (0, True)
