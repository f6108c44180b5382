"""What a handler is given: the job, its controls, and ways to report and to run commands."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from sluicegate.client.patience import Patience
from sluicegate.errors import Invalid, LeaseLost, StoreError
from sluicegate.model import EventLevel, HandoffSummary, Job, NewEvent, Recovery
from sluicegate.redact import Redactor
from sluicegate.settings import WorkerSettings
from sluicegate.store.claims import Lease
from sluicegate.store.controls import Matter, Outcome
from sluicegate.store.events import Append
from sluicegate.store.shelves import Artifact, StepCheckpoint
from sluicegate.tracing import TraceContext
from sluicegate.worker import standing_still
from sluicegate.worker.attempt import RunningAttempt
from sluicegate.worker.holds import Holds
from sluicegate.worker.live_news import LiveNews
from sluicegate.worker.outbox import Outbox
from sluicegate.worker.outcome import JobCancelled, JobFailed, JobReleased
from sluicegate.worker.terminal import Terminal
from sluicegate.worker.texts import storable, storable_all
from sluicegate.worker.transports import Transport
from sluicegate.worker.watching import TimeLimit, Watch
from sluicegate.worker.workspaces import Workspaces

if TYPE_CHECKING:
    from sluicegate.metrics import WorkerMetrics
    from sluicegate.worker.command_log import CommandLog
    from sluicegate.worker.process.command import Command, CommandResult

MAX_ANSWER: Final = 2000
Stream = Literal["stdout", "stderr", "pty"]
EVENT_FRAME_BYTES = 1536
"""What a log event takes beside its text: its first line once more, and its other fields."""


class Place(NamedTuple):
    """What of the run it is about, as far as that is known."""

    stage: str | None
    step_id: str | None
    step_index: int | None
    attempt: int | None

    @property
    def step(self) -> dict[str, Any]:
        return {"stepId": self.step_id} if self.step_id else {}


class WorkerParts(msgspec.Struct, frozen=True):
    """What all attempts of a worker share."""

    settings: WorkerSettings
    transport: Transport
    outbox: Outbox
    redactor: Redactor
    workspaces: Workspaces
    metrics: WorkerMetrics
    live_sessions: set[str] = msgspec.field(default_factory=set[str])


class JobContext:
    """A handler's view of its attempt.

    `checkpoint` is where cancel, pause and shutdown are obeyed; `run` obeys them by itself. Both raise
    JobCancelled, JobReleased or LeaseLost: let those through.
    """

    __slots__ = ("_attempt", "_job", "_parts", "_redactor", "_seq", "_shown_on", "_workspace")

    def __init__(self, attempt: RunningAttempt, parts: WorkerParts) -> None:
        self._attempt = attempt
        self._parts = parts
        self._job: Job | None = None
        self._redactor: Redactor | None = None
        self._workspace: Path | None = None
        self._shown_on: Terminal | None = None
        self._seq = 0

    @property
    def job(self) -> Job:
        """The job as it was claimed."""
        if self._job is None:
            self._job = self._attempt.claimed.job()
        return self._job

    @property
    def trace(self) -> TraceContext | None:
        """The trace that the job's producer began."""
        return self._attempt.claimed.trace

    @property
    def worker_id(self) -> str:
        return self._attempt.claimed.worker_id

    @property
    def lease_token(self) -> int:
        return self._attempt.token

    @property
    def settings(self) -> WorkerSettings:
        return self._parts.settings

    @property
    def metrics(self) -> WorkerMetrics:
        """This worker's figures."""
        return self._parts.metrics

    @property
    def redactor(self) -> Redactor:
        """This attempt's own: secrets added to it are replaced in all it stores or sends from then on."""
        if self._redactor is None:
            self._redactor = self._parts.redactor.copy()
        return self._redactor

    @property
    def stands_still(self) -> bool:
        """Whether it waits at a checkpoint since an operator holds it: its files are a person's meanwhile.

        Not while a hard pause keeps it from running anything at all.
        """
        holds = self._attempt.holds
        return self._attempt.waiting_at_checkpoint and "operator" in holds.reasons and not holds.hard

    async def goes_on(self) -> None:
        """Wait until no operator holds it."""
        while "operator" in self._attempt.holds.reasons:
            await self._attempt.holds.change().wait()

    @property
    def terminal(self) -> Terminal:
        """What this attempt's commands show on their pseudo-terminals, and the way to type into them."""
        if self._shown_on is None:
            self._shown_on = Terminal()
        return self._shown_on

    @property
    def workspace(self) -> Path:
        """This attempt's own folder, made on first use, removed when the attempt has ended."""
        if self._workspace is None:
            self._workspace = self._parts.workspaces.make(self._attempt.job_id, self._attempt.token)
        return self._workspace

    @property
    def used_workspace(self) -> Path | None:
        return self._workspace

    def discard(self, folder: Path) -> None:
        """Remove a folder of the workspace in the background."""
        self._parts.workspaces.remove(folder)

    async def checkpoint(
        self,
        *,
        stage: str | None = None,
        step_id: str | None = None,
        step_index: int | None = None,
        log_path: Path | None = None,
    ) -> None:
        """A safe point: obeys cancel and shutdown, waits here while something holds it (P-7, C-11).

        stage, step_id, step_index: what is about to begin, for the events. log_path: its log, which says
        too that an operator has paused the run (L-5).
        """
        self._obey()
        if self._attempt.holds:
            await self._stand_still(Place(stage, step_id, step_index, None), log_path)

    @property
    def recovery(self) -> Recovery | None:
        """What an operator asks of the steps, until it is answered; a newer request replaces it (H-10).

        For a handler that has steps. It looks here before each attempt of a step, after its checkpoint, so
        that cancel, pause and takeover come first (H-9), and while a step runs it waits for
        `recovery_after`, since these requests interrupt what runs. Then it does what is asked and calls
        `acknowledge`, or `reject`. A request that a worker did not come to answer is there again in the
        next attempt, so do it in a way that can be repeated.
        """
        return self._attempt.control.recovery

    async def recovery_after(self, known: Recovery | None = None) -> Recovery:
        """Wait for a pending request other than `known`. May be cancelled."""
        return await self._attempt.control.recovery_after(known)

    async def acknowledge(self, recovery: Recovery, message: str | None = None) -> None:
        """Say that it is done; it is pending no longer. May be repeated. Raises LeaseLost, StoreError."""
        await self._answer("recovery", recovery.id, "ack", message)

    async def reject(self, recovery: Recovery, why: str) -> None:
        """Say that it is not done, and why; it is pending no longer. As `acknowledge`."""
        await self._answer("recovery", recovery.id, "rejected", why)

    @property
    def summary(self) -> HandoffSummary | None:
        """What a person wrote who gave the run back; until it is `passed_on` to the agent (L-9)."""
        return self._attempt.control.summary

    async def passed_on(self, summary: HandoffSummary) -> None:
        """The agent was told, and need not be told again. May be repeated. Raises LeaseLost, StoreError."""
        await self._answer("summary", summary.id, "ack", None)

    @property
    def transport(self) -> Transport:
        """This worker's way to the queue, for what the rest of this class does not offer."""
        return self._parts.transport

    @contextlib.contextmanager
    def clocks(
        self, clocks: Callable[[], tuple[float, float]], most: tuple[float, float]
    ) -> Iterator[Callable[[], None]]:
        """Let people see for how many seconds a command runs and is silent, as its watch counts.

        clocks: called in any thread. most: how long it may. Call what this gives when it was silent for long
        and is no more.
        """
        self._attempt.clocks, self._attempt.most = clocks, most
        try:
            yield self._attempt.rest_changed
        finally:
            self._attempt.clocks = None

    @property
    def live(self) -> LiveNews:
        """Tells when the run's live session has changed (L-8)."""
        return self._attempt.live

    @property
    def live_sessions(self) -> set[str]:
        """The jobs whose live sessions this worker has open."""
        return self._parts.live_sessions

    @property
    def lost(self) -> bool:
        """Whether this attempt no longer holds its job."""
        return self._attempt.interruption == "lost"

    @property
    def message_id(self) -> str | None:
        """Of the newest message to the agent (L-6)."""
        return self._attempt.control.message_id

    async def message_after(self, known: str | None) -> str:
        """Wait for a message beyond the one that is known. May be cancelled."""
        return await self._attempt.control.message_after(known)

    async def _answer(self, what: Matter, request_id: str, outcome: Outcome, message: str | None) -> None:
        shown = None if message is None else storable(self.redactor, message)[:MAX_ANSWER]
        attempt = self._attempt
        await self._parts.outbox.flushed()  # what was told before stands before it in the history
        wanted = await self._parts.transport.answer_control(
            attempt.job_id, attempt.token, what, request_id, outcome, shown
        )
        attempt.control.observe(wanted)

    async def event(self, kind: str, message: str, *, level: EventLevel = "info", **payload: Any) -> None:
        """Add to the job's history; `kind` and the rest become the payload. Secrets are replaced."""
        await self._append(level, message, {"kind": kind, **payload})

    async def log(
        self,
        text: str,
        *,
        stream: Stream = "stdout",
        stage: str | None = None,
        step_id: str | None = None,
        step_index: int | None = None,
        attempt: int | None = None,
    ) -> None:
        """Report output as a log event (70-13): counted against the job's log limits."""
        self._seq += 1
        payload = {
            "kind": "log", "stream": stream, "stage": stage, "stepId": step_id, "stepIndex": step_index,
            "attempt": attempt, "text": text, "seq": self._seq,
        }  # fmt: skip
        first = text.strip().partition("\n")[0][:120] or "(blank)"
        await self._append(
            "info", first, {name: value for name, value in payload.items() if value is not None}
        )

    async def artifact(
        self, name: str, content: bytes | Path, *, content_type: str = "application/octet-stream"
    ) -> Artifact:
        """Store a file with the job; the same name again replaces. Raises TooLarge, Invalid, LeaseLost."""
        return await self._parts.transport.put_artifact(
            self._attempt.job_id, self._attempt.token, name, content, content_type
        )

    async def artifacts(self) -> list[Artifact]:
        return await self._parts.transport.artifacts(self._attempt.job_id)

    async def fetch_artifact(self, artifact: Artifact, target: Path) -> None:
        """Copy an artifact's content into a file."""
        await self._parts.transport.get_artifact(artifact, target)

    async def save_step(self, checkpoint: StepCheckpoint) -> None:
        """Keep the result of a finished step with the job (H-7). Raises LeaseLost."""
        await self._parts.transport.save_step(self._attempt.job_id, self._attempt.token, checkpoint)

    async def steps(self) -> list[StepCheckpoint]:
        """The finished steps of this job, from all its attempts, in order."""
        return await self._parts.transport.steps(self._attempt.job_id)

    async def start_commit(self, commit: str) -> str:
        """Keep the commit that the task starts from; the first one stays, and is returned."""
        return await self._parts.transport.state_fact(
            self._attempt.job_id, self._attempt.token, "start_commit", commit
        )

    async def facts(self) -> dict[str, str]:
        """What this job's attempts have kept with it by `change_fact`, and its start commit."""
        return await self._parts.transport.facts(self._attempt.job_id)

    async def change_fact(self, name: str, value: str) -> None:
        """Keep a small text with the job for its next attempt; replaces. Raises LeaseLost."""
        await self._parts.transport.change_fact(self._attempt.job_id, self._attempt.token, name, value)

    async def drop_steps(self, first: int) -> None:
        """Forget the finished steps from this index on: they are to run again. Raises LeaseLost."""
        await self._parts.transport.drop_steps(self._attempt.job_id, self._attempt.token, first)

    async def hold(self) -> None:
        """Ask the queue now whether this attempt holds the job: the fence before a push. LeaseLost if not.

        Goes on asking for a lease's length while nothing answers; then raises StoreError.
        """
        lease_ms = int(self.settings.worker_lease_seconds * 1000)
        lease = Lease(self._attempt.job_id, self._attempt.token, lease_ms)
        patience = Patience(self.settings.worker_lease_seconds)
        while True:
            try:
                (answer,) = (await self._parts.transport.renew([lease])).items
                break
            except StoreError as error:
                self._obey()
                await patience.wait(error)
        if isinstance(answer, Exception):
            self._attempt.interrupt("lost")
            raise LeaseLost(f"this attempt no longer holds job {self._attempt.job_id}") from answer
        if answer.cancel_requested_at_ms is not None:
            self._attempt.interrupt("cancel", answer.cancel_requested_at_ms)
        self._attempt.control.observe(answer.live_control)
        self._obey()

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        pty: bool = True,
        timeout_seconds: float | None = None,
        watch: Watch | None = None,
        stage: str | None = None,
        step_id: str | None = None,
        step_index: int | None = None,
        attempt: int | None = None,
        log_path: Path | None = None,
    ) -> CommandResult:
        """Run a command to the end of its whole process tree; its output becomes log events, redacted.

        env: the whole environment, else this process's own. Past timeout_seconds, in which time that the
        attempt was held does not count, or when the watch says so, it is stopped: `timed_out`, and its
        output is what it had put out until then. A cancel or a shutdown stops it and is raised. Raises
        CommandNotStarted.
        """
        from sluicegate.worker.process.command import Command, Grace

        self._obey()
        place = Place(stage, step_id, step_index, attempt)
        if self._attempt.holds.hard:
            await self._stand_still(place, log_path)
        output = self._log_of(place, log_path)
        watch = watch or TimeLimit(timeout_seconds)

        def take(chunk: bytes, stream: str) -> None:
            watch.heard(chunk)
            output.take(chunk, stream)

        try:
            command = await Command.start(
                argv,
                cwd=cwd or self.workspace,
                env=os.environ if env is None else env,
                pty=pty,
                size=self.terminal.size,
                on_output=take,
                grace=Grace(
                    sigint_seconds=self.settings.stop_sigint_grace_seconds,
                    sigterm_seconds=self.settings.stop_sigterm_grace_seconds,
                ),
                redactor=self.redactor,
            )
            result = await self._watched(command, watch, output, place)
        finally:
            await output.close()
        self._obey()
        return result if result.timed_out else msgspec.structs.replace(result, output=bytes(output.tail))

    async def _watched(
        self, command: Command, watch: Watch, output: CommandLog, place: Place
    ) -> CommandResult:
        """Wait for the command, and stop it when the attempt is asked to end."""
        attempt = self._attempt
        attempt.commands.add(command)
        if command.size is not None:
            self.terminal.attach(command)
        waiting = asyncio.ensure_future(command.wait())
        interrupted = asyncio.ensure_future(attempt.interruption_event().wait())
        limit = asyncio.ensure_future(_stop_when_over(command, watch, attempt.holds, output))
        standing = asyncio.ensure_future(
            standing_still.where_it_is(attempt, command, self.event, output, place.step)
        )
        try:
            await asyncio.wait((waiting, interrupted), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                if attempt.interruption == "lost":
                    command.kill_now()
                else:
                    await command.stop(attempt.cancel_requested_ms)
            result = await asyncio.shield(waiting)
            return msgspec.structs.replace(result, output=await limit) if result.timed_out else result
        except asyncio.CancelledError:
            command.kill_now()
            await asyncio.shield(waiting)
            raise
        finally:
            limit.cancel()
            standing.cancel()
            interrupted.cancel()
            attempt.stopped.discard(command)
            self.terminal.detach(command)
            if command.has_ended:  # else the attempt goes on ending it
                attempt.command_ended(command)

    async def _stand_still(self, place: Place, log_path: Path | None) -> None:
        await standing_still.at_checkpoint(
            self._attempt, self.event, lambda: self._log_of(place, log_path), place.step
        )
        self._obey()

    def _log_of(self, place: Place, log_path: Path | None) -> CommandLog:
        """Where output goes: into log events that say where it comes from, into a file, onto the terminal."""
        from sluicegate.worker.command_log import CommandLog

        async def emit(text: str, stream: str) -> None:
            await self.log(text, stream=stream, **place._asdict())  # type: ignore[arg-type]

        text_bytes = max(1, self.settings.max_event_bytes - EVENT_FRAME_BYTES)
        return CommandLog(self.redactor, emit, log_path, max_bytes=text_bytes, terminal=self.terminal)

    def _obey(self) -> None:
        match self._attempt.interruption:
            case None:
                return
            case "cancel":
                raise JobCancelled
            case "release":
                raise JobReleased
            case "run_timeout":
                raise JobFailed("ran longer than maxRunSeconds", retryable=False, failure_class="run_timeout")
            case "lost":
                raise LeaseLost(f"this attempt no longer holds job {self._attempt.job_id}")

    async def _append(self, level: EventLevel, message: str, payload: dict[str, Any]) -> None:
        if self._attempt.interruption == "lost":
            self._obey()
        message = storable(self.redactor, message)
        event = NewEvent(level=level, message=message, payload=storable_all(self.redactor, payload))
        if len(msgspec.json.encode(event)) > self.settings.max_event_bytes:
            raise Invalid.field("payload", f"an event is at most {self.settings.max_event_bytes} bytes")
        await self._parts.outbox.add_event(Append(self._attempt.job_id, self._attempt.token, event))


async def _stop_when_over(command: Command, watch: Watch, holds: Holds, output: CommandLog) -> bytes:
    """What it had put out until then, redacted."""
    await watch.over(command, holds)
    said = bytes(output.tail)
    command.time_out()
    return said


Handler = Callable[[JobContext], Awaitable[str | None]]
"""Runs a job; the returned text is its result summary."""
