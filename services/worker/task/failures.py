"""The end of a failed attempt: its class, which `heal.classify` knows, and what is said of it."""

from __future__ import annotations

import re
from typing import Final, Literal

from services.worker.heal import screen
from services.worker.heal.strategy import RETRIED
from sluicegate.failure_rules import FailureClass
from sluicegate.worker.outcome import JobFailed

MAX_MESSAGE: Final = 1000

_GIT_SAYS: Final = re.compile(r"^(?:fatal|error|remote|ERROR):|^ ! \[|^!\t")
_NO_MEANING: Final = re.compile(r"[\W_]*")


def failed(message: str, failure_class: FailureClass | Literal["stuck_no_progress"]) -> JobFailed:
    """The end of the attempt. The message is redacted where it is stored."""
    return JobFailed(message[:MAX_MESSAGE], retryable=failure_class in RETRIED, failure_class=failure_class)


def git_says(output: bytes) -> str:
    """Git's own complaint, without its progress and hints; the last line when it did not complain."""
    said = [line.strip() for line in screen.lines(output) if _GIT_SAYS.match(line)]
    return "; ".join(dict.fromkeys(said)) or last_words(output)


def last_words(output: bytes | str) -> str:
    """The last line that says something; empty when none does."""
    for line in reversed(screen.lines(output)):
        if not _NO_MEANING.fullmatch(line):
            return line.strip()[:MAX_MESSAGE]
    return ""
