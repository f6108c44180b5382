"""Jobs of type `noop` succeed at once: for a first try, a smoke test, a measurement of the queue itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluicegate.worker.context import JobContext


async def run_noop(ctx: JobContext) -> None:
    """Nothing, and so it cannot fail."""
