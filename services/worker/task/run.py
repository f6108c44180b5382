"""One run of a task: what its stages share, and what each of them does at its beginning and end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from services.worker.runtimes import Runtime
from services.worker.task.failures import failed
from services.worker.task.git import Git, GitFailed
from services.worker.task.inbox import Inbox
from services.worker.task.secret_references import Secrets
from services.worker.task.work_tree import WorkTree
from sluicegate import tracing
from sluicegate.errors import LeaseLost, SluicegateError, StoreError
from sluicegate.operations.task_payload import Step, TaskPayload
from sluicegate.times import now_ms, to_rfc3339
from sluicegate.worker.outcome import JobFailed
from sluicegate.worker.process import CommandNotStarted

if TYPE_CHECKING:
    from sluicegate.worker.context import JobContext

T = TypeVar("T")

TEXT: Final = "text/plain; charset=utf-8"
CUT: Final = b"\n[... %d bytes are left out here ...]\n"


class TaskRun:
    """start_commit, tree and finished are known once the task is prepared: the commit that the task stands
    on, the tree after the finished steps, and how many those are. facts: what is kept with the job."""

    def __init__(
        self, ctx: JobContext, task: TaskPayload, git: Git, *, runtime: Runtime, secrets: Secrets
    ) -> None:
        self.ctx = ctx
        self.task = task
        self.place = git.place
        self.git = git
        self.files = WorkTree(git)
        self.runtime = runtime
        self.secrets = secrets
        self.skills: dict[str, str] = {}
        self.start_commit = ""
        self.base_branch = ""
        self.tree = ""
        self.finished = 0
        self.facts: dict[str, str] = {}
        self.inbox = Inbox(self)
        self.outcome = "nothing to publish was asked for"

    @property
    def branch(self) -> str:
        """Where the result goes: `task/<YYYYMMDD>/<last 12 characters of the job id>` if nobody named one.

        The same in every attempt: the day is that of the job, and the first digits of an id are its clock.
        """
        job = self.ctx.job
        named = self.task.task.git.new_branch
        return named or f"task/{job.created_at[:10].replace('-', '')}/{job.id[-12:]}"

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call to the queue until it answers: an hour's step must not be lost to a store's restart.

        For calls that may be repeated. Ends when the attempt does: cancelled, released, or its lease lost.
        """
        pause = 0.1
        while True:
            try:
                return await call()
            except StoreError:
                await self.ctx.checkpoint()
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    async def checkpoint(self, index: int) -> None:
        """A safe point before an attempt of this step: obeys cancel, shutdown, pause and takeover."""
        step, log = self.task.task.steps[index], self.place.step_log(index)
        await self.ctx.checkpoint(stage="execute", step_id=step.id, step_index=index, log_path=log)

    def note(self, stage: str, line: str) -> None:
        """A line of ours in the stage's log."""
        with self.place.stage_log(stage).open("a") as file:
            file.write(self.ctx.redactor.text(f"{to_rfc3339(now_ms())} {line}\n"))

    async def step_event(
        self, kind: str, message: str, index: int, *, level: Any = "info", **payload: Any
    ) -> None:
        """An event of a step: index is from 0, `attempt` is the step's, `jobAttempt` the job's (70-28)."""
        step = self.task.task.steps[index]
        await self.ctx.event(
            kind,
            message,
            level=level,
            stage="execute",
            stepId=step.id,
            stepIndex=index,
            jobAttempt=self.ctx.job.attempt,
            **payload,
        )

    async def stage(self, name: str, work: Callable[[TaskRun], Awaitable[None]]) -> None:
        """Do one stage: its events around it, its log stored however it ends."""
        with tracing.spans().stage(name):
            await self._stage(name, work)

    async def _stage(self, name: str, work: Callable[[TaskRun], Awaitable[None]]) -> None:
        await self.ctx.checkpoint(stage=name, log_path=self.place.stage_log(name))
        await self.ctx.event("task.stage.started", f"Stage {name} started", stage=name)
        began = time.monotonic()
        try:
            await _as_failures(work, self)
        except JobFailed as error:
            self.note(name, error.message)
            await self.ctx.event(
                "task.stage.failed",
                f"Stage {name} failed: {error.message}",
                level="error",
                stage=name,
                failureClass=error.failure_class,
            )
            raise
        else:
            seconds = round(time.monotonic() - began, 3)
            sentence = f"Stage {name} finished"
            await self.ctx.event("task.stage.finished", sentence, stage=name, seconds=seconds)
        finally:
            await self.store_log(f"logs/{name}.log", self.place.stage_log(name))

    async def store_log(self, name: str, log: Path) -> None:
        """Keep a log as an artifact, the middle left out when it is over the limit."""
        if log.is_file():
            await self.store(name, shortened(log, self.ctx.settings.max_artifact_bytes), content_type=TEXT)

    async def store(self, name: str, content: bytes | Path, *, content_type: str) -> None:
        """Keep a file that tells what happened; without it the task goes on.

        Called while another error may be under way, which must not be replaced by a refused artifact.
        """
        try:
            await self.ctx.artifact(name, content, content_type=content_type)
        except LeaseLost:
            raise
        except SluicegateError as error:
            await self.ctx.event(
                "task.log.lost", f"{name} was not stored: {error.detail}", level="warn", name=name
            )


async def _as_failures(work: Callable[[TaskRun], Awaitable[None]], run: TaskRun) -> None:
    """The stage's work, with what a command of ours raises turned into the failure of the attempt."""
    try:
        await work(run)
    except GitFailed as error:
        raise failed(str(error), "transient_runtime") from error
    except CommandNotStarted as error:
        raise failed(str(error), "deterministic_policy") from error


def shortened(log: Path, limit: int) -> Path:
    """The log itself, or a copy of its beginning and end that is at most `limit` bytes."""
    size = log.stat().st_size
    if size <= limit:
        return log
    short = log.with_suffix(".short")
    room = max(0, limit - len(CUT) - 20)
    first, last = room // 4, room - room // 4
    with log.open("rb") as source, short.open("wb") as target:
        target.write(source.read(first))
        target.write(CUT % (size - first - last))
        source.seek(size - last)
        target.write(source.read(last))
    return short


def step_name(step: Step, index: int) -> str:
    return f"step {index + 1} ({step.id})"


def step_count(number: int, adjective: str = "") -> str:
    """`1 step`, `3 finished steps`."""
    noun = "step" if number == 1 else "steps"
    return f"{number} {adjective} {noun}" if adjective else f"{number} {noun}"
