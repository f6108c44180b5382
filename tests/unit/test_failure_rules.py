"""Rules of the settings: read from the file and the environment, refused by name (H-3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sluicegate.errors import ConfigurationError
from sluicegate.failure_rules import FailureRule, FailureRules
from sluicegate.settings import WorkerSettings, load

GOOD: dict[str, Any] = {"name": "licence", "class": "transient_runtime", "exit_codes": [3]}


def read(value: Any) -> FailureRules:
    return load(WorkerSettings, environ={"SLUICEGATE_FAILURE_RULES": json.dumps(value)}).failure_rules


def test_the_file_and_the_environment_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        "[[failure_rules]]\nname = 'licence'\nclass = 'transient_runtime'\nexit_codes = [3]\n"
        "[[failure_rules]]\nname = 'b'\nclass = 'deterministic_repo'\nsignals = ['any']\n"
        "pattern = 'a b'\nlines = 3\n"
    )
    rules = load(WorkerSettings, environ={}, config=tmp_path / "x.toml").failure_rules
    assert rules == (
        FailureRule(name="licence", failure_class="transient_runtime", exit_codes=(3,)),
        FailureRule(name="b", failure_class="deterministic_repo", signals=("any",), pattern="a b", lines=3),
    )
    assert read([GOOD]) == rules[:1]
    assert load(WorkerSettings, environ={}).failure_rules == ()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"name": "x"}, "rules are a list of tables"),
        ([{}], "rule 1: Object missing required field `name`"),
        (["x"], "rule 1: Expected `object`"),
        ([GOOD, GOOD], "more than one rule is called licence"),
        ([GOOD | {"name": "No Blanks"}], "rule 'No Blanks': name: "),
        ([GOOD | {"class": "flaky"}], "rule 'licence': class: must be one of transient_runtime, "),
        ([GOOD | {"class": "stuck_no_progress"}], "rule 'licence': class: must be one of "),
        ([GOOD | {"exit_codes": [0]}], "rule 'licence': exit_codes[0]: "),
        ([GOOD | {"exit_codes": []}], "rule 'licence': it has no condition"),
        ([GOOD | {"exit_code": 3}], "rule 'licence': Object contains unknown field `exit_code`"),
        ([GOOD | {"signals": ["KILL"]}], "rule 'licence': signals: 'KILL' is no signal"),
        ([GOOD | {"pattern": "("}], "rule 'licence': pattern: '(' is no regular expression: missing )"),
        ([GOOD | {"pattern": ""}], "rule 'licence': pattern: "),
        ([GOOD | {"lines": 0}], "rule 'licence': lines: "),
    ],
)
def test_a_wrong_rule_is_named(value: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(value)
    assert said in caught.value.detail
    assert caught.value.detail.startswith("SLUICEGATE_FAILURE_RULES=")


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not JSON"):
        load(WorkerSettings, environ={"SLUICEGATE_FAILURE_RULES": "licence"})
