"""Each way in which an attempt can end, as a value: nothing a handler does is left without one."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil
import pytest
import uuid_utils

from sluicegate.errors import LeaseLost, StoreUnavailable
from sluicegate.model import Job
from sluicegate.settings import WorkerSettings
from sluicegate.store.endings import Cancelled, Complete, Ending, Fail, Release
from sluicegate.worker.attempt import Interruption, RunningAttempt
from sluicegate.worker.context import Handler, JobContext
from sluicegate.worker.outcome import JobCancelled, JobFailed, JobReleased
from sluicegate.worker.run_attempt import run_attempt
from sluicegate.worker.texts import MAX_CHARACTERS
from tests.support.recorded_context import Kept, Recorded
from tests.support.recorded_context import attempt as recorded_attempt
from tests.support.wait import until

RECEIPT = {
    "requestedAt": "then",
    "deliveredAt": "then",
    "processes": [],
    "signals": [],
    "groupEmptyAt": "now",
    "survivors": [],
}


@pytest.fixture
def kept() -> Kept:
    at = "2026-03-04T05:06:07.890Z"
    return Kept(Job(id=str(uuid_utils.uuid7()), type="work", status="running", created_at=at, updated_at=at))


@pytest.fixture
async def recorded(
    kept: Kept, worker_settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Recorded]:
    monkeypatch.setenv("PLANTED_SECRET", "correct-horse-battery")
    async with recorded_attempt(kept, worker_settings) as running:
        yield running


def raising(error: BaseException) -> Handler:
    async def handler(ctx: JobContext) -> str | None:
        raise error

    return handler


def returning(value: Any) -> Handler:
    async def handler(ctx: JobContext) -> Any:
        return value

    return handler


async def ending(
    recorded: Recorded, handler: Handler, interruption: Interruption | None = None
) -> Ending | None:
    """What the attempt ends in; interrupted once the handler has begun, when so asked."""

    async def interrupted(ctx: JobContext) -> str | None:
        if interruption:
            recorded.running.interrupt(interruption)
        return await handler(ctx)

    return await run_attempt(recorded.running, interrupted, recorded.context)


def of(kind: Callable[..., Ending], running: RunningAttempt, *rest: Any, **named: Any) -> Ending:
    return kind(running.job_id, running.token, *rest, **named)


@pytest.mark.parametrize(
    ("returned", "summary"),
    [
        (None, None),
        ("", None),
        ("all done", "all done"),
        ("the key is correct-horse-battery", "the key is [redacted]"),
        ("caf\udce9", "caf?"),
    ],
)
async def test_a_result_completes(recorded: Recorded, returned: str | None, summary: str | None) -> None:
    assert await ending(recorded, returning(returned)) == of(Complete, recorded.running, summary)


async def test_a_giant_result_keeps_its_beginning_and_its_end(recorded: Recorded) -> None:
    found = await ending(recorded, returning("first" + "x" * 10_000_000 + "last"))
    assert isinstance(found, Complete) and found.result_summary
    assert found.result_summary.startswith("firstx") and found.result_summary.endswith("xlast")
    assert len(found.result_summary) < MAX_CHARACTERS + 100


async def test_a_result_that_is_no_text_fails(recorded: Recorded) -> None:
    """Such an attempt had no ending at all: it ran out of its lease, again and again."""
    message = "the handler returned dict, a result is text or nothing".replace(",", ";")
    assert await ending(recorded, returning({"files": 3})) == of(
        Fail, recorded.running, message, failure_class="handler_error"
    )


@pytest.mark.parametrize("retryable", [True, False])
async def test_a_failure_is_what_the_handler_says(recorded: Recorded, retryable: bool) -> None:
    error = JobFailed("no correct-horse-battery", retryable=retryable, failure_class="flaky")
    assert await ending(recorded, raising(error)) == of(
        Fail, recorded.running, "no [redacted]", retryable=retryable, failure_class="flaky"
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("bad correct-horse-battery"), "ValueError: bad [redacted]"),
        (ValueError(), "ValueError"),
        (FileNotFoundError(2, "gone", "caf\udce9"), "FileNotFoundError: [Errno 2] gone: 'caf\\udce9'"),
        (StoreUnavailable("no store"), "no store"),
        (SystemExit("bye"), "SystemExit: bye"),
        (asyncio.CancelledError("a library's own"), "CancelledError: a library's own"),
        (JobCancelled(), "JobCancelled: cancelled"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
async def test_anything_else_that_is_raised_fails(
    recorded: Recorded, error: BaseException, message: str
) -> None:
    """`sys.exit` in a handler ended the worker; a cancellation that nobody asked for was a release."""
    assert await ending(recorded, raising(error)) == of(
        Fail, recorded.running, message, failure_class="handler_error"
    )


async def test_a_handler_may_call_sys_exit(recorded: Recorded) -> None:
    async def handler(ctx: JobContext) -> None:
        sys.exit(3)

    assert isinstance(await ending(recorded, handler), Fail)


async def test_a_cancel_is_acknowledged_with_its_receipt(recorded: Recorded) -> None:
    """C-11, C-12."""
    assert await ending(recorded, raising(JobCancelled(RECEIPT)), "cancel") == of(
        Cancelled, recorded.running, receipt=RECEIPT
    )


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), RuntimeError("my child was killed"), JobFailed("it was killed")]
)
async def test_a_cancel_that_ends_the_handler_otherwise_is_acknowledged_too(
    recorded: Recorded, error: BaseException
) -> None:
    """C-11: neither complete nor fail is called."""
    found = await ending(recorded, raising(error), "cancel")
    assert isinstance(found, Cancelled) and found.receipt
    assert found.message == (error.message if isinstance(error, JobFailed) else None)


async def test_without_a_process_the_receipt_is_an_empty_one(recorded: Recorded) -> None:
    """70-48."""
    recorded.running.interrupt("cancel", 1_000)
    found = await ending(recorded, raising(asyncio.CancelledError()))
    assert isinstance(found, Cancelled) and found.receipt
    assert found.receipt.keys() == RECEIPT.keys()
    assert found.receipt["requestedAt"] == "1970-01-01T00:00:01.000Z"
    assert found.receipt["survivors"] == []


async def test_a_result_that_came_before_the_cancel_was_noticed_wins(recorded: Recorded) -> None:
    """C-6."""
    assert isinstance(await ending(recorded, returning("done"), "cancel"), Complete)


async def test_a_failure_for_good_stays_one_after_a_cancel(recorded: Recorded) -> None:
    """C-6."""
    found = await ending(recorded, raising(JobFailed("no use", retryable=False)), "cancel")
    assert found == of(Fail, recorded.running, "no use", retryable=False)


@pytest.mark.parametrize("error", [JobReleased(), asyncio.CancelledError()])
async def test_a_release(recorded: Recorded, error: BaseException) -> None:
    """Q-14."""
    assert await ending(recorded, raising(error), "release") == of(
        Release, recorded.running, reason="the worker is stopping"
    )


@pytest.mark.parametrize("error", [asyncio.CancelledError(), RuntimeError("my child was killed")])
async def test_out_of_time(recorded: Recorded, error: BaseException) -> None:
    """70-52."""
    found = await ending(recorded, raising(error), "run_timeout")
    assert isinstance(found, Fail)
    assert (found.retryable, found.failure_class) == (False, "run_timeout")


@pytest.mark.parametrize(
    "handler",
    [
        returning("done"),
        raising(JobFailed("no")),
        raising(RuntimeError("no")),
        raising(asyncio.CancelledError()),
        raising(JobCancelled(RECEIPT)),
        raising(LeaseLost("another's")),
    ],
)
async def test_a_lost_lease_writes_nothing(recorded: Recorded, handler: Handler) -> None:
    assert await ending(recorded, handler, "lost") is None


async def test_what_the_queue_says_of_the_lease_counts_before_any_heartbeat(recorded: Recorded) -> None:
    assert await ending(recorded, raising(LeaseLost("another's"))) is None


async def test_after_the_loss_nothing_is_reported_any_more(kept: Kept, recorded: Recorded) -> None:
    async def handler(ctx: JobContext) -> None:
        recorded.running.interrupt("lost")
        await ctx.event("work.note", "still here")

    assert await ending(recorded, handler) is None
    assert kept.events == []


async def test_ended_from_outside_while_the_worker_ends(recorded: Recorded) -> None:
    """A task that is cancelled without a reason: the program around the worker ends. The job goes back."""

    async def handler(ctx: JobContext) -> None:
        await asyncio.sleep(3600)

    task = asyncio.create_task(run_attempt(recorded.running, handler, recorded.context))
    await asyncio.sleep(0)
    task.cancel()
    assert isinstance(await task, Release)


@pytest.mark.parametrize(
    ("why", "expected"),
    [("cancel", Cancelled), ("release", Release), ("run_timeout", Fail), ("lost", type(None))],
)
async def test_what_is_asked_to_end_before_it_began_is_not_begun(
    recorded: Recorded, why: Interruption, expected: type
) -> None:
    """C-11: a cancel that overtook the answer to the claim."""
    recorded.running.interrupt(why)
    found = await run_attempt(recorded.running, raising(AssertionError("begun")), recorded.context)
    assert type(found) is expected


async def test_a_stronger_reason_replaces_a_weaker_one() -> None:
    running = RunningAttempt(None)  # type: ignore[arg-type]
    reasons: list[Interruption] = ["release", "run_timeout", "cancel", "lost"]
    for why in reasons:
        assert running.interrupt(why)
        assert not any(running.interrupt(each) for each in reasons[: reasons.index(why) + 1])
    assert running.interruption == "lost"
    assert running.interruption_event().is_set()


async def test_the_receipt_survives_a_handler_that_takes_too_long_afterwards(
    kept: Kept, recorded: Recorded
) -> None:
    """C-12: the command had been stopped, signal by signal; then the handler was ended from outside."""

    async def handler(ctx: JobContext) -> None:
        try:
            await ctx.run([sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"])
        except JobCancelled:
            await asyncio.sleep(3600)

    task = asyncio.create_task(run_attempt(recorded.running, handler, recorded.context))
    await until(lambda: any("ready" in log["text"] for log in kept.told("log")), "the command runs")
    recorded.running.interrupt("cancel")
    await until(lambda: recorded.running.receipts, "the command has been stopped")
    task.cancel()
    found = await task
    assert isinstance(found, Cancelled) and found.receipt
    assert [each["signal"] for each in found.receipt["signals"]] == ["SIGINT"]


SLEEPER = "import time; print('ready', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); " + SLEEPER


async def test_a_receipt_is_of_all_commands_of_the_attempt(kept: Kept, recorded: Recorded) -> None:
    """C-12: two ran at a time. The first one's end was told as the end of all, while the other went on."""

    async def handler(ctx: JobContext) -> None:
        await asyncio.gather(*(ctx.run([sys.executable, "-c", code]) for code in (SLEEPER, STUBBORN)))

    task = asyncio.create_task(run_attempt(recorded.running, handler, recorded.context))
    await until(lambda: len(ready(kept)) == 2, "both run")
    pids = [command.pid for command in recorded.running.commands]
    recorded.running.interrupt("cancel")
    found = await task
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert isinstance(found, Cancelled) and found.receipt
    assert [each["signal"] for each in found.receipt["signals"]] == ["SIGINT", "SIGINT", "SIGTERM"]
    assert found.receipt["groupEmptyAt"] >= found.receipt["signals"][-1]["at"]
    assert found.receipt["survivors"] == []


@pytest.mark.parametrize("raised", [None, JobFailed("no"), JobReleased()], ids=str)
async def test_a_command_that_its_handler_left_ends_with_it(
    kept: Kept, recorded: Recorded, raised: Exception | None
) -> None:
    """C-12: started in a task of its own and not waited for, it lived as long as its worker."""
    tasks = []

    async def handler(ctx: JobContext) -> str:
        tasks.append(asyncio.create_task(ctx.run([sys.executable, "-c", SLEEPER])))
        await until(lambda: ready(kept), "it runs")
        tasks.extend(recorded.running.commands)
        if raised:
            raise raised
        return "done"

    found = await run_attempt(recorded.running, handler, recorded.context)
    left, command = tasks
    assert not psutil.pid_exists(command.pid)
    assert type(found) is {None: Complete, JobFailed: Fail, JobReleased: Release}[raised and type(raised)]
    assert (await left).signal == signal.SIGKILL


async def test_a_stop_that_takes_long_is_waited_for(kept: Kept, recorded: Recorded) -> None:
    """C-12: the handler is ended from outside again and again, while its command is still being killed."""

    async def handler(ctx: JobContext) -> None:
        await ctx.run([sys.executable, "-c", STUBBORN])

    task = asyncio.create_task(run_attempt(recorded.running, handler, recorded.context))
    await until(lambda: ready(kept), "the command runs")
    (command,) = recorded.running.commands
    recorded.running.interrupt("cancel")
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
    found = await task
    assert command.has_ended
    assert isinstance(found, Cancelled) and found.receipt
    assert found.receipt["groupEmptyAt"] is not None
    assert found.receipt["signals"][-1]["signal"] == "SIGKILL"


def ready(kept: Kept) -> list[Any]:
    return [log for log in kept.told("log") if "ready" in log["text"]]


async def test_a_run_that_is_held_from_the_start_does_not_begin(recorded: Recorded, kept: Kept) -> None:
    """70-24: also one whose handler looks at no checkpoint of its own."""
    begun = asyncio.Event()

    async def handler(ctx: JobContext) -> None:
        begun.set()

    recorded.running.holds.set("operator", True)
    ending = asyncio.create_task(run_attempt(recorded.running, handler, recorded.context))
    await until(lambda: kept.kinds("task.paused"), "it waits")
    assert not begun.is_set()
    recorded.running.holds.set("operator", False)
    assert isinstance(await asyncio.wait_for(ending, 5), Complete)
    assert begun.is_set()


async def test_a_run_that_is_held_from_the_start_can_be_cancelled(recorded: Recorded, kept: Kept) -> None:
    """H-9."""
    recorded.running.holds.set("operator", True)
    ending = asyncio.create_task(run_attempt(recorded.running, raising(ValueError()), recorded.context))
    await until(lambda: kept.kinds("task.paused"), "it waits")
    recorded.running.interrupt("cancel", 1_000)
    assert isinstance(await asyncio.wait_for(ending, 5), Cancelled)
