"""The how-to page about backups, done: copied under load, restored to another server, nothing lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sluicegate import Client
from sluicegate.dev.embedded_store import EmbeddedStore
from sluicegate.settings import Settings
from sluicegate.store import Store, jobs
from tests.support.contents import kinds
from tests.support.origin import Origin
from tests.support.programs import ROOT, programs
from tests.support.tasks import payload
from tests.support.wait import until


def blocks() -> list[str]:
    page = (ROOT / "docs/how-to/backup-and-restore.md").read_text()
    return re.findall(r"```sh\n(.*?)```", page, re.DOTALL)


@pytest.mark.slow
@pytest.mark.needs("git")
async def test_a_copy_made_under_load_goes_on_elsewhere(tmp_path: Path) -> None:
    """Q-5, Q-10: ended jobs stay ended, with their files; waiting ones are done once; the check is clean."""
    origin = Origin(tmp_path / "origin")
    told = {
        "STORE": tmp_path / "old/store", "DATA": tmp_path / "data", "BACKUP": tmp_path / "backup",
        "NEW_STORE": tmp_path / "new/store", "NEW_DATA": tmp_path / "restored",
    }  # fmt: skip
    environment = {name: str(path) for name, path in told.items()}
    backup, files, restore, check = blocks()
    with EmbeddedStore(tmp_path / "old") as old, programs(old.url, tmp_path) as started:
        started.settings |= {"ALLOW_LOCAL_REPOSITORIES": "1", "WORKER_CAPABILITIES": "git,shell"}
        started.start("services.worker", WORKER_ID="worker-1")
        settings = Settings(redis_url=old.url, data_dir=told["DATA"], allow_local_repositories=True)
        async with Client.from_redis(old.url, settings=settings) as client:
            task = await client.enqueue(type="task", payload=payload(origin, "date > now"))
            ended = [task, *[await client.enqueue(type="noop", payload={}) for _ in range(20)]]
            for job in ended:
                assert (await client.wait(job.id, 60)).status == "succeeded"
            await client.pause("drain", "what waits now is in the backup")
            waiting = [await client.enqueue(type="noop", payload={}) for _ in range(20)]
            run(backup, environment)
            old.kill()
            run(files, environment)
    run(restore, environment)
    with EmbeddedStore(tmp_path / "new") as new, programs(new.url, tmp_path / "new") as started:
        run(
            check.replace("sluicegate", f"{sys.executable} -m sluicegate"), environment | {"NEW_URL": new.url}
        )
        store = await Store.open(Settings(redis_url=new.url, data_dir=told["NEW_DATA"]))
        try:
            started.start("services.worker", WORKER_ID="worker-1", DATA_DIR=str(told["NEW_DATA"]))
            async with Client.from_redis(new.url, settings=store.settings) as client:
                await client.resume(reason="restored")
                for job in waiting:
                    assert (await client.wait(job.id, 60)).status == "succeeded"
                assert (await client.artifacts(task.id))[0]
            await until(lambda: all_ran_once(store, [*ended, *waiting]), "every job was begun once")
        finally:
            await store.close()


async def all_ran_once(store: Store, made: list[jobs.Job]) -> bool:
    return all([(await kinds(store, job.id)).count("job.claimed") == 1 for job in made])


def run(block: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["sh", "-euc", block], env=os.environ | environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
