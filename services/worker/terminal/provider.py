"""What every kind of live session has to offer to the one who keeps it (`live_session.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from sluicegate.model import LiveProvider
from sluicegate.store.live_sessions import Known, Ways

if TYPE_CHECKING:
    from services.worker.task.run import TaskRun


class Provider(Protocol):
    """Terminals on one attempt, one after the other: started anew for each session, closed after it.

    Anything that it raises ends the session as an error, and nothing else.
    """

    async def start(self) -> Ways:
        """Open it, and every way in. Ended by a time limit, it leaves nothing that `close` does not end."""

    def look(self, known: Known) -> None:
        """The session is ready, or something about it has changed: a grant, most of the time."""

    async def grant_over(self) -> Ways | None:
        """The ways in, once those to write that somebody was told lead nowhere any more (L-10).

        None where the store alone decides who may type.
        """

    async def ended(self) -> None:
        """Does not return: raises, once it has ended though nobody closed it, what tells why (L-12)."""

    async def close(self) -> None:
        """Leave no process and no socket behind. May come before `start`, in its midst, and twice."""


Providers = Mapping[LiveProvider, Callable[["TaskRun"], Provider]]
