"""W3C Trace Context: what is believed, and what is as if it had not come."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from sluicegate.tracing import TraceContext, from_headers, from_text, parsed
from sluicegate.tracing.context import MAX_STATE

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_context_is_read_and_kept_as_one_text() -> None:
    found = from_headers(CIMultiDict(Traceparent=PARENT, TraceState="a=1, b=2"))
    assert found == TraceContext(PARENT, "a=1,b=2")
    assert (found.trace_id, found.span_id, found.flags) == (TRACE, SPAN, 1)
    assert found.text == f"{PARENT} a=1,b=2"
    assert from_text(found.text) == found
    assert from_text(PARENT) == TraceContext(PARENT)
    assert found.environment == {"TRACEPARENT": PARENT, "TRACESTATE": "a=1,b=2"}
    assert TraceContext(PARENT).headers == {"traceparent": PARENT}


def test_a_request_without_one_brings_none() -> None:
    assert from_headers(CIMultiDict({"tracestate": "a=1"})) is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "anything",
        PARENT.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"{PARENT}-more",
        f"01-{TRACE}-{SPAN}-01.more",
        f"01-{TRACE}-{SPAN}-01-{'x' * 1000}",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_malformed_is_as_if_it_had_not_come(header: str) -> None:
    assert parsed([header]) is None


def test_two_of_them_are_none() -> None:
    assert parsed([PARENT, PARENT]) is None


def test_a_later_version_is_read_by_what_is_known_of_it() -> None:
    """And goes on as what we know: its flags that are unknown are cleared."""
    assert parsed([f"cc-{TRACE}-{SPAN}-fd-what-the-future-will-be-like"]) == TraceContext(PARENT)


@pytest.mark.parametrize(
    "state", ["no value", "A=1", "a=1,a=2", "a=\u00e9", ",".join(f"k{n}=1" for n in range(33))]
)
def test_a_malformed_state_is_left_out_alone(state: str) -> None:
    assert parsed([PARENT], [state]) == TraceContext(PARENT)


def test_states_of_several_headers_are_one() -> None:
    assert parsed([PARENT], ["a=1", "t@v=2,,"]) == TraceContext(PARENT, "a=1,t@v=2")


def test_a_long_state_loses_its_last_members() -> None:
    members = [f"k{n}={'v' * 60}" for n in range(20)]
    found = parsed([PARENT], [",".join(members)])
    assert found is not None
    kept = found.tracestate.split(",")
    assert kept == members[: len(kept)]
    assert MAX_STATE - 65 < len(found.tracestate) <= MAX_STATE
