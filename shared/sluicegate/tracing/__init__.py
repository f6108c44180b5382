"""Spans of OpenTelemetry, an optional extra: off by default, and then no module of it is imported.

    with tracing.spans().stage("prepare"):
        ...

`spans()` is the one seam. Off, its spans are one object that does nothing, so that nobody has to ask whether
tracing is on; `start` puts those in its place that are recorded. Attributes are bounded texts of our own: no
prompt, no command, no output and no message of an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from sluicegate.errors import ConfigurationError
from sluicegate.tracing.context import TraceContext, current, from_headers, from_text, of_request, parsed

if TYPE_CHECKING:
    from sluicegate.settings import Settings
    from sluicegate.store.endings import Ending

__all__ = [
    "Claimed", "Span", "Spans", "TraceContext", "current", "during", "from_headers", "from_text", "is_on",
    "of_request", "parsed", "spans", "start", "use",
]  # fmt: skip

NOT_INSTALLED: Final = (
    "SLUICEGATE_TRACING=1 needs OpenTelemetry, which is not installed here: "
    "pip install 'sluicegate[tracing]', or unset it"
)


class Claimed(Protocol):
    """What a span tells of a claimed job."""

    @property
    def job_id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def token(self) -> int: ...
    @property
    def worker_id(self) -> str: ...
    @property
    def waited_ms(self) -> int | None: ...
    @property
    def trace(self) -> TraceContext | None: ...


class Span:
    """One that is not recorded. In `with` it is the current one; what is raised there says how it ended."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def note(self, **facts: str | int | None) -> None:
        """Attributes by the last part of their names, as in `names.FACTS`; what is None is left out."""

    def failed(self, failure_class: str) -> None:
        """It ended in a failure of this class."""

    def ended(self, ending: Ending | None) -> None:
        """The attempt of a job ended like this; None: its lease is lost."""

    def answered(self, status: int) -> None:
        """The request was answered with this status."""

    def forget(self) -> None:
        """It is not told after all."""


NOTHING: Final = Span()


class Spans:
    """Those that are not recorded; `recorded.RecordedSpans` are."""

    def claimed(self, attempts: Sequence[Claimed], seconds: float) -> None:
        """These jobs were claimed by a call that took so long."""

    def attempt(self, claimed: Claimed) -> Span:
        """An attempt of a job, a part of the trace that its enqueue belongs to."""
        return NOTHING

    def stage(self, name: str) -> Span:
        return NOTHING

    def step(self, index: int, step_id: str) -> Span:
        """index: from 0."""
        return NOTHING

    def step_attempt(self, index: int, number: int, strategy: str | None) -> Span:
        """strategy: how the attempt came about; None for a first one."""
        return NOTHING

    def hard_reset(self) -> Span:
        return NOTHING

    def request(self, method: str, route: str, parent: TraceContext | None) -> Span:
        """A request that this process serves."""
        return NOTHING

    def note(self, **facts: str | int | None) -> None:
        """`Span.note` of the current one."""


class _Switch:
    """What `spans` gives, for the whole process."""

    on: Spans = Spans()


def spans() -> Spans:
    return _Switch.on


def is_on() -> bool:
    return type(_Switch.on) is not Spans


def use(chosen: Spans) -> Spans:
    """Make these the process's; those before."""
    before, _Switch.on = _Switch.on, chosen
    return before


def start(settings: Settings, service: str) -> bool:
    """Record spans from now on, if the settings say so; whether this call has begun it.

    Where they go, and which, OpenTelemetry's own variables say (OTEL_*). A program that has set up a tracer
    provider of its own keeps that. Raises ConfigurationError when the extra is not installed.
    """
    if not settings.tracing or is_on():
        return False
    try:
        from sluicegate.tracing import export
        from sluicegate.tracing.recorded import RecordedSpans
    except ImportError as error:
        raise ConfigurationError(NOT_INSTALLED) from error
    use(RecordedSpans(export.tracer(service)))
    return True


@asynccontextmanager
async def during(settings: Settings, service: str) -> AsyncIterator[None]:
    """`start`; at the end whoever has begun it sends what is left, for at most `export.FLUSH_SECONDS`."""
    begun = start(settings, service)
    try:
        yield
    finally:
        if begun:
            from sluicegate.tracing import export

            await asyncio.to_thread(export.flush)
