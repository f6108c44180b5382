"""A handler's real context on a queue that is kept in memory: what was stored and told can be looked at.

`Kept` is what a queue keeps with one job through all its attempts. `attempt` opens the next one, as another
worker would: with a token and a workspace of its own. Commands are real ones.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self, cast

import msgspec
from prometheus_client import CollectorRegistry

from sluicegate.errors import Invalid, LeaseLost, NotFound, RequestError, TooLarge
from sluicegate.metrics import WorkerMetrics
from sluicegate.model import (
    Event,
    Job,
    LiveControl,
    OperatorMessage,
    Policy,
    Recovery,
    RecoveryAction,
    RecoveryStrategy,
    SystemState,
)
from sluicegate.redact import Redactor
from sluicegate.settings import WorkerSettings
from sluicegate.store.claims import Attempt, Lease, Opened, Renewal, Wishes
from sluicegate.store.control_feed import Control
from sluicegate.store.controls import Matter, Outcome
from sluicegate.store.endings import Ending
from sluicegate.store.events import Append
from sluicegate.store.shelves import Artifact, StepCheckpoint
from sluicegate.store.workers import Presence
from sluicegate.times import now_ms, to_rfc3339
from sluicegate.tracing import TraceContext
from sluicegate.worker.attempt import RunningAttempt
from sluicegate.worker.context import JobContext, WorkerParts
from sluicegate.worker.outbox import Outbox
from sluicegate.worker.transports import LiveReport
from sluicegate.worker.workspaces import Workspaces

RUNNING = SystemState(workers_paused=False)


class Kept:
    """One job in the queue: its holder is the attempt with the last token."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.token = 0
        self.registry = CollectorRegistry()
        self.metrics = WorkerMetrics(self.registry)
        self.facts: dict[str, str] = {}
        self.steps: dict[int, StepCheckpoint] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.content: dict[str, bytes] = {}
        self.events: list[Event] = []
        self.answers: list[tuple[Matter, str, Outcome, str | None]] = []
        self.control: LiveControl | None = None
        self.messages: list[OperatorMessage] = []
        self.reports: list[LiveReport] = []

    def kinds(self, prefix: str = "") -> list[str]:
        kinds = [event.payload["kind"] for event in self.events if event.payload]
        return [kind for kind in kinds if kind != "log" and kind.startswith(prefix)]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of the events of this kind."""
        return [event.payload for event in self.events if event.payload and event.payload["kind"] == kind]

    def output(self, stage: str) -> str:
        """What the log events of a stage say, in order."""
        return "".join(log["text"] for log in self.told("log") if log.get("stage") == stage)

    def everything(self) -> bytes:
        """All that is stored, to be searched."""
        return msgspec.json.encode([self.events, self.facts, self.steps, self.artifacts]) + b"".join(
            self.content.values()
        )

    def require(self, token: int) -> None:
        if token != self.token:
            raise LeaseLost(f"token {token} does not hold job {self.job.id}")


class RecordedQueue:
    """A transport to `Kept`. before: called with each call's name, to let something happen just then."""

    name: Literal["redis", "http"] = "redis"

    def __init__(self, kept: Kept, settings: WorkerSettings, before: Callable[[str], None]) -> None:
        self._kept = kept
        self._settings = settings
        self._before = before
        self.cancel_requested_at_ms: int | None = None

    def sibling(self) -> Self:
        raise NotImplementedError

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def claim(self, policy: Policy, *, lease_ms: int, limit: int, request_id: str) -> Opened:
        raise NotImplementedError

    async def wait_for_work(self, policy: Policy, timeout_seconds: float) -> bool:
        raise NotImplementedError

    def wake(self) -> None: ...

    async def renew(self, leases: Sequence[Lease]) -> Renewal:
        self._before("renew")
        items: list[Wishes | RequestError] = []
        for lease in leases:
            try:
                self._kept.require(lease.token)
                items.append(Wishes(now_ms() + lease.lease_ms, self.cancel_requested_at_ms, None, None, None))
            except LeaseLost as error:
                items.append(error)
        return Renewal(items, RUNNING, now_ms())

    async def settle(self, endings: Sequence[Ending]) -> list[RequestError | None]:
        raise NotImplementedError

    async def append_events(self, appends: Sequence[Append]) -> list[Event | RequestError | None]:
        kept = self._kept
        for _, token, event, _ in appends:
            if token == kept.token:
                kept.events.append(
                    Event(
                        id=f"{len(kept.events) + 1}-0",
                        job_id=kept.job.id,
                        level=event.level,
                        message=event.message,
                        payload=event.payload,
                        created_at=to_rfc3339(now_ms()),
                    )
                )
        return [None] * len(appends)

    async def watch(self, deliver: Callable[[Control], None]) -> None: ...

    async def job(self, job_id: str) -> Job:
        return self._kept.job

    async def answer_control(
        self, job_id: str, token: int, what: Matter, request_id: str, outcome: Outcome, message: str | None
    ) -> LiveControl | None:
        self._before("answer_control")
        self._kept.require(token)
        kept = self._kept
        kept.answers.append((what, request_id, outcome, message))
        if kept.control is not None and (pending := getattr(kept.control, what)) and pending.id == request_id:
            kept.control = msgspec.structs.replace(
                kept.control, version=kept.control.version + 1, **{what: None}
            )
        return kept.control

    async def messages(self, job_id: str, after: str | None) -> tuple[list[OperatorMessage], str | None]:
        self._before("messages")
        return [each for each in self._kept.messages if after is None or each.id > after], None

    async def report_live(self, job_id: str, token: int, report: LiveReport) -> None:
        """No record, as where nothing is known of live sessions."""
        self._kept.reports.append(report)

    async def renew_live(self, job_id: str, token: int) -> None: ...

    async def save_step(self, job_id: str, token: int, checkpoint: StepCheckpoint) -> None:
        self._before("save_step")
        self._kept.require(token)
        self._kept.steps[checkpoint.step_index] = checkpoint

    async def steps(self, job_id: str) -> list[StepCheckpoint]:
        return [self._kept.steps[index] for index in sorted(self._kept.steps)]

    async def state_fact(self, job_id: str, token: int, name: str, value: str) -> str:
        self._kept.require(token)
        return self._kept.facts.setdefault(name, value)

    async def change_fact(self, job_id: str, token: int, name: str, value: str) -> None:
        self._before(f"change_fact {name}")
        self._kept.require(token)
        self._kept.facts[name] = value

    async def facts(self, job_id: str) -> dict[str, str]:
        return dict(self._kept.facts)

    async def drop_steps(self, job_id: str, token: int, first: int) -> None:
        self._before("drop_steps")
        self._kept.require(token)
        self._kept.steps = {index: step for index, step in self._kept.steps.items() if index < first}

    async def put_artifact(
        self, job_id: str, token: int, name: str, content: bytes | Path, content_type: str
    ) -> Artifact:
        self._before(f"put_artifact {name}")
        self._kept.require(token)
        data = content if isinstance(content, bytes) else content.read_bytes()
        patch = name.startswith("patches/")
        if len(data) > (self._settings.max_patch_bytes if patch else self._settings.max_artifact_bytes):
            raise TooLarge("too large", code="artifact_too_large")
        if ".." in name:
            raise Invalid.field("name", "must stay in its folder")
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._kept.content[digest] = data
        artifact = Artifact(
            id=f"artifact-{len(self._kept.artifacts)}",
            job_id=job_id,
            name=name,
            content_type=content_type,
            size_bytes=len(data),
            digest=digest,
            created_at=to_rfc3339(now_ms()),
        )
        self._kept.artifacts[name] = artifact
        return artifact

    async def get_artifact(self, artifact: Artifact, target: Path) -> None:
        if artifact.digest not in self._kept.content:
            raise NotFound("no such content", code="artifact_not_found")
        target.write_bytes(self._kept.content[artifact.digest])

    async def artifacts(self, job_id: str) -> list[Artifact]:
        return list(self._kept.artifacts.values())

    async def announce(self, presence: Presence) -> None: ...

    async def depart(self) -> None: ...


class _Claimed:
    """A claimed attempt whose job is there already."""

    def __init__(self, kept: Kept) -> None:
        self.job_id, self.token, self.worker_id = kept.job.id, kept.token, f"worker-{kept.token}"
        self._job = kept.job
        self.trace: TraceContext | None = None

    def job(self) -> Job:
        return self._job


class Recorded:
    """An open attempt. `running.interrupt` is what an operator or the end of the worker does to it."""

    def __init__(
        self, kept: Kept, context: JobContext, running: RunningAttempt, workspace_root: Path
    ) -> None:
        self.context = context
        self.running = running
        self.workspace_root = workspace_root
        self._kept = kept

    def wish(self, **changes: Any) -> None:
        """An operator changes the controls of the run, and it is pushed."""
        before = self._kept.control or LiveControl(paused=False, hard=False, takeover=False, version=0)
        self._kept.control = msgspec.structs.replace(before, version=before.version + 1, **changes)
        self.running.control.observe(self._kept.control)

    def ask(
        self,
        action: RecoveryAction,
        step_id: str | None = None,
        strategy: RecoveryStrategy | None = None,
        reason: str | None = None,
    ) -> None:
        """An operator asks something of the steps."""
        request_id = f"{(self._kept.control.version if self._kept.control else 0) + 1}-0"
        asked = Recovery(
            id=request_id, action=action, step_id=step_id, strategy=strategy, reason=reason,
            requested_by_user_id="ann", updated_at=to_rfc3339(now_ms()),
        )  # fmt: skip
        self.wish(recovery=asked)


@contextlib.asynccontextmanager
async def attempt(
    kept: Kept, settings: WorkerSettings, *, before: Callable[[str], None] = lambda call: None
) -> AsyncIterator[Recorded]:
    """The next attempt, on a worker of its own. Its events are all kept, and its files gone, when left."""
    kept.token += 1
    queue = RecordedQueue(kept, settings, before)
    outbox = Outbox(queue, lambda ending, error: None)
    workspaces = Workspaces(settings.workspaces / f"worker-{kept.token}")
    redactor = Redactor.from_environment(settings.secret_env)
    running = RunningAttempt(cast(Attempt, _Claimed(kept)))
    running.control.observe(kept.control)
    parts = WorkerParts(settings, queue, outbox, redactor, workspaces, kept.metrics)
    outbox.start()
    try:
        root = settings.workspaces / f"worker-{kept.token}"
        yield Recorded(kept, JobContext(running, parts), running, root)
    finally:
        await outbox.stop(5)
        workspaces.close()
