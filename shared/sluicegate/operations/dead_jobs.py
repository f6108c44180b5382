"""Looking through the dead letters, the same on every surface (70-12)."""

from __future__ import annotations

from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import DeadLettersQuery
from sluicegate.repositories import canonical
from sluicegate.store import Store, dead_letters
from sluicegate.store.dead_letters import DeadLetter, DeadLetterFilter


async def page(store: Store, asked: DeadLettersQuery) -> Listed[DeadLetter]:
    """Newest first; a filtered page may be short before the end (70-57). Raises Invalid."""
    named = asked.repository
    filter = DeadLetterFilter(
        type=asked.type,
        repository=None if named is None else canonical(named, store.settings, path="repository"),
        failure_class=asked.failure_class,
    )
    found, following = await dead_letters.listing(store, filter, cursor=asked.cursor, limit=asked.limit)
    return Listed(items=found, next_cursor=following)
