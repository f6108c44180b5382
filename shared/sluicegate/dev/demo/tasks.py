"""The tasks that the demo enqueues, as any producer would write them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any, Final

from sluicegate.dev.demo.repository import MAIN
from sluicegate.model import NewJob

BRANCH: Final = "demo/mean-of-nothing"
COMMIT_MESSAGE: Final = "Give the mean of nothing as 0"
FIXED: Final = "return sum(numbers) / len(numbers) if numbers else 0"
PROCESSES: Final = 3
"""The stuck task's own: its shell, a child, and one that detached itself."""

_PYTHON: Final = shlex.quote(sys.executable)
_FIX: Final = f"""\
if said=$({_PYTHON} -m unittest --quiet 2>&1); then
    echo "the tests pass, so there is nothing to fix"
    exit 1
fi
echo "the tests before: $(echo "$said" | tail -n 1)"
{_PYTHON} - <<'CODE'
from pathlib import Path

path = Path("tinystats/mean.py")
path.write_text(path.read_text().replace("return sum(numbers) / len(numbers)", {FIXED!r}))
CODE
echo "changed tinystats/mean.py"
"""
_TEST: Final = f"{_PYTHON} -m unittest --verbose\n"
_CHANGELOG: Final = "echo '- The mean of nothing is 0.' >> CHANGELOG.md\ncat CHANGELOG.md\n"
_STUCK: Final = """\
trap '' INT TERM
echo "an agent that hears no signal, with children that do not either"
sleep 3600 &
(sleep 3600 &)
wait
"""
HEALED_BRANCH: Final = "demo/median"
IDLE_SECONDS: Final = 2.0
_MEDIAN: Final = """\
cat > tinystats/median.py <<'CODE'
def median(numbers):
    return sorted(numbers)[len(numbers) // 2]
CODE
echo "wrote tinystats/median.py"
"""
_HANGING: Final = f"""\
if [ "$SLUICEGATE_STEP_ATTEMPT" = 1 ]; then
    echo "waiting for an answer that never comes"
    sleep 3600 &
    wait
fi
echo "told: $({_PYTHON} -c 'import json, os
print(json.load(open(os.environ["SLUICEGATE_RETRY_CONTEXT"]))["failureSummary"])')"
{_PYTHON} -c 'from tinystats.median import median; assert median([3, 1, 2]) == 2'
echo "the median is right"
"""
COLLECTED: Final = "collected 3 samples"
_COLLECT: Final = f"seq 3 > samples.txt\necho '{COLLECTED}'\n"
_STORE: Final = """\
if [ ! -d {database} ]; then
    echo 'the database cannot be reached' >&2
    exit 1
fi
cp samples.txt {database}/
echo "stored $(wc -l < samples.txt) samples"
"""


def healthy(origin: Path) -> NewJob:
    """Three steps on one workspace, published as a branch."""
    steps = [
        {"id": "fix", "title": "Fix the mean of nothing", "instructions": _FIX},
        {"id": "test", "title": "Run the tests", "instructions": _TEST},
        {"id": "changelog", "title": "Tell the users", "instructions": _CHANGELOG},
    ]
    return _task(
        origin,
        "The mean of an empty list must be 0, as its test says.",
        steps=steps,
        git={"startingBranch": MAIN, "newBranch": BRANCH},
        publish={"mode": "branch", "commitMessage": COMMIT_MESSAGE},
    )


def hanging(origin: Path) -> NewJob:
    """Its second step hangs, and would for an hour; tried again, it does not."""
    steps = [
        {"id": "write", "title": "Write the median", "instructions": _MEDIAN},
        {"id": "check", "title": "Check it", "instructions": _HANGING},
    ]
    return _task(
        origin,
        "Add the median.",
        steps=steps,
        limits={"stepIdleSeconds": IDLE_SECONDS},
        git={"startingBranch": MAIN, "newBranch": HEALED_BRANCH},
    )


def stuck(origin: Path) -> NewJob:
    """Runs for an hour and ignores SIGINT and SIGTERM: for someone to cancel."""
    return _task(origin, _STUCK, publish={"mode": "none"})


def failing(origin: Path, database: Path) -> NewJob:
    """Fails as long as there is no folder `database`: two attempts, then it is a dead letter.

    Its first step succeeds and is kept; the second one needs what the first one made.
    """
    steps = [
        {"id": "collect", "title": "Collect the samples", "instructions": _COLLECT},
        {
            "id": "store",
            "title": "Store them",
            "instructions": _STORE.format(database=shlex.quote(str(database))),
        },
    ]
    return _task(
        origin,
        "Store some samples.",
        steps=steps,
        limits={"stepAttempts": 1},
        publish={"mode": "none"},
        max_attempts=2,
    )


def _task(origin: Path, instructions: str, *, max_attempts: int = 3, **task: Any) -> NewJob:
    payload = {
        "repository": str(origin),
        "targetRuntime": "shell",
        "task": {"instructions": instructions, **task},
    }
    return NewJob(type="task", payload=payload, max_attempts=max_attempts)
