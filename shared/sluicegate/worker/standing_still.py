"""How an attempt stands still for people: at a checkpoint, or at once where it is. Its history says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from sluicegate.errors import LeaseLost
from sluicegate.worker.attempt import RunningAttempt
from sluicegate.worker.holds import Hold

if TYPE_CHECKING:
    from sluicegate.worker.command_log import CommandLog
    from sluicegate.worker.process.command import Command

PAUSED: Final = b"\r\n== PAUSED FOR OPERATOR ==\r\n"
"""What the run's terminal shows when an operator has paused it (L-5)."""

Tell = Callable[..., Awaitable[None]]
"""JobContext.event."""


async def at_checkpoint(
    attempt: RunningAttempt, tell: Tell, terminal: Callable[[], CommandLog], step: Mapping[str, Any]
) -> None:
    """Wait until nothing holds the attempt or it is asked to end; tells each hold as it begins and ends."""
    told: frozenset[Hold] = frozenset()
    attempt.waiting_at_checkpoint = True
    attempt.rest_changed()
    interrupted = asyncio.ensure_future(attempt.interruption_event().wait())
    try:
        while not attempt.interruption:
            if told != attempt.holds.reasons:
                before, told = told, attempt.holds.reasons
                await _tell_holds(before, told, tell, terminal, step)
                continue
            if not told:
                return
            changed = asyncio.ensure_future(attempt.holds.change().wait())
            try:
                await asyncio.wait((changed, interrupted), return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
    finally:
        interrupted.cancel()
        attempt.waiting_at_checkpoint = False
        attempt.rest_changed()


async def where_it_is(
    attempt: RunningAttempt, command: Command, tell: Tell, output: CommandLog, step: Mapping[str, Any]
) -> None:
    """Stop the command's whole tree whenever the hold is a hard one, and let it go on; until cancelled."""
    stopped = False
    with contextlib.suppress(LeaseLost):  # it ends with its command, which is killed then
        while True:
            if attempt.holds.hard == stopped:
                await attempt.holds.change().wait()
            elif not stopped:
                await command.pause()
                stopped = True
                attempt.stopped.add(command)
                attempt.rest_changed()
                output.take(PAUSED, "pty")
                await tell("task.paused", "Stopped where it was", reason="operator", hard=True, **step)
            else:
                await command.resume()
                stopped = False
                attempt.stopped.discard(command)
                attempt.rest_changed()
                sentence = "Goes on until its next checkpoint" if attempt.holds else "Resumed"
                await tell("task.resumed", sentence, reason="operator", hard=True, **step)


async def _tell_holds(
    before: frozenset[Hold],
    now: frozenset[Hold],
    tell: Tell,
    terminal: Callable[[], CommandLog],
    step: Mapping[str, Any],
) -> None:
    for reason in sorted(now - before):
        if reason == "operator":
            output = terminal()
            output.take(PAUSED, "pty")
            await output.close()
        await tell("task.paused", "Paused at a checkpoint", reason=reason, **step)
    for reason in sorted(before - now):
        await tell("task.resumed", "Resumed", reason=reason, **step)
