"""A task is described by flags: where each goes, what it wins over, what is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluicegate.cli.task_flags import PLACES, put_into, taken_from
from sluicegate.operations.task_payload import check
from sluicegate.settings import Settings


def taken(**given: str) -> dict[str, str]:
    return taken_from({**dict.fromkeys(PLACES), **given}, lambda name: f"the text of {name}")


def test_a_task_of_flags_alone_is_one_that_can_be_enqueued() -> None:
    """70-27: every flag has its field in the payload, and together they are enough."""
    task = taken(
        repo="acme/web", runtime="claude", instructions="Fix it", model="opus", effort="high", branch="fix"
    )
    job = put_into({"type": "task", "priority": 3}, task)
    assert job == {
        "type": "task",
        "priority": 3,
        "payload": {
            "repository": "acme/web",
            "task": {
                "instructions": "Fix it",
                "runtime": {"mode": "claude", "model": "opus", "effort": "high"},
                "git": {"newBranch": "fix"},
            },
        },
    }
    assert check(job["payload"], Settings()).runtime == "claude"


def test_flags_win_over_a_file_and_leave_the_rest() -> None:
    payload: dict[str, Any] = {
        "repository": "acme/a",
        "targetRuntime": "shell",
        "task": {"instructions": "true", "runtime": {"model": "m"}, "steps": [{"id": "one"}]},
    }
    job = {"type": "task", "payload": payload}
    assert put_into(job, {}) is job
    made = put_into(job, taken(runtime="codex", instructions="@words.md"))["payload"]
    assert made == {
        "repository": "acme/a",
        "task": {
            "instructions": "the text of words.md",
            "runtime": {"model": "m", "mode": "codex"},
            "steps": [{"id": "one"}],
        },
    }
    assert payload["targetRuntime"] == "shell"


@pytest.mark.parametrize("payload", ["x", None, {"task": "x"}, {"task": {"runtime": []}}])
def test_what_is_no_task_is_left_for_the_server_to_refuse(payload: Any) -> None:
    made = put_into({"payload": payload}, taken(model="m"))
    assert made == {"payload": payload}


def test_a_place_on_this_machine_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server stands elsewhere; `owner/name` is no path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere")
    assert taken(repo=".") == {"repo": str(tmp_path.resolve())}
    assert taken(repo="~/web.git") == {"repo": "/somewhere/web.git"}
    assert taken(repo="acme/web") == {"repo": "acme/web"}
