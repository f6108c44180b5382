"""Running one attempt: from a claimed job to how it ended, as a value. Writing that is the outbox's work."""

from __future__ import annotations

import asyncio

from msgspec import structs

from sluicegate.errors import LeaseLost, SluicegateError
from sluicegate.log import log
from sluicegate.store.endings import Cancelled, Complete, Ending, Fail, Release
from sluicegate.worker.attempt import RunningAttempt
from sluicegate.worker.context import Handler, JobContext
from sluicegate.worker.outcome import JobCancelled, JobFailed, JobReleased
from sluicegate.worker.texts import shown


async def run_attempt(attempt: RunningAttempt, handler: Handler, context: JobContext) -> Ending | None:
    """Run the handler; the ending to write, or None when the lease is lost and nothing may be written.

    What the handler started by `run` has ended too by then. Never raises, whatever the handler does.
    """
    # Asked to end before it has begun, it is not begun.
    ending = _interrupted(attempt) if attempt.interruption else await _handled(attempt, handler, context)
    await attempt.end_commands()
    if attempt.interruption == "lost":
        return None
    if isinstance(ending, Cancelled) and ending.receipt is None:
        return structs.replace(ending, receipt=attempt.receipt())
    return ending


async def _handled(attempt: RunningAttempt, handler: Handler, context: JobContext) -> Ending | None:
    job_id, token = attempt.job_id, attempt.token
    try:
        if attempt.holds:  # held while it waited in the queue: whatever the handler, it has not begun (70-24)
            await context.checkpoint()
        result = await handler(context)
    except LeaseLost:
        return None
    except JobReleased:
        return _released(attempt)
    except JobFailed as error:
        message = shown(context.redactor, error.message)
        if attempt.interruption == "cancel" and error.retryable:
            return Cancelled(job_id, token, message)
        return Fail(job_id, token, message, retryable=error.retryable, failure_class=error.failure_class)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        ended_from_outside = attempt.interruption or (task is not None and task.cancelling())
        return _interrupted(attempt) if ended_from_outside else _raised(attempt, context, error)
    except JobCancelled as error:
        if attempt.interruption == "cancel":
            return Cancelled(job_id, token, receipt=error.receipt)
        return _raised(attempt, context, error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - its attempt fails, the worker goes on
        # What a handler raises while it is being ended comes of that.
        ended_from_outside = attempt.interruption in ("cancel", "run_timeout")
        return _interrupted(attempt) if ended_from_outside else _raised(attempt, context, error)
    return _returned(attempt, context, result)


def _returned(attempt: RunningAttempt, context: JobContext, result: object) -> Ending:
    if result is not None and not isinstance(result, str):
        message = f"the handler returned {type(result).__name__}; a result is text or nothing"
        return Fail(attempt.job_id, attempt.token, message, failure_class="handler_error")
    return Complete(attempt.job_id, attempt.token, shown(context.redactor, result) if result else None)


def _interrupted(attempt: RunningAttempt) -> Ending:
    """The ending of a handler that was ended from outside, because it did not look at its controls."""
    match attempt.interruption:
        case "cancel":
            return Cancelled(attempt.job_id, attempt.token)
        case "run_timeout":
            return run_timeout(attempt)
    return _released(attempt)


def _released(attempt: RunningAttempt) -> Release:
    return Release(attempt.job_id, attempt.token, reason="the worker is stopping")


def run_timeout(attempt: RunningAttempt) -> Fail:
    return Fail(
        attempt.job_id,
        attempt.token,
        "ran longer than maxRunSeconds",
        retryable=False,
        failure_class="run_timeout",
    )


def _raised(attempt: RunningAttempt, context: JobContext, error: BaseException) -> Fail:
    log.warning("worker.handler.raised", job_id=attempt.job_id, error=type(error).__name__)
    message = shown(context.redactor, _sentence(error))
    return Fail(attempt.job_id, attempt.token, message, failure_class="handler_error")


def _sentence(error: BaseException) -> str:
    if isinstance(error, SluicegateError):
        return error.detail
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
