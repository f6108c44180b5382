"""Who is held back: by the switch for all workers, and by narrower pauses of some jobs or one worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from sluicegate.model import Lane


class Pause(NamedTuple):
    """A record: of all workers, which every claim and heartbeat carries (P-2, P-5), or a narrower one."""

    paused: bool = False
    mode: str | None = None
    reason: str | None = None
    by: str | None = None
    until: int = 0
    version: int = 0


RUNNING: Final = Pause()


class Narrow(NamedTuple):
    """The narrower pauses by name, `<scope>=<value>`, the last changed last (P-12).

    One that ended by its time is `paused` no longer, and stays until all that it held back is given back;
    before, a claim may see that or not. version: the last of any of them.
    """

    pauses: Mapping[str, Pause] = MappingProxyType({})
    version: int = 0

    def change(self, name: str, asked: Pause, *, expected: int, clock: int) -> tuple[str, Narrow]:
        """asked: as it is to be; its version does not matter. The word, and what is paused then."""
        now = self.pauses.get(name, RUNNING)
        if asked.paused and 0 < asked.until <= clock:
            return "UNTIL_PASSED", self
        if expected not in (-1, now.version if now.paused else 0):
            return "VERSION_CONFLICT", self
        if not (asked.paused or now.paused) or asked._replace(by=now.by, version=now.version) == now:
            return "UNCHANGED", self
        return "OK", self._with(name, asked if asked.paused else None)

    def due(self, clock: int) -> set[str]:
        return {name for name, pause in self.pauses.items() if pause.paused and 0 < pause.until <= clock}

    def end(self, names: Iterable[str]) -> Narrow:
        """That of a worker held back no lane, so there is nothing to give back."""
        after = self
        for name in names:
            after = after._with(name, None if name.startswith("worker=") else RUNNING)
        return after

    def ending_at(self, name: str, until: int) -> Narrow:
        """Time has moved the end of one."""
        moved = self.pauses[name]._replace(until=until)
        return self._replace(pauses={**self.pauses, name: moved})

    def bring_back(self) -> tuple[str, Narrow]:
        """Of the one that was lifted first: no test has so many lanes that it takes several calls."""
        lifted = [name for name, pause in self.pauses.items() if not pause.paused]
        rest = {name: pause for name, pause in self.pauses.items() if name not in lifted[:1]}
        return "MORE" if len(lifted) > 1 else "DONE", self._replace(pauses=rest)

    def of_worker(self, worker: str) -> str | None:
        name = f"worker={worker}"
        return name if name in self.pauses else None

    def holds(self, lane: Lane) -> bool:
        return any(self.pauses[name].paused for name in self._of_lane(lane))

    def may_hide(self, lane: Lane) -> bool:
        """Whether one that was lifted may still keep the lane from claims."""
        return any(not self.pauses[name].paused for name in self._of_lane(lane))

    def _of_lane(self, lane: Lane) -> list[str]:
        names = [f"type={lane.type}", f"repository={lane.repository}"]
        names += [f"capability={each}" for each in lane.capabilities]
        return [name for name in names if name in self.pauses]

    def _with(self, name: str, pause: Pause | None) -> Narrow:
        version = self.version + 1
        pauses = {other: kept for other, kept in self.pauses.items() if other != name}
        if pause is not None:
            pauses[name] = pause._replace(version=version)
        return Narrow(pauses, version)


NONE: Final = Narrow()
