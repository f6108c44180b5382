"""The worker: claims jobs, runs their handlers, reports how they ended; stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from prometheus_client import CollectorRegistry

import sluicegate
from sluicegate import log as logs
from sluicegate import tracing
from sluicegate.errors import ConfigurationError, Forbidden, RequestError, SluicegateError, Unauthenticated
from sluicegate.metrics import WorkerMetrics
from sluicegate.model import Policy, SystemState
from sluicegate.settings import WorkerSettings, load
from sluicegate.store.claims import Lease
from sluicegate.store.control_feed import Control
from sluicegate.store.endings import Ending
from sluicegate.store.workers import Clocks, Presence, WorkerState
from sluicegate.worker.attempt import RunningAttempt
from sluicegate.worker.attempts import Attempts
from sluicegate.worker.claim_loop import ClaimLoop
from sluicegate.worker.context import Handler, JobContext, WorkerParts
from sluicegate.worker.controls import PauseState
from sluicegate.worker.heartbeats import Beat, Heartbeats
from sluicegate.worker.measures import Measures
from sluicegate.worker.outbox import Outbox
from sluicegate.worker.run_attempt import run_attempt
from sluicegate.worker.texts import redactor_of
from sluicegate.worker.transports import Claimed, Transport
from sluicegate.worker.workspaces import Workspaces

log: Final = logs.get("sluicegate.worker")


class Worker:
    """Runs handlers for jobs of their types.

    worker = Worker.from_redis("redis://127.0.0.1:6379/0", concurrency=4)

    @worker.handler("greet")
    async def greet(ctx: JobContext) -> str: ...

    asyncio.run(worker.run())
    """

    def __init__(self, settings: WorkerSettings, transport: Transport) -> None:
        self.settings = settings
        self.metrics_registry = CollectorRegistry()
        self._transport = transport
        self._handlers: dict[str, Handler] = {}
        self._metrics = WorkerMetrics(self.metrics_registry)
        counted = transport.worker_id if transport.name == "redis" else None
        self._measures = Measures(self._metrics, counted)
        self._attempts = Attempts(settings, self._measures.cancel_heard)
        self._measures.watch(self._attempts.on_their_way)
        self._stop_requests = 0
        self._dismissal: SluicegateError | None = None
        self._no_more = asyncio.Event()
        self._stop_requested = asyncio.Event()
        self._stop_now = asyncio.Event()

    @classmethod
    def from_redis(
        cls,
        url: str | None = None,
        *,
        concurrency: int | None = None,
        capabilities: Sequence[str] | None = None,
        settings: WorkerSettings | None = None,
    ) -> Self:
        """A worker on the trusted transport; what is not given comes from the environment (SLUICEGATE_*)."""
        from sluicegate.worker.transports.redis import RedisTransport

        chosen = settings or _settings(concurrency, capabilities, redis_url=url)
        return cls(chosen, RedisTransport(chosen))

    @classmethod
    def from_url(
        cls,
        url: str | None = None,
        token: str | None = None,
        *,
        concurrency: int | None = None,
        capabilities: Sequence[str] | None = None,
        settings: WorkerSettings | None = None,
    ) -> Self:
        """A worker that reaches only the API; with a token, it is the worker that the token names.

        What is not given comes from the environment (SLUICEGATE_*). Raises ConfigurationError.
        """
        from sluicegate.worker.transports.http import HttpTransport

        chosen = settings or _settings(concurrency, capabilities, url=url, token=token)
        return cls(chosen, HttpTransport(chosen))

    @classmethod
    def from_settings(cls, settings: WorkerSettings) -> Self:
        """A worker on the transport that the settings name (70-43)."""
        make = cls.from_url if settings.transport == "http" else cls.from_redis
        return make(settings=settings)

    def handler(self, job_type: str) -> Callable[[Handler], Handler]:
        """Register the handler of a job type."""

        def register(handle: Handler) -> Handler:
            if job_type in self._handlers:
                raise ConfigurationError(f"there is a handler for {job_type!r} already")
            self._handlers[job_type] = handle
            return handle

        return register

    def stop(self) -> None:
        """Stop in order: no new claims, running jobs go on until the deadline, then they are released (Q-14).

        A second call releases them at once (70-41).
        """
        self._stop_requests += 1
        self._no_more.set()
        self._stop_requested.set()
        if self._stop_requests > 1:
            self._stop_now.set()
        log.info("worker.stopping", running=len(self._attempts), at_once=self._stop_now.is_set())

    def drain(self) -> None:
        """Claim nothing more, and end when the last running job has: what SIGUSR1 asks for (`drain-hook`).

        There is no deadline until `stop` is called. A second call changes nothing.
        """
        if not self._no_more.is_set():
            self._no_more.set()
            log.info("worker.draining", running=len(self._attempts))

    async def run(self, *, handle_signals: bool = True) -> None:
        """Work until stopped. Raises StoreUnavailable or ConfigurationError when it cannot start.

        Raises Unauthenticated or Forbidden when its token is not, or no longer, accepted: what it ran has
        been killed then, since nothing can be written for it. Cancelled, it releases its jobs as after a
        second `stop`.
        """
        if not self._handlers:
            raise ConfigurationError("this worker has no handlers: register at least one")
        policy = self._policy()
        with self._signals(handle_signals):
            async with tracing.during(self.settings, "worker"):
                await self._run(policy)
        log.info("worker.stopped", worker=self._transport.worker_id)

    async def _run(self, policy: Policy) -> None:
        await self._transport.open()
        try:
            await _end_abandoned()
            workspaces = Workspaces(self.settings.workspaces)
            try:
                await self._work(policy, workspaces)
            finally:
                workspaces.close()
        finally:
            await self._transport.close()

    async def _work(self, policy: Policy, workspaces: Workspaces) -> None:
        """From the first claim until every attempt has ended and its ending is written."""
        self._pause = pause = PauseState(self._transport.worker_id, self._hold_all)
        self._outbox = outbox = Outbox(self._transport, self._refused)
        redactor = redactor_of(self.settings)
        self._parts = WorkerParts(self.settings, self._transport, outbox, redactor, workspaces, self._metrics)
        self._heartbeats = heartbeats = Heartbeats(
            self._transport.sibling(),
            interval_seconds=self.settings.heartbeat_seconds,
            leases=self._leases,
            presence=self._presence,
            deliver=self._hear_beats,
            deliver_pauses=pause.observe_all,
            dismissed=self._dismiss,
            metrics=self._metrics,
        )
        self._claims = ClaimLoop(
            self._transport,
            self.settings,
            policy,
            pause,
            free_slots=lambda: self.settings.worker_concurrency - len(self._attempts),
            start=self._start,
            measure=self._measures.claimed,
        )
        try:
            await self._transport.watch(self._hear_control)
            outbox.start()
            heartbeats.start()
            log.info(
                "worker.started", worker=self._transport.worker_id, slots=self.settings.worker_concurrency
            )
            await self._claims.run_until(self._no_more)
            heartbeats.tell()  # that it takes no more
            await self._attempts.ended(self._stop_requested)
        except (Unauthenticated, Forbidden) as error:
            self._dismiss(error)
        except BaseException:
            self._stop_now.set()  # a defect, or cancelled: nobody waits for a deadline
            raise
        finally:
            await self._attempts.drain(self._stop_now)
            await outbox.stop(self.settings.redis_timeout_ms / 1000)
            await heartbeats.stop()  # the leases of what the outbox held went on until here
            with contextlib.suppress(SluicegateError):
                await self._transport.depart()
        if self._dismissal is not None:
            raise self._dismissal

    def _policy(self) -> Policy:
        types = self.settings.worker_types
        if types is not None and (missing := sorted(set(types) - set(self._handlers))):
            raise ConfigurationError(
                f"no handler for the types {', '.join(missing)} of SLUICEGATE_WORKER_TYPES"
            )
        return Policy(
            types=tuple(sorted(types if types is not None else self._handlers)),
            repositories=self.settings.worker_repositories,
            capabilities=self.settings.worker_capabilities,
        )

    def _start(self, claimed: Claimed) -> None:
        attempt = RunningAttempt(claimed, self._heartbeats.tell)
        attempt.task = asyncio.create_task(self._attempt(attempt))
        self._attempts.add(attempt)
        self._pause.hold(attempt)

    async def _attempt(self, attempt: RunningAttempt) -> None:
        """One attempt from claim to ending; never raises."""
        context = JobContext(attempt, self._parts)
        loop = asyncio.get_running_loop()
        began, timer = loop.time(), None
        if limit := attempt.claimed.max_run_seconds:
            timer = loop.call_later(limit, self._attempts.interrupt, attempt, "run_timeout")
        try:
            with tracing.spans().attempt(attempt.claimed) as span:
                ending = await run_attempt(attempt, self._handlers[attempt.claimed.type], context)
                span.ended(ending)
            if ending is not None:
                self._outbox.add_ending(ending)
                self._measures.ended(attempt, ending, loop.time() - began)
        finally:
            if timer is not None:
                timer.cancel()
            self._attempts.remove(attempt)
            self._claims.slot_freed()
            if context.used_workspace is not None:
                self._parts.workspaces.remove(context.used_workspace)

    @contextlib.contextmanager
    def _signals(self, wanted: bool) -> Any:
        loop = asyncio.get_running_loop()
        heard = {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGUSR1: self.drain}
        if not wanted:
            heard = {}
        for number, obey in heard.items():
            loop.add_signal_handler(number, obey)
        try:
            yield
        finally:
            for number in heard:
                loop.remove_signal_handler(number)

    def _leases(self) -> list[Lease]:
        """Called in the heartbeat thread: what runs, and what has ended but could not be written yet."""
        lease_ms = int(self.settings.worker_lease_seconds * 1000)
        running = [
            Lease(attempt.job_id, attempt.token, lease_ms)
            for attempt in self._attempts.current()
            if attempt.interruption != "lost"
        ]
        return running + [Lease(job_id, token, lease_ms) for job_id, token in self._outbox.unwritten()]

    def _presence(self) -> Presence:
        """Called in the heartbeat thread."""
        attempts = self._attempts.current()
        jobs = [attempt.job_id for attempt in attempts]
        paused = [attempt.job_id for attempt in attempts if attempt.at_rest]
        self._metrics.slots.labels("busy").set(len(jobs))
        self._metrics.slots.labels("free").set(max(0, self.settings.worker_concurrency - len(jobs)))
        named = self.settings.worker_repositories
        return Presence(
            worker_id=self._transport.worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=sluicegate.__version__,
            transport=self._transport.name,
            capabilities=list(self.settings.worker_capabilities),
            types=sorted(self._handlers),
            slots=self.settings.worker_concurrency,
            state=self._state(len(jobs), len(paused)),
            jobs=jobs[:100],
            paused_jobs=paused[:100],
            repositories=None if named is None else list(named),
            clocks=[clocks for each in attempts[:100] if (clocks := _clocks(each)) is not None],
        )

    def _state(self, running: int, waiting: int) -> WorkerState:
        if self._no_more.is_set():
            return "stopping"
        if running and waiting == running:
            return "paused_at_checkpoint"
        if self._pause.state.workers_paused or self._pause.paused_alone:
            return "paused"
        return "busy" if running else "idle"

    def _hear_beats(self, beats: Sequence[Beat], system: SystemState) -> None:
        self._pause.observe(system)
        for lease, answer in beats:
            attempt = self._attempts.holding(lease.job_id, lease.token)
            if attempt is None:
                continue
            if isinstance(answer, RequestError):
                if attempt.at_its_limit:
                    # Past its time limit a lease is not renewed (70-52), and the store began to count before
                    # us. If it is another's after all, the ending is refused.
                    self._attempts.interrupt(attempt, "run_timeout")
                    continue
                log.warning("worker.lease.lost", job_id=lease.job_id, code=answer.code)
                self._attempts.interrupt(attempt, "lost")
                continue
            if answer.cancel_requested_at_ms is not None:
                self._attempts.interrupt(attempt, "cancel", answer.cancel_requested_at_ms)
            attempt.control.observe(answer.live_control)
            attempt.live.observe(answer.live_version)

    def _hold_all(self) -> None:
        for attempt in self._attempts.current():
            self._pause.hold(attempt)
        self._heartbeats.tell()

    def _dismiss(self, error: SluicegateError) -> None:
        """This worker's credential is not accepted any more: its leases run out, so what it runs must end."""
        if self._dismissal is not None:
            return
        log.error("worker.dismissed", code=error.code, detail=error.detail)
        self._dismissal = error
        for attempt in self._attempts.current():
            self._attempts.interrupt(attempt, "lost")
        self._no_more.set()
        self._stop_requested.set()
        self._stop_now.set()

    def _hear_control(self, control: Control) -> None:
        if control.pauses is not None:
            self._pause.observe_all(control.pauses)
        if control.pause is not None:
            self._pause.observe_one(control.pause)
        if control.system is not None:
            self._pause.observe(control.system)
        if control.system is not None or control.pause is not None:
            self._claims.look()
            return
        mine = control.worker_id in (None, self._transport.worker_id)
        if not mine or not control.job_id or not control.token:
            return
        if control.kind == "cancel":
            self._attempts.cancel(control.job_id, control.token, control.at_ms)
        elif control.kind == "control":
            self._attempts.control(control.job_id, control.token, control.live_control)
        elif control.kind == "live":
            self._attempts.live(control.job_id, control.token, control.live_version)

    def _refused(self, ending: Ending, error: RequestError) -> None:
        log.warning("worker.ending.refused", job_id=ending.job_id, code=error.code)


def _clocks(attempt: RunningAttempt) -> Clocks | None:
    if (clocks := attempt.clocks) is None:
        return None
    (ran, silent), most = clocks(), attempt.most or (None, None)
    return Clocks(
        job_id=attempt.job_id,
        ran_seconds=round(ran, 1),
        silent_seconds=round(silent, 1),
        most_ran_seconds=most[0],
        most_silent_seconds=most[1],
    )


async def _end_abandoned() -> None:
    """Before their folders are removed under them."""
    from sluicegate.worker.process.guard_link import end_abandoned

    if ended := await asyncio.to_thread(end_abandoned):
        log.warning("worker.abandoned.ended", processes=ended)


def _settings(concurrency: int | None, capabilities: Sequence[str] | None, **flags: Any) -> WorkerSettings:
    flags |= {"worker_concurrency": concurrency}
    if capabilities is not None:
        flags["worker_capabilities"] = tuple(capabilities)
    return load(WorkerSettings, flags=flags)
