"""A task whose worker is killed goes on at another one, at the step where it was (H-8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sluicegate.model import NewJob
from sluicegate.operations import jobs as job_operations
from sluicegate.settings import Settings
from sluicegate.store import Store, events, jobs, shelves
from tests.support.marked import marked
from tests.support.origin import Origin
from tests.support.programs import Programs, Way, programs
from tests.support.tasks import payload
from tests.support.wait import until


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, allow_local_repositories=True)


@pytest.fixture
def started(store_url: str, tmp_path: Path, way: Way) -> Iterator[Programs]:
    with programs(store_url, tmp_path, way) as running:
        running.settings |= {"ALLOW_LOCAL_REPOSITORIES": "1", "WORKER_CAPABILITIES": "git,shell"}
        yield running


async def test_a_worker_killed_in_step_four_of_five(store: Store, started: Programs, tmp_path: Path) -> None:
    """H-8, H-11: `kill -9`; another worker finishes, and steps 1 to 3 have each left one line."""
    origin, marks = Origin(tmp_path / "remote"), tmp_path / "marks"
    marks.mkdir()
    scripts = [f"echo ran >> {marks}/{number}; seq {number} >> file" for number in (1, 2, 3)]
    scripts += [
        f"echo ran >> {marks}/4; test $(wc -l < {marks}/4) = 2 || sleep 600; seq 4 >> file",
        f"echo ran >> {marks}/5; seq 5 >> file",
    ]
    new = NewJob(type="task", payload=payload(origin, *scripts))
    job = (await job_operations.enqueue(store, new, actor="ann")).job
    reach = await started.reach()
    first = started.start("services.worker", WORKER_ID="first", **reach)
    await until((marks / "4").exists, "the fourth step runs", timeout=90)
    before = await shelves.steps(store, job.id)
    first.kill()
    await until(lambda: marked(first.mark) == [], "everything it started has ended", timeout=30)
    await started.sweeper()
    started.start("services.worker", WORKER_ID="second", **reach)

    async def over() -> bool:
        return (await jobs.get(store, job.id)).terminal

    await until(over, "the job has ended", timeout=90)
    done = await jobs.get(store, job.id)
    assert (done.status, done.claimed_by, done.attempt) == ("succeeded", "second", 2)
    runs = {path.name: len(path.read_text().split()) for path in marks.glob("?")}
    assert runs == {"1": 1, "2": 1, "3": 1, "4": 2, "5": 1}
    lines = [str(n) for number in range(1, 6) for n in range(1, number + 1)]
    assert origin.file("result", "file").decode().split() == lines
    assert (await shelves.steps(store, job.id))[:3] == before
    page = await events.page(store, job.id, limit=500)
    lost = [each.payload for each in page if each.payload and each.payload.get("lost")]
    assert [(each["stepId"], each["attempt"], each["workerId"]) for each in lost] == [("step-4", 1, "first")]
    begun = [
        each.payload for each in page if each.payload and each.payload["kind"] == "task.step.attempt.started"
    ]
    assert [(each["stepId"], each["attempt"]) for each in begun if each["stepId"] == "step-4"] == [
        ("step-4", 1), ("step-4", 2),
    ]  # fmt: skip
