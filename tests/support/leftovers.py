"""What a test must not leave behind: tasks, child processes, keys without an expiry."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.support import store_server

GRACE_SECONDS = 2.0
LASTING: set[psutil.Process] = set()
"""The servers and the browser, which live as long as the session, and what they start."""


async def tasks_left(
    grace_seconds: float = GRACE_SECONDS, known: Iterable[asyncio.Task[Any]] = ()
) -> list[str]:
    """Tasks of this loop beside the caller's and `known` that are still there after the grace."""
    deadline = time.monotonic() + grace_seconds
    while others := asyncio.all_tasks() - {asyncio.current_task(), *known}:
        if time.monotonic() > deadline:
            return sorted(f"{task.get_name()}: {task.get_coro()}" for task in others)
        await asyncio.sleep(0.005)
    return []


def children() -> set[psutil.Process]:
    """Every living descendant of this process."""
    return {each for each in _descendants() if _lives(each)}


def _descendants(besides: Container[psutil.Process] = ()) -> Iterator[psutil.Process]:
    """Those of `besides` are left out, with all below them."""
    ahead = [psutil.Process()]
    while ahead:
        for each in _children(ahead.pop()):
            if each not in besides:
                ahead.append(each)
                yield each


def _children(parent: psutil.Process) -> Iterator[psutil.Process]:
    """psutil reads every process of the machine for it; Linux tells a thread's children in one file."""
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        yield from parent.children()
        return
    with contextlib.suppress(OSError):  # it may end meanwhile, and its threads
        for thread in os.listdir(f"/proc/{parent.pid}/task"):
            for pid in Path(f"/proc/{parent.pid}/task/{thread}/children").read_text().split():
                with contextlib.suppress(psutil.NoSuchProcess):
                    yield psutil.Process(int(pid))


def started() -> set[psutil.Process]:
    """Every living descendant that is not one of the session's servers, nor below one: what the test itself
    started."""
    return {each for each in _descendants(besides=LASTING) if _lives(each)}


def processes_left(known: Iterable[psutil.Process], grace_seconds: float = GRACE_SECONDS) -> list[str]:
    """Descendants that are not among `known` and do not end within the grace; they are killed, so that
    the next test starts clean."""
    strays = started() - set(known)
    _, alive = psutil.wait_procs(list(strays), timeout=grace_seconds) if strays else ([], [])
    left = []
    for each in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            if _lives(each):
                left.append(f"{each.pid}: {' '.join(each.cmdline()) or each.name()}")
                each.kill()
    return sorted(left)


def keys_left(url: str, permanent: Iterable[str]) -> list[str]:
    """Keys that have no expiry and match none of the permanent patterns: what would grow for ever."""
    client = store_server.client(url)
    names = sorted(client.scan_iter(count=1000))
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.pttl(name)
        expiries = pipeline.execute()
    forever = [name for name, ttl in zip(names, expiries, strict=True) if ttl == -1]
    return [name for name in forever if not matches(name, permanent)]


def pattern(catalogued: str) -> str:
    """`job:<id>:events` of the catalogue as a pattern of whole key names: `{sg:*}:job:*:events`."""
    return "{sg:*}:" + re.sub(r"<[^>]+>", "*", catalogued)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether the name fits a pattern, in which `*` is the only sign with a meaning (keys hold braces)."""
    return any(_fits(name, pattern.split("*")) for pattern in patterns)


def _fits(name: str, parts: list[str]) -> bool:
    if len(parts) == 1:
        return name == parts[0]
    first, *middle, last = parts
    if not name.startswith(first):
        return False
    at = len(first)
    for part in middle:
        found = name.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(name) - at >= len(last) and name.endswith(last)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
