"""Server-Sent Events are read alike however the network cuts them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.client.sse import Message, Parser

STREAM = (
    ": keepalive\n\nid: 1-0\nevent: job.event\ndata: {\"a\": \"ä\"}\n\n\n"
    "id: 2-0\r\nevent: job.event\r\ndata: one\r\ndata:two\r\n\r\nretry: 5\nevent: end\n\n"
    "id\ndata\n\rdata: x\r\rid: 3-0\ndata: never finished\n"
).encode()  # fmt: skip
MESSAGES = [
    Message("job.event", '{"a": "ä"}', "1-0"),
    Message("job.event", "one\ntwo", "2-0"),
    Message("end", "", "2-0"),
    Message("message", "", None),
    Message("message", "x", None),
]


def parsed(*chunks: bytes) -> list[Message]:
    parser = Parser()
    return [message for chunk in chunks for message in parser.feed(chunk)]


def test_messages_come_out_as_they_went_in() -> None:
    assert parsed(STREAM) == MESSAGES


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_cuts_make_no_difference(cuts: list[int]) -> None:
    """Also between CR and LF, and inside a character."""
    places = [0, *sorted(cuts), len(STREAM)]
    assert parsed(*(STREAM[a:b] for a, b in pairwise(places))) == MESSAGES


def test_every_byte_by_itself() -> None:
    assert parsed(*(bytes([byte]) for byte in STREAM)) == MESSAGES


@pytest.mark.parametrize("text", [b"", b"\n\n", b": nothing\n\n", b"id: 7\n\n", b"unknown: x\n\n"])
def test_what_says_nothing_is_no_message(text: bytes) -> None:
    assert parsed(text) == []


def test_an_id_lasts_until_the_next() -> None:
    messages = parsed(b"id: 7\n\ndata: a\n\nid: 8\ndata: b\n\nid: 9\0\ndata: c\n\n")
    assert [message.id for message in messages] == ["7", "8", "8"]


def test_a_byte_order_mark_is_skipped() -> None:
    assert parsed(b"\xef\xbb\xbfdata: a\n\n") == [Message("message", "a", None)]
