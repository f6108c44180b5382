"""What of a terminal's output is sent or kept when it is more than anybody can see (L-14)."""

from __future__ import annotations

from services.worker.terminal.gathered import Gathered, Part
from sluicegate.worker.terminal import Size


def test_all_of_it_while_there_is_room() -> None:
    gathered = Gathered(100)
    assert not gathered
    for piece in (b"one ", b"two ", b"x" * 40, b" three"):
        gathered.add(piece)
    assert gathered
    assert gathered.take() == [Part("d", b"one two " + b"x" * 40 + b" three")]
    assert not gathered and gathered.take() == []


def test_the_middle_is_left_out_at_whole_lines() -> None:
    gathered = Gathered(64)
    said = b"".join(b"line %03d\n" % number for number in range(100))
    for start in range(0, len(said), 7):
        gathered.add(said[start : start + 7])
    head, gap, tail = gathered.take()
    assert said.startswith(head.data) and said.endswith(tail.data) and tail.data.startswith(b"line ")
    assert (gap.kind, int(gap.data)) == ("left_out", len(said) - len(head.data) - len(tail.data))
    assert len(head.data) + len(tail.data) <= 64
    gathered.add(b"again")
    assert gathered.take() == [Part("d", b"again")]


def test_sizes_stand_in_their_place() -> None:
    gathered = Gathered(100)
    gathered.add(b"a")
    gathered.resize(Size(90, 30))
    gathered.add(b"b")
    assert gathered.take() == [Part("d", b"a"), Part("size", b"90x30"), Part("d", b"b")]
    gathered.resize(Size(80, 24))
    assert gathered
    assert gathered.take() == [Part("size", b"80x24")]
