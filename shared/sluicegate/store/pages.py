"""Whole collections, page by page: what stays is seen; what comes or goes meanwhile may be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sluicegate.errors import Busy
from sluicegate.store.connection import Store
from sluicegate.store.rendering import fields

PAGE: Final = 500


async def at_once(store: Store, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The replies of one moment, whatever goes on; an error that the store replies stands in its place."""
    if not commands:
        return []
    try:
        replies = await store.commands(("MULTI",), *commands, ("EXEC",))
    except Busy:
        # At its memory limit a server queues no transaction: then nearly of one moment has to do.
        return await store.commands(*commands, keep_errors=True)
    return list(replies[-1])


async def key_pages(store: Store, pattern: str, type: str | None = None) -> AsyncIterator[list[str]]:
    """Names of keys, of one type if given. pattern: as SCAN takes it."""
    of_type = ("TYPE", type) if type else ()
    cursor = "0"
    while True:
        cursor, names = await store.command("SCAN", cursor, "MATCH", pattern, "COUNT", PAGE, *of_type)
        if names:
            yield names
        if cursor == "0":
            return


async def zset_pages(store: Store, key: str) -> AsyncIterator[dict[str, float]]:
    """Members and scores."""
    async for page in _pages(store, "ZSCAN", key):
        yield {member: float(score) for member, score in page.items()}


async def hash_pages(store: Store, key: str) -> AsyncIterator[dict[str, str]]:
    """Fields and values."""
    async for page in _pages(store, "HSCAN", key):
        yield page


async def _pages(store: Store, command: str, key: str) -> AsyncIterator[dict[str, str]]:
    cursor = "0"
    while True:
        cursor, flat = await store.command(command, key, cursor, "COUNT", PAGE)
        if flat:
            yield fields(flat)
        if cursor == "0":
            return
