"""Wait for a condition with a description; never for a length of time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")
PAUSE_SECONDS = 0.005


class TimedOut(AssertionError):
    """What was waited for did not come; says what it was, how long, and the last value seen."""


async def until(
    condition: Callable[[], T | Awaitable[T]], what: str, timeout: float = 10.0, pause: float = PAUSE_SECONDS
) -> T:
    """The first true value of `condition` (it may be a coroutine function); TimedOut after `timeout` s."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return cast(T, value)
        if time.monotonic() > deadline:
            raise TimedOut(f"{what}: not within {timeout:g} s; last seen: {value!r}")
        await asyncio.sleep(pause)


def until_sync(
    condition: Callable[[], T], what: str, timeout: float = 10.0, pause: float = PAUSE_SECONDS
) -> T:
    """`until` for tests without a loop."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimedOut(f"{what}: not within {timeout:g} s; last seen: {value!r}")
        time.sleep(pause)
    return value
