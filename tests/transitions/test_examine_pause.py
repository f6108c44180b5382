"""examine_pause: whether the record that claims check can be read (P-2, P-11)."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.store import pause
from sluicegate.store.connection import Store
from tests.support.job_builder import JobBuilder


async def test_a_sound_record(store: Store, builder: JobBuilder) -> None:
    assert await store.run("examine_pause") == [[]]
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="ann")
    assert await store.run("examine_pause") == [[]]


@pytest.mark.damages_the_store
@pytest.mark.parametrize(
    ("command", "word"),
    [
        (("DEL", keys.PAUSE), "no_pause"),
        (("HSET", keys.PAUSE, "paused", "yes"), "pause_unreadable"),
        (("HSET", keys.PAUSE, "paused", "1"), "pause_unreadable"),
        (("HDEL", keys.PAUSE, "version"), "pause_unreadable"),
        (("HSET", keys.PAUSE, "until", "tomorrow"), "pause_unreadable"),
        (("HSET", keys.PAUSE, "version", "3"), "pause_version it has 3, and 0 was given out last"),
    ],
)
async def test_a_damaged_record(
    store: Store, builder: JobBuilder, command: tuple[str, ...], word: str
) -> None:
    await store.command(*command)
    assert await store.run("examine_pause") == [[word]]
