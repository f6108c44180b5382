"""Rules, their tests, their runbooks and the code say the same (Q-15, Q-17, P-11)."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from sluicegate.cli.main import main
from tests.support import tools
from tests.support.metric_names import FAMILIES, JOBS, names_in

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RUNBOOKS = ROOT / "docs/runbooks"
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
SECTIONS = ["What it means", "What it costs", "Look", "Do", "Afterwards"]
CODE = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def rules(name: str) -> list[dict[str, Any]]:
    read = yaml.safe_load((PROMETHEUS / "rules" / name).read_text())
    return [rule for group in read["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}
RECORDED = {rule["record"] for rule in rules("records.yml")}
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.name != "README.md")


@cache
def cases() -> list[dict[str, Any]]:
    """Every case of every unit test of the rules."""
    tests = [
        test
        for path in sorted((PROMETHEUS / "tests").glob("*.yml"))
        for test in yaml.safe_load(path.read_text())["tests"]
    ]
    return [case for test in tests for case in test.get("alert_rule_test", [])]


def page_of(alert: str) -> Path:
    """The page that the alert's address leads to."""
    address = ALERTS[alert]["annotations"]["runbook_url"]
    found = re.fullmatch(r"https://docs\.example\.com/sluicegate/docs/runbooks/([a-z-]+)\.html", address)
    assert found, f"{alert} has no runbook_url of the usual form"
    return RUNBOOKS / f"{found[1]}.md"


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_what_is_wrong_and_leads_to_its_page(name: str) -> None:
    alert = ALERTS[name]
    assert name.startswith("Sluicegate")
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert page_of(name).is_file()
    assert f"Alert `{name}`, severity {alert['labels']['severity']}." in page_of(name).read_text()


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_is_tested_firing_and_silent(name: str) -> None:
    own = [case for case in cases() if case["alertname"] == name]
    assert any(case.get("exp_alerts") for case in own), "never fires in the tests"
    assert any(not case.get("exp_alerts") for case in own), "is never silent in the tests"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_belongs_to_an_alert_and_has_all_that_is_needed_at_night(page: Path) -> None:
    assert page in {page_of(name) for name in ALERTS}
    text = page.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert f"({page.name})" in (RUNBOOKS / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_exist(page: Path) -> None:
    """With these options, and all that they need."""
    text = page.read_text()
    blocks = [line for kind, block in CODE.findall(text) if kind == "sh" for line in block.splitlines()]
    inline = re.findall(r"`(sluicegate [^`]+)`", CODE.sub("", text))
    for line in [*blocks, *(" ".join(each.split()) for each in inline)]:
        program, *words = shlex.split(line)
        assert program == "sluicegate", line
        parse(main, words)


def parse(command: click.Command, words: list[str]) -> None:
    """As the command line would, without doing anything."""
    context = click.Context(command, info_name="sluicegate")
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    command.make_context(name, words, parent=context)


def test_every_metric_that_is_used_exists() -> None:
    """In rules, their tests, dashboards, and what the pages ask for."""
    asked = [block for page in PAGES for kind, block in CODE.findall(page.read_text()) if kind == "promql"]
    files = [*PROMETHEUS.glob("rules/*.yml"), *PROMETHEUS.glob("tests/*.yml"), *DASHBOARDS]
    used = names_in("\n".join([*asked, *(path.read_text() for path in files)]))
    assert used - FAMILIES - RECORDED == set()


def test_what_is_recorded_is_used() -> None:
    """By an alert or a dashboard: a rule that nobody reads costs on every evaluation."""
    texts = [PROMETHEUS / "rules/alerts.yml", *DASHBOARDS]
    assert RECORDED - names_in("\n".join(path.read_text() for path in texts)) == set()


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    """Grafana skips a panel that lies outside its grid or on another, and says nothing."""
    board = json.loads(path.read_text())
    panels = board["panels"]
    assert board["uid"] == f"sluicegate-{path.stem}"
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert own and not own & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= own
        assert panel["targets"] and all(target["expr"] for target in panel["targets"])


def test_grafana_is_told_of_every_dashboard() -> None:
    """By the folder that it reads, and a source of data that they can choose."""
    told = ROOT / "deploy/grafana/provisioning"
    (provider,) = yaml.safe_load((told / "dashboards/sluicegate.yml").read_text())["providers"]
    (source,) = yaml.safe_load((told / "datasources/prometheus.yml").read_text())["datasources"]
    assert (provider["type"], provider["options"]["path"]) == ("file", "/etc/grafana/dashboards")
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert {path.stem for path in DASHBOARDS} == {"overview", "workers", "self-heal", "store"}


@pytest.mark.slow
@pytest.mark.needs("promtool")
def test_the_rules_do_as_their_tests_say() -> None:
    """Q-15, Q-17, P-11: each alert fires when it should, and not before."""
    promtool = tools.require("promtool")
    files = [str(path) for path in sorted((PROMETHEUS / "tests").glob("*.yml"))]
    for words in (["check", "config", str(PROMETHEUS / "prometheus.yml")], ["test", "rules", *files]):
        done = subprocess.run([promtool, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("promtool")
def test_pods_become_the_jobs_that_the_rules_know(tmp_path: Path) -> None:
    """All but the discovery itself, which Debian's Prometheus was built without."""
    config = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text())
    (scrape,) = config["scrape_configs"]
    keep, *others = scrape["relabel_configs"]
    assert keep["action"] == "keep"
    renamed = [each for each in others if each.get("target_label") == "job"]
    jobs = set()
    for name in keep["regex"].split("|"):
        job = name
        for each in renamed:
            if found := re.fullmatch(each["regex"], job):
                job = found.expand(each["replacement"].replace("$1", r"\1"))
        jobs.add(job)
    assert jobs == JOBS
    del scrape["kubernetes_sd_configs"], config["rule_files"]
    file = tmp_path / "kubernetes.yml"
    file.write_text(yaml.safe_dump(config))
    words = [tools.require("promtool"), "check", "config", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
