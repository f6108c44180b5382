"""W3C Trace Context: which trace a job, a request or a log line belongs to. Knows nothing of OpenTelemetry.

What comes from outside is believed only when it is well formed; otherwise it is as if nothing had come, as
the recommendation demands, and never an error.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]{0,200})?")
MEMBER: Final = re.compile(
    r"[a-z0-9][a-z0-9_*/-]{0,240}(@[a-z][a-z0-9_*/-]{0,13})?=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
MAX_MEMBERS: Final = 32
MAX_STATE: Final = 512
"""Characters of a `tracestate` that are carried on; whole members of what is longer, from its beginning."""
KNOWN_FLAGS: Final = 0x03
"""Sampled, and random trace id. The others are cleared, as nobody knows what they mean."""


class TraceContext(NamedTuple):
    """traceparent: in the form of version 00. tracestate: empty when there is none."""

    traceparent: str
    tracestate: str = ""

    @property
    def trace_id(self) -> str:
        return self.traceparent[3:35]

    @property
    def span_id(self) -> str:
        return self.traceparent[36:52]

    @property
    def flags(self) -> int:
        return int(self.traceparent[53:55], 16)

    @property
    def text(self) -> str:
        """As it is kept with a job."""
        return f"{self.traceparent} {self.tracestate}" if self.tracestate else self.traceparent

    @property
    def headers(self) -> dict[str, str]:
        named = {"traceparent": self.traceparent, "tracestate": self.tracestate}
        return {name: value for name, value in named.items() if value}

    @property
    def environment(self) -> dict[str, str]:
        """The same for a process, by OpenTelemetry's convention."""
        return {name.upper(): value for name, value in self.headers.items()}


class Headers(Protocol):
    """Those of a request, as aiohttp has them."""

    def __contains__(self, name: object, /) -> bool: ...
    def getall(self, name: str, default: list[str], /) -> list[str]: ...


def from_headers(headers: Headers) -> TraceContext | None:
    """What a request brings; None when that is nothing, or nothing that can be believed."""
    if "traceparent" not in headers:
        return None
    return parsed(headers.getall("traceparent", []), headers.getall("tracestate", []))


def from_text(text: str) -> TraceContext | None:
    """What is kept with a job."""
    traceparent, _, tracestate = text.partition(" ")
    return parsed([traceparent], [tracestate])


def parsed(traceparents: Iterable[str | None], tracestates: Iterable[str | None] = ()) -> TraceContext | None:
    """The values of all headers of these names, of which there may be one of the first."""
    given = [value.strip() for value in traceparents if value]
    found = TRACEPARENT.fullmatch(given[0]) if len(given) == 1 else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not (int(trace_id, 16) and int(span_id, 16)):
        return None
    kept = int(flags, 16) & KNOWN_FLAGS
    return TraceContext(f"00-{trace_id}-{span_id}-{kept:02x}", _state(tracestates))


def current() -> TraceContext | None:
    """That of the span which this code runs in, whoever began it; None outside of any.

    A program that has not imported OpenTelemetry is in none, and does not import it for the question.
    """
    if (api := sys.modules.get("opentelemetry.trace")) is None:
        return None
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & KNOWN_FLAGS:02x}"
    return TraceContext(traceparent, _state([context.trace_state.to_header()]))


def of_request(headers: Headers) -> TraceContext | None:
    """What a job belongs to that a request enqueues: the service's own span, else what the caller brings."""
    return current() or from_headers(headers)


def _state(values: Iterable[str | None]) -> str:
    """The members of a `tracestate` in their order; empty when one of them is malformed."""
    members = [each.strip(" \t") for value in values if value for each in value.split(",")]
    members = [each for each in members if each]
    names = {each.partition("=")[0] for each in members}
    if len(members) > MAX_MEMBERS or len(names) < len(members) or not all(map(MEMBER.fullmatch, members)):
        return ""
    state = ",".join(members)
    while len(state) > MAX_STATE:
        state = state.rpartition(",")[0]
    return state
