"""A store in which every page of the dashboard has something to show; what others write can be hostile."""

from __future__ import annotations

from typing import Any

import msgspec

from sluicegate.model import Job, NewEvent
from sluicegate.operations import messages
from sluicegate.operations.messages import MessageCall
from sluicegate.settings import Settings, WorkerSettings
from sluicegate.store import cancellation, controls, endings, events, narrow_pauses, pause, workers
from sluicegate.store.connection import Store
from sluicegate.store.workers import Presence
from sluicegate.worker.transports.redis import RedisTransport
from tests.support import given, live
from tests.support.job_builder import JobBuilder
from tests.support.tokens import operator_token, worker_token

MINUTE_MS = 60_000
PATCH = """diff --git a/src/parse.py b/src/parse.py
--- a/src/parse.py
+++ b/src/parse.py
@@ -1,3 +1,3 @@
 def parse(text):
-    return text.split(",")
+    return [each.strip() for each in text.split(",")]
"""
HOSTILE = "<script>hacked=1</script><img src=x onerror=hacked=1>\"'&amp;{{7*7}}"


class Scene(msgspec.Struct):
    """The ids of the jobs that have pages of their own. files: of the task, by the end of their names."""

    task: str
    files: dict[str, str]
    stuck: str
    waiting: str
    failed: str
    dead: list[str]


class Painter:
    """nasty: what is put behind every text that a person, a producer or a worker gives."""

    def __init__(self, store: Store, settings: Settings, nasty: str = "") -> None:
        self.store, self.settings, self.nasty = store, settings, nasty
        self.worker = f"builder-7{nasty}"
        self.files: dict[str, str] = {}

    async def paint(self) -> Scene:
        """Ended jobs first: `given.running` claims whatever waits."""
        dead = [
            await self._dead(f"cannot open /srv/run/{at}/lock: timed out after {at + 3} s") for at in range(4)
        ]
        dead.append(await self._dead("authentication failed for the registry", kind="report.weekly"))
        failed = await self._failed()
        for at in range(3):
            await given.succeeded(self.store, "report.weekly", result=f"{at + 12} rows written{self.nasty}")
        stuck = await given.stale(
            self.store, "task", worker_id=f"builder-3{self.nasty}", **self._described(2)
        )
        task = await self._running_task()
        await self._waiting_ones()
        (waiting,) = await self._queued(
            "task", repository=self._text("github.com/acme/shop"), capabilities=("gpu",)
        )
        await self._people(task)
        return Scene(task.id, self.files, stuck.id, waiting, failed, dead)

    def _text(self, text: str) -> str:
        return f"{text}{self.nasty}"

    def _described(self, steps: int) -> dict[str, Any]:
        named = [
            {"id": name, "title": self._text(title), "instructions": self._text(f"Work on {title.lower()}")}
            for name, title in (("parse", "Read the orders"), ("test", "Add the tests"), ("tidy", "Tidy up"))
        ]
        task = {"instructions": self._text("Trim the fields of imported orders"), "steps": named[:steps]}
        payload = {"repository": "acme/shop", "targetRuntime": "shell", "task": task}
        return {"payload": payload, "repository": self._text("github.com/acme/shop"), "priority": 5}

    async def _queued(self, kind: str, **described: Any) -> list[str]:
        make = JobBuilder(self.store)
        return await make.enqueued(make.submission(kind, **described))

    async def _waiting_ones(self) -> None:
        kind = self._text("import.orders")
        for at in range(6):
            await self._queued(kind, affinity_key=self._text("shop"), priority=at)
        await self._queued("report.weekly", delay_ms=40 * MINUTE_MS)
        (gone,) = await self._queued("import.orders")
        await cancellation.cancel(self.store, gone, actor=self._text("bob"), reason=self._text("a duplicate"))

    async def _dead(self, error: str, *, kind: str = "import.orders") -> str:
        job = await given.running(self.store, kind, worker_id=self.worker, max_attempts=1)
        await given.end(
            self.store, job, endings.Fail(job.id, given.token(job), self._text(error), retryable=True)
        )
        return job.id

    async def _failed(self) -> str:
        job = await given.running(self.store, "task", worker_id=self.worker, **self._described(1))
        message = self._text("secret in changes: src/config.py")
        ending = endings.Fail(
            job.id, given.token(job), message, retryable=False, failure_class="deterministic_policy"
        )
        await given.end(self.store, job, ending)
        return job.id

    async def _running_task(self) -> Job:
        job = await given.running(
            self.store, "task", worker_id=self.worker, lease_ms=30 * MINUTE_MS, **self._described(3)
        )
        why = self._text("exit 1: 2 tests failed")
        soft, failure = "soft_reset", {"failureClass": "transient_runtime", "summary": why}
        at: dict[str, Any] = {"stepId": "parse", "stepIndex": 0, "jobAttempt": 1}
        told: list[tuple[str, str, dict[str, Any]]] = [
            ("task.stage.started", "Stage execute started", {"stage": "execute"}),
            ("task.step.attempt.started", "Attempt 1 of step parse", {**at, "attempt": 1}),
            ("task.step.attempt.failed", why, {**at, "attempt": 1, **failure}),
            ("task.self_heal.triggered", "Soft reset", {**at, "strategy": soft}),
            ("task.step.attempt.started", "Attempt 2 of step parse", {**at, "attempt": 2, "strategy": soft}),
        ]  # fmt: skip
        batch = [NewEvent(message=words, payload={"kind": kind, **more}) for kind, words, more in told]
        assert job.claimed_by is not None
        await events.append(self.store, job.claimed_by, job.id, given.token(job), batch)
        for line in (
            "\x1b[32mok\x1b[0m 41 passed",
            "\x1b]0;title\x07\x1b[31mFAILED\x1b[0m test_trim - assert",
        ):
            await given.says(self.store, job, self._text(line) + "\r\n")
        await given.says(self.store, job, self._text("warning: slow disk") + "\n", stream="stderr")
        await live.session(self.store, job.id, given.token(job), granted_to=self._text("ann"))
        await self._artifacts(job)
        await messages.send(
            self.store,
            job.id,
            MessageCall(message=self._text("Mind the blank fields")),
            actor=self._text("ann"),
        )
        who, why = self._text("ann"), self._text("a look")
        asked = controls.Request(action="pause", actor=who, reason=why, metadata={})
        await controls.request(self.store, job.id, asked)
        return job

    async def _artifacts(self, job: Job) -> None:
        settings = WorkerSettings(**msgspec.structs.asdict(self.settings), worker_id=self.worker)
        transport = RedisTransport(settings)
        await transport.open()
        token = given.token(job)
        for name, content, kind in (
            ("patches/step-0001.patch", PATCH.rstrip() + self.nasty, "text/x-diff"),
            (f"reports/summary{self.nasty.replace('/', '')}.md", "# Done\n" + self.nasty, "text/markdown"),
            ("logs/execute.log", "41 passed\n", "text/plain"),
        ):
            kept = await transport.put_artifact(job.id, token, name, content.encode(), kind)
            self.files[name.rpartition(".")[2]] = kept.id
        await transport.close()

    async def announce(self, task_id: str) -> None:
        """Two workers are there, as far as 30 s reach."""
        about: dict[str, Any] = {"pid": 4711, "version": "0.1.0", "transport": "redis", "types": None}
        for name, state, mine in ((self.worker, "busy", [task_id]), (self._text("builder-9"), "idle", [])):
            await workers.announce(
                self.store,
                Presence(
                    worker_id=name, host=self._text("rack-2"), capabilities=["git", self._text("shell")],
                    slots=4, state=state, jobs=mine, **about,
                ),
            )  # fmt: skip

    async def _people(self, task: Job) -> None:
        await self.announce(task.id)
        await worker_token(self.store, self.worker, description=self._text("rack 2"), capabilities=["git"])
        await operator_token(self.store, "operator", self._text("ann"))
        by: dict[str, Any] = {
            "actor": self._text("ann"),
            "action": "pause",
            "reason": self._text("the API is slow"),
        }
        await narrow_pauses.change(
            self.store, scope="capability", value=self._text("gpu"), mode="drain", **by
        )
        await pause.change(
            self.store,
            action="pause",
            mode="drain",
            reason=self._text("Upgrade to 2.0"),
            actor=self._text("ann"),
        )
