"""What a failed command means: one class for each failure, by rules that are data (H-3, 70-30).

The first rule that fits wins; what none fits may be different next time. Only `transient_runtime` is
worth another attempt.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from sluicegate.worker.outcome import JobFailed

FailureClass = Literal[
    "transient_runtime", "deterministic_contract", "deterministic_policy", "deterministic_repo"
]
RETRYABLE: Final = frozenset({"transient_runtime"})
MAX_MESSAGE: Final = 1000


class Rule(NamedTuple):
    pattern: str
    """Searched in the output, whatever the case."""
    failure_class: FailureClass


GIT_RULES: Final = (
    Rule(r"stale info", "transient_runtime"),
    Rule(
        r"could not resolve host|connection (?:reset|refused|timed out)|timed out|early eof",
        "transient_runtime",
    ),
    Rule(r"temporarily unavailable|returned error: 50[0-9]|hung up unexpectedly", "transient_runtime"),
    Rule(r"repository .*not found|repository not found|does not exist", "deterministic_repo"),
    Rule(r"not a git repository|does not appear to be a git repository", "deterministic_repo"),
    Rule(
        r"remote branch .* not found|couldn't find remote ref|not our ref|unadvertised object",
        "deterministic_repo",
    ),
    Rule(r"non-fast-forward|\[(?:remote )?rejected\]|pre-receive hook declined", "deterministic_repo"),
    Rule(r"dubious ownership|transport .* not allowed", "deterministic_policy"),
    Rule(r"authentication failed|could not read (?:username|password)", "deterministic_policy"),
    Rule(
        r"permission denied|returned error: 40[13]|access denied|host key verification failed",
        "deterministic_policy",
    ),
)
GH_RULES: Final = (
    Rule(r"HTTP 5\d\d|timed out|connection reset|could not resolve host", "transient_runtime"),
    Rule(r"HTTP 40[13]|authentication|bad credentials|resource not accessible", "deterministic_policy"),
    Rule(r"HTTP 404|HTTP 422|could not resolve to a repository", "deterministic_repo"),
)

_COLOURS: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_GIT_SAYS: Final = re.compile(r"^(?:fatal|error|remote|ERROR):|^ ! \[|^!\t")
_NO_MEANING: Final = re.compile(r"[\W_]*")


def classify(output: str, rules: tuple[Rule, ...]) -> FailureClass:
    for rule in rules:
        if re.search(rule.pattern, output, re.IGNORECASE):
            return rule.failure_class
    return "transient_runtime"


def failed(message: str, failure_class: FailureClass) -> JobFailed:
    """The end of the attempt. The message is redacted where it is stored."""
    return JobFailed(message[:MAX_MESSAGE], retryable=failure_class in RETRYABLE, failure_class=failure_class)


def plain(output: bytes) -> str:
    """Output of a command as text for people: no colours, no carriage returns."""
    return _COLOURS.sub("", output.decode("utf-8", "replace")).replace("\r\n", "\n").replace("\r", "\n")


def git_says(output: bytes) -> str:
    """Git's own complaint, without its progress and hints; the last line when it did not complain."""
    lines = plain(output).splitlines()
    said = [line.strip() for line in lines if _GIT_SAYS.match(line)]
    return "; ".join(dict.fromkeys(said)) or last_words(output)


def last_words(output: bytes) -> str:
    """The last line that says something; empty when none does."""
    for line in reversed(plain(output).splitlines()):
        if not _NO_MEANING.fullmatch(line):
            return line.strip()[:MAX_MESSAGE]
    return ""
