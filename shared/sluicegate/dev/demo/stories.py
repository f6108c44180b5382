"""The demo's course: each thing is done through the API and checked where it should have left a trace.

A healthy task publishes a branch; one that hangs is noticed, tried again, and heals; the fleet is paused and
resumed around two more; one of them is cancelled in mid-run, the other fails twice and becomes a dead letter,
which succeeds once its cause is repaired and it is redriven.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from sluicegate.client import Client
from sluicegate.dev.demo import tasks
from sluicegate.dev.demo.repository import MAIN, DemoRepository
from sluicegate.dev.demo.screen import Screen
from sluicegate.dev.deployment import Running
from sluicegate.dev.processes import processes_of
from sluicegate.errors import SluicegateError
from sluicegate.model import Event, Job
from sluicegate.operations.ladder import climb

ENVIRONMENT: Final = {
    # Nobody wants to watch a backoff of 15 s, or 10 s of patience with a deaf process.
    "SLUICEGATE_RETRY_BACKOFF_BASE_SECONDS": "0.5",
    "SLUICEGATE_RETRY_BACKOFF_JITTER": "0",
    "SLUICEGATE_STOP_SIGINT_GRACE_SECONDS": "1",
    "SLUICEGATE_STOP_SIGTERM_GRACE_SECONDS": "1",
}
LIMIT_SECONDS: Final = 120.0
POLL_SECONDS: Final = 0.05
LOG_LINES: Final = 30
PAUSE_REASON: Final = "a look at the new release"
DATABASE: Final = "database"
REDRIVE_REASON: Final = "the database is back"
CANCEL_REASON: Final = "it hangs"


class DemoError(Exception):
    """Something did not happen as it should; the text says what."""


class Demo:
    """One run of the demo on a running deployment. scratch: a folder for its repository."""

    def __init__(self, running: Running, scratch: Path, log_path: Path, screen: Screen | None = None) -> None:
        self._running = running
        self._log_path = log_path
        self._screen = screen or Screen()
        self._repository = DemoRepository(scratch)

    async def run(self) -> int:
        """0 if all of it really happened; else 1, and the screen says what did not."""
        started = time.monotonic()
        try:
            async with (
                asyncio.timeout(LIMIT_SECONDS),
                Client.from_url(self._running.url) as client,
            ):
                await self._repository.make()
                await self._healthy(client)
                await self._healed(client)
                stuck, failing = await self._paused(client)
                self._screen.chapter("One of them hangs and is cancelled, the other fails twice")
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._cancelled(client, stuck))
                    both.create_task(self._dead(client, failing))
                self._screen.chapter("The cause of the failure is repaired, and the dead letter redriven")
                await self._redriven(client, failing)
        except BaseExceptionGroup as group:
            return self._failed(group.exceptions[0])
        except (DemoError, SluicegateError, RuntimeError, TimeoutError) as error:
            return self._failed(error)
        self._screen.summary(time.monotonic() - started)
        self._screen.commands(
            [
                ("sluicegate dev", "such a deployment, to stay: dashboard, API, store and a worker"),
                ("sluicegate enqueue --help", "give it work of your own"),
                ("sluicegate jobs --help", "see what became of it"),
            ]
        )
        return 0

    async def _healthy(self, client: Client) -> None:
        """Three steps fix a bug; what is published is checked by its own tests in a fresh clone."""
        repository, screen = self._repository, self._screen
        screen.chapter("A task with three steps repairs a package and publishes a branch")
        _require(not await repository.tests_pass(MAIN), "the package's test should fail before the task")
        job = await self._enqueue(client, "healthy", tasks.healthy(repository.origin))
        url = self._running.url
        screen.line("healthy", f"watch it: {url}/jobs/{job.id}")
        screen.line("healthy", f"      or: sluicegate jobs watch {job.id} --url {url}")
        with screen.waiting("the task runs"):
            async for event in client.events(job.id):
                self._show("healthy", event)
        job = await client.get(job.id)
        _require(job.status == "succeeded", f"the healthy task {_end_of(job)}")
        _require(await repository.branches() == [tasks.BRANCH, MAIN], "the branch was not published")
        messages = await repository.commit_messages(tasks.BRANCH)
        _require(
            len(messages) == 1 and messages[0].startswith(tasks.COMMIT_MESSAGE) and job.id in messages[0],
            f"the branch should have one commit that names the job, and has {messages}",
        )
        changed = await repository.changed_files(tasks.BRANCH)
        _require(changed == ["CHANGELOG.md", "tinystats/mean.py"], f"the branch changes {changed}")
        _require(await repository.tests_pass(tasks.BRANCH), "the tests fail on the published branch")
        screen.chapter(f"The published diff, {MAIN}..{tasks.BRANCH}")
        screen.diff(await repository.diff(tasks.BRANCH))
        screen.fact(
            "a task in three steps succeeded and its branch was published", "its tests pass in a clone"
        )

    async def _healed(self, client: Client) -> None:
        """A step hangs; its processes are ended, and its second attempt, told why, finishes the task."""
        screen = self._screen
        screen.chapter("A task hangs in its second step, and heals")
        job = await self._enqueue(client, "hanging", tasks.hanging(self._repository.origin))
        with screen.waiting(f"{tasks.IDLE_SECONDS:g} s of silence are allowed"):
            async for event in client.events(job.id):
                self._show("hanging", event)
        job = await client.get(job.id)
        _require(job.status == "succeeded", f"the hanging task {_end_of(job)}")
        _require(job.attempt == 1, f"the job should have had 1 attempt, and had {job.attempt}")
        async with aclosing(client.events(job.id, follow=False)) as events:
            rungs = climb([event async for event in events])
        seen = [(rung.step_id, rung.attempt, rung.outcome) for rung in rungs]
        expected = [("write", 1, "finished"), ("check", 1, "failed"), ("check", 2, "finished")]
        _require(seen == expected, f"the attempts of its steps are {seen}")
        _require(rungs[1].next == "soft reset", f"after the hang came: {rungs[1].next}")
        left = await processes_of(job.id)
        _require(not left, f"processes of the hanging task are still alive: {left}")
        changed = await self._repository.changed_files(tasks.HEALED_BRANCH)
        _require(changed == ["tinystats/median.py"], f"the healed task's branch changes {changed}")
        screen.fact("a task hung, was noticed, and healed", "its step had 2 attempts, the job 1")

    async def _paused(self, client: Client) -> tuple[Job, Job]:
        """Two tasks wait while the fleet is paused, and start only after the resume; both, running or not."""
        repository, screen = self._repository, self._screen
        screen.chapter("The fleet is paused, and two more tasks come in")
        paused = await client.pause("drain", PAUSE_REASON)
        _require(paused.system.workers_paused, "the pause was accepted, and does not hold")
        screen.line("fleet", f"paused ({paused.system.mode}: {paused.system.reason})")
        stuck = await self._enqueue(client, "stuck", tasks.stuck(repository.origin))
        task = tasks.failing(repository.origin, repository.folder / DATABASE)
        failing = await self._enqueue(client, "failing", task)
        during = await client.pause_state()
        _require(
            (during.metrics["queued"], during.metrics["running"]) == (2, 0),
            f"two tasks should wait while paused; the counts are {during.metrics}",
        )
        screen.line("fleet", "2 waiting, 0 running")
        resumed = await client.resume(reason="looked")
        _require(not resumed.system.workers_paused, "the resume was accepted, and the fleet is still paused")
        screen.line("fleet", "resumed")
        claims = [await self._first_claim(client, each.id) for each in (stuck, failing)]
        since = str(resumed.system.updated_at)
        _require(
            all(each.created_at >= since for each in claims),
            f"a task was started before the resume at {since}: {[each.created_at for each in claims]}",
        )
        screen.fact("paused, both tasks waited; resumed, both started", "no claim is older than the resume")
        return stuck, failing

    async def _cancelled(self, client: Client, job: Job) -> None:
        """A task that ignores signals is cancelled: its receipt and the process table agree on its end."""
        screen = self._screen
        alive = await _within(
            20,
            lambda: processes_of(job.id),
            lambda found: len(found) >= tasks.PROCESSES,
            "the stuck task's processes were not seen",
        )
        screen.line("stuck", f"runs as {len(alive)} processes ({', '.join(map(str, alive))}); cancelling it")
        await client.cancel(job.id, CANCEL_REASON)
        with screen.waiting("SIGINT, SIGTERM and SIGKILL, a second apart"):
            ended = await client.wait(job.id)
        left = await processes_of(job.id)
        _require(ended.status == "cancelled", f"the stuck task {_end_of(ended)}")
        _require(not left, f"processes of the cancelled task are still alive: {left}")
        receipt = (await self._event(client, job.id, "job.cancelled")).get("receipt")
        if not isinstance(receipt, dict):
            raise DemoError("the cancelled task has no receipt")
        screen.line("stuck", "its receipt:")
        for signal in receipt.get("signals", []):
            screen.line("stuck", f"  {signal['at']}  {signal['signal']} to {signal['processes']} processes")
        screen.line("stuck", f"  {receipt.get('groupEmptyAt')}  nothing left")
        _require(bool(receipt.get("groupEmptyAt")), "the receipt does not say when the last process was gone")
        _require(receipt.get("survivors") == [], f"the receipt names survivors: {receipt.get('survivors')}")
        screen.fact("a task was cancelled while it ran, with nothing left alive", "receipt and process table")

    async def _dead(self, client: Client, job: Job) -> None:
        """A task that fails each time uses up its attempts."""
        ended = await client.wait(job.id)
        _require(ended.status == "dead_letter", f"the failing task {_end_of(ended)}")
        _require(ended.attempt == 2, f"the failing task should have had 2 attempts, and had {ended.attempt}")
        await self._event(client, job.id, "job.retry_scheduled")
        await self._event(client, job.id, "job.dead_lettered")
        self._screen.line("failing", f"{ended.status} after {ended.attempt} attempts: {ended.error_message}")
        self._screen.fact("a task failed twice and became a dead letter", "2 attempts, both in its history")

    async def _redriven(self, client: Client, job: Job) -> None:
        """The dead letter lives again and succeeds, with its finished step kept."""
        screen = self._screen
        letters = (await client.dead_letters()).items
        _require(
            [each.job_id for each in letters] == [job.id], f"the dead letters are {letters}, not the one"
        )
        screen.line("failing", f"dead letter: {letters[0].failure_class}, {letters[0].last_error}")
        (self._repository.folder / DATABASE).mkdir()
        screen.line("failing", "the database is there again; redriving the task")
        redriven = await client.redrive([job.id], reason=REDRIVE_REASON)
        _require(redriven.changed == 1, f"the redrive changed nothing: {redriven.items}")
        with screen.waiting("the task runs again"):
            ended = await client.wait(job.id)
        _require(ended.status == "succeeded", f"the redriven task {_end_of(ended)}")
        await self._event(client, job.id, "job.redriven")
        async with aclosing(client.events(job.id, follow=False)) as events:
            said = "".join([str((event.payload or {}).get("text", "")) async for event in events])
        collected = said.count(tasks.COLLECTED)
        _require(collected == 1, f"its finished step should have run once, and ran {collected} times")
        _require((self._repository.folder / DATABASE / "samples.txt").is_file(), "it has stored no samples")
        _require(not (await client.dead_letters()).items, "the redriven task is still a dead letter")
        screen.line("failing", f"{ended.status} in attempt {ended.attempt} of its new life")
        screen.fact(
            "the dead letter was redriven and succeeded", "its finished step was kept and not run again"
        )

    async def _enqueue(self, client: Client, who: str, job: Any) -> Job:
        accepted = await client.enqueue(job)
        self._screen.line(who, f"enqueued as {accepted.id}")
        return accepted

    async def _first_claim(self, client: Client, job_id: str) -> Event:
        async with aclosing(client.events(job_id)) as events:
            async for event in events:
                if _kind(event) == "job.claimed":
                    return event
        raise DemoError(f"job {job_id} ended and was never claimed")

    async def _event(self, client: Client, job_id: str, kind: str) -> dict[str, Any]:
        """The payload of the job's first event of this kind."""
        async with aclosing(client.events(job_id, follow=False)) as events:
            async for event in events:
                if _kind(event) == kind:
                    return event.payload or {}
        raise DemoError(f"the history of job {job_id} has no {kind}")

    def _show(self, who: str, event: Event) -> None:
        payload = event.payload or {}
        if payload.get("kind") != "log":
            self._screen.line(who, event.message)
        elif payload.get("stream") == "pty":
            self._screen.output(who, str(payload.get("text", "")))

    def _failed(self, error: BaseException) -> int:
        what = f"not done within {LIMIT_SECONDS:g} s" if isinstance(error, TimeoutError) else str(error)
        self._screen.failure(what or type(error).__name__, _tail(self._log_path))
        return 1


async def _within(
    seconds: float,
    ask: Callable[[], Awaitable[list[int]]],
    enough: Callable[[list[int]], bool],
    otherwise: str,
) -> list[int]:
    deadline = time.monotonic() + seconds
    while not enough(found := await ask()):
        if time.monotonic() > deadline:
            raise DemoError(f"{otherwise} within {seconds:g} s (last: {found})")
        await asyncio.sleep(POLL_SECONDS)
    return found


def _require(held: bool, otherwise: str) -> None:
    if not held:
        raise DemoError(otherwise)


def _end_of(job: Job) -> str:
    reason = job.error_message or job.cancel_reason
    return f"is {job.status}" + (f": {reason}" if reason else "")


def _kind(event: Event) -> str | None:
    kind = (event.payload or {}).get("kind")
    return kind if isinstance(kind, str) else None


def _tail(path: Path) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_LINES:])
    except OSError:
        return ""
