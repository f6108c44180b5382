"""The class of a failure, by rules that are data: the first that holds decides (H-3, 70-30).

Text can lie: a test that expects a 401 prints one when it fails. So the rules that are built in search
only the last lines, less those that are a test's own: what a test runner printed up to its verdict, and
comparisons of expected with received. What stays in doubt is `transient_runtime`: being wrong about that
costs a few attempts, which the budget and the no-progress detector bound; a wrong `deterministic_*` would
cost the job. Rules of the settings come first and are trusted: they search the lines as they are.
"""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from services.worker.heal import screen
from services.worker.heal.rules import ALSO_AFTER, ANOTHER_TOOL, OF_TESTS, SHIPPED, VERDICTS
from sluicegate.failure_rules import ANY_SIGNAL, FLAGS, FailureClass, FailureRule

UNKNOWN: Final = "unknown"


class Verdict(NamedTuple):
    failure_class: FailureClass
    rule: str
    """The name of the rule that held; `unknown` when none did."""


def classify(
    output: bytes | str,
    own: Sequence[FailureRule] = (),
    *,
    exit_code: int | None = None,
    signal: int | None = None,
) -> Verdict:
    """What a failed command's ending means: its exit code, or the number of the signal that ended it.

    output: all that is kept of it, redacted. own: the rules of the settings.
    """
    said = [line for line in screen.lines(output) if line.strip()]
    for rules, searched in ((own, said), (SHIPPED, without_tests(said))):
        for rule in rules:
            if _holds(rule, searched, exit_code, signal):
                return Verdict(rule.failure_class, rule.name)
    return Verdict("transient_runtime", UNKNOWN)


def without_tests(said: Sequence[str]) -> list[str]:
    """The lines that no test printed: those after the last verdict, without comparisons."""
    start = 0
    for at, line in enumerate(said):
        if VERDICTS.search(line):
            start = at + 1
        elif ALSO_AFTER.search(line):
            rest = range(at + 1, len(said))
            start = next((each for each in rest if ANOTHER_TOOL.search(said[each])), len(said))
    return [line for line in said[start:] if not OF_TESTS.search(line)]


def _holds(rule: FailureRule, said: Sequence[str], exit_code: int | None, number: int | None) -> bool:
    if rule.exit_codes and exit_code not in rule.exit_codes:
        return False
    if rule.signals and not _is_one_of(number, rule.signals):
        return False
    if rule.pattern is None:
        return True
    return compiled(rule.pattern).search("\n".join(said[-rule.lines :])) is not None


def _is_one_of(number: int | None, names: Iterable[str]) -> bool:
    if number is None:
        return False
    return ANY_SIGNAL in names or any(number == signals.Signals[name] for name in names if name != ANY_SIGNAL)


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, FLAGS)
