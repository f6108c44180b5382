"""The how-to page on rules of one's own, done (H-3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.worker.heal.classify import UNKNOWN, classify
from sluicegate.errors import ConfigurationError
from sluicegate.settings import WorkerSettings, load
from tests.support.dev_process import environment
from tests.support.pages import Page

PAGE = Page("docs/how-to/failure-rules.md")


def test_the_rules_of_the_page_mean_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "sluicegate.toml"
    file.write_text(PAGE.files["sluicegate.toml"])
    rules = load(WorkerSettings, environ={}, config=file).failure_rules
    busy, locked = "x\nlmcc: no licence available\n", "deployctl: target prod-eu is locked by ci\n"
    assert classify(busy, rules, exit_code=3) == ("transient_runtime", "licence-in-use")
    assert classify(busy, rules, exit_code=1).rule == UNKNOWN
    assert classify(locked, rules, exit_code=1) == ("deterministic_policy", "target-locked")
    assert classify(locked + "x\n" * 5, rules, exit_code=1).rule == UNKNOWN
    file.write_text(PAGE.files["sluicegate.toml"].replace("deterministic_policy", "for-good"))
    with pytest.raises(ConfigurationError) as caught:
        load(WorkerSettings, environ={}, config=file)
    wrong = "is not allowed: rule 'target-locked': class: must be one of transient_runtime, "
    assert wrong in caught.value.detail


def test_the_commands_of_the_page_show_the_rules(tmp_path: Path) -> None:
    ran = PAGE.run(tmp_path, environment())
    assert ran.status == 0, ran.errors
    assert [" ".join(each.split()) for each in ran.outputs] == [
        "SLUICEGATE_FAILURE_RULES licence-in-use,target-locked changed",
        "SLUICEGATE_FAILURE_RULES target-locked changed",
    ]
