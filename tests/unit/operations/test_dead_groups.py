"""Which dead letters died of the same thing."""

from __future__ import annotations

import pytest

from sluicegate.operations.dead_groups import grouped, signature
from sluicegate.store.dead_letters import DeadLetter


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("exit 1 after 3.2 s", "exit 2 after 41 s"),
        ("cannot open /srv/w/1af3c9d/a.txt", "cannot open /srv/w/9/b/c.txt"),
        ("job 018f0000-0000-7000-8000-000000000000 lost", "job 018f0000-0000-7000-8000-00000000abcd lost"),
        ("at 2026-01-31T12:00:00.1Z:  refused", "at 2026-02-01 01:00:00: refused"),
        ("commit deadbeef1 is gone", "commit 0a0b0c0d is gone"),
    ],
)
def test_what_varies_counts_for_nothing(one: str, other: str) -> None:
    assert signature(one) == signature(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no such table", "no such column"),
        ("and/or failed", "either failed"),
        ("added a face", "added a bed"),
    ],
)
def test_words_count(one: str, other: str) -> None:
    assert signature(one) != signature(other)


def letter(number: int, error: str, *, failure_class: str = "unclassified", kind: str = "task") -> DeadLetter:
    return DeadLetter(
        id=f"{number}-0", job_id=str(number), type=kind, repository=None, lane="", last_error=error,
        failure_class=failure_class, attempts=3, dead_at="",
    )  # fmt: skip


def test_the_largest_group_comes_first() -> None:
    """Each letter is in one group, in the order in which it came; class and type keep causes apart."""
    groups = grouped(
        [
            letter(5, "other"),
            letter(4, "exit 1"),
            letter(3, "exit 1", failure_class="deterministic_repo"),
            letter(2, "exit 2"),
            letter(1, "exit 3", kind="report"),
        ]
    )
    assert [[each.job_id for each in group.letters] for group in groups] == [["4", "2"], ["5"], ["3"], ["1"]]
    assert (groups[0].newest.job_id, groups[0].oldest.job_id, groups[0].signature) == ("4", "2", "exit *")
