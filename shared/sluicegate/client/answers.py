"""What a client gets back beside jobs, events and the pause status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from sluicegate.model import Job

if TYPE_CHECKING:
    from sluicegate.operations.pause import PauseStatus


class JobPage(Struct, rename="camel", kw_only=True):
    """One page of jobs. `next_cursor` is None at the end; a filtered page may be short before it (70-57)."""

    items: list[Job]
    next_cursor: str | None = None


class Metrics(Struct, rename="camel", kw_only=True):
    """Exact numbers of unfinished jobs, read in one step (P-10). `running` leaves stale ones out."""

    queued: int
    delayed: int
    running: int
    stale_running: int
    is_drained: bool

    @classmethod
    def of(cls, status: PauseStatus) -> Metrics:
        return msgspec.convert(status.metrics, cls)
