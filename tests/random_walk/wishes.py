"""What operators want of one run: that it is held, that steps run again, that its agent is told something."""

from __future__ import annotations

from typing import Final, NamedTuple

UNKNOWN_ID: Final = "?"
"""Drawn by the store, and not read yet."""
IDS: Final = ("recovery_id", "summary_id")


class Asked(NamedTuple):
    """One call of an operator. recovery, summary: JSON; empty for none."""

    action: str
    by: str
    hard: bool = False
    reason: str = ""
    summary: str = ""
    recovery: str = ""


class Wishes(NamedTuple):
    """As the store keeps them with the job. control: how it is held; None until anything was asked."""

    control: str | None = None
    control_by: str | None = None
    control_reason: str | None = None
    recovery: str | None = None
    recovery_id: str | None = None
    summary: str | None = None
    summary_id: str | None = None
    control_version: int = 0

    def ask(self, asked: Asked) -> tuple[str, Wishes]:
        """The word, and what is wanted then."""
        if asked.recovery:
            if self.recovery == asked.recovery:
                return "UNCHANGED", self
            after = self._replace(recovery=asked.recovery, recovery_id=UNKNOWN_ID)
            return "DONE", after._next(self.control or "")
        held = self._held(asked)
        if held == (self.control or ""):
            if asked.action == "resume":
                new = asked.summary and asked.summary != self.summary
                return ("NOT_HELD" if new else "UNCHANGED"), self
            told = asked.reason in ("", self.control_reason)
            if told and (asked.action == "pause" or asked.by == self.control_by):
                return "UNCHANGED", self
        after = self._replace(control_by=asked.by, control_reason=asked.reason or None)
        if asked.summary:
            after = after._replace(summary=asked.summary, summary_id=UNKNOWN_ID)
        return "DONE", after._next(held)

    def answer(self, what: str, request: str) -> tuple[str, Wishes]:
        """The worker's: what is answered is wanted no more."""
        if getattr(self, what) is None or getattr(self, f"{what}_id") != request:
            return "OTHER", self
        return "DONE", self._replace(**{what: None, f"{what}_id": None})._next(self.control or "")

    @property
    def told(self) -> dict[str, str]:
        """What a worker hears of them; not when they were asked for."""
        if self.control is None:
            return {}
        return {name: str(value) for name, value in self._asdict().items() if value is not None}

    def _held(self, asked: Asked) -> str:
        """Whoever took it over has it until the resume; a pause says anew how hard it is."""
        before = set((self.control or "").split())
        match asked.action:
            case "resume":
                return ""
            case "pause":
                held = {"paused"} | ({"hard"} if asked.hard else set()) | (before & {"takeover"})
            case _:
                held = {"paused", "takeover"} | (before & {"hard"})
        return " ".join(each for each in ("paused", "hard", "takeover") if each in held)

    def _next(self, control: str) -> Wishes:
        return self._replace(control=control, control_version=self.control_version + 1)


NO_WISHES: Final = Wishes()
