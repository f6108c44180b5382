"""Many jobs are looked through in pages, whatever happens to them meanwhile."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.model import Lane
from sluicegate.store import selection
from sluicegate.store.connection import MAX_ITEMS, Store
from sluicegate.store.selection import PAGE, Selection, Traits

KEY = keys.status("failed")


async def filled(store: Store, **scores: int) -> None:
    words: list[object] = []
    for name, score in scores.items():
        words += [score, name]
    await store.command("ZADD", KEY, *words)


async def seen(store: Store, *, after_ms: int = -1, until_ms: int = 100) -> list[str]:
    found: list[str] = []
    async for part in selection.entered(store, "failed", after_ms=after_ms, until_ms=until_ms):
        assert 0 < len(part) <= MAX_ITEMS
        found += part
    return found


@pytest.mark.parametrize("number", [0, 1, MAX_ITEMS, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 300])
async def test_a_batch_of_one_millisecond_is_seen_whole(store: Store, number: int) -> None:
    """70-10: a batch enters in one millisecond, and may be larger than a page."""
    names = [f"j{at:05}" for at in range(number)]
    if names:
        await filled(store, **dict.fromkeys(names, 7))
    assert await seen(store) == names


async def test_the_longest_ago_come_first_within_the_span(store: Store) -> None:
    await filled(store, a=9, b=3, c=5, d=3, e=1)
    assert await seen(store) == ["e", "b", "d", "c", "a"]
    assert await seen(store, after_ms=1, until_ms=5) == ["b", "d", "c"]


async def test_what_leaves_meanwhile_hides_no_other(store: Store) -> None:
    """70-10: the caller itself takes them away, part by part."""
    names = [f"j{at:05}" for at in range(2 * PAGE + 50)]
    await filled(store, **{name: at // 700 for at, name in enumerate(names)})
    found: list[str] = []
    async for part in selection.entered(store, "failed", after_ms=-1, until_ms=100):
        found += part
        await store.command("ZREM", KEY, *part)
        await store.command("ZADD", KEY, 0, "a-late-one")
    assert found == names


@pytest.mark.parametrize(
    ("selection", "fits"),
    [
        (Selection(), True),
        (Selection(type="a", repository="github.com/acme/a", status="failed", failure_class="flaky"), True),
        (Selection(created_after_ms=9, created_before_ms=11), True),
        (Selection(type="b"), False),
        (Selection(repository="github.com/acme/b"), False),
        (Selection(status="cancelled"), False),
        (Selection(failure_class="unclassified"), False),
        (Selection(created_after_ms=10), False),
        (Selection(created_before_ms=10), False),
    ],
)
def test_every_field_has_to_fit(selection: Selection, fits: bool) -> None:
    """70-10"""
    job = Traits("id", "failed", Lane("a", repository="github.com/acme/a"), "flaky", 10)
    assert selection.admits(job) == fits
