"""The files of deploy/ pass the validators of their formats, and name only what the code has (60-6)."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml

from services.control.routes import ROUTES as CONTROL
from services.queue_api.routes import ROUTES as QUEUE_API
from sluicegate.cli.main import COMMANDS, main
from sluicegate.http.service import HEALTH
from sluicegate.settings import ControlSettings, QueueApiSettings, SweeperSettings, unknown_variables

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = Path(sys.executable).parent
MANIFESTS = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
OTHERS = {"kustomization.yaml", "rules.yaml"}
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PORTS = {
    QueueApiSettings().queue_api_port, ControlSettings().control_port, SweeperSettings().metrics_port,
}  # fmt: skip
PATHS = {endpoint.path for endpoint in HEALTH}
BETWEEN = r"(?: |[\"'], [\"'])"
COMMANDS_SEEN = rf"sluicegate{BETWEEN}([a-z][a-z-]*)((?:{BETWEEN}--[a-z-]+)*)"

pytestmark = pytest.mark.xdist_group("deploy files")


def ran(*words: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, words)), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@cache
def compose() -> dict[str, Any]:
    """compose.yaml as Docker Compose understands it; it needs no engine for that."""
    done = ran(TOOLS / "docker-compose", "-f", "deploy/compose.yaml", "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.lower()
    return json.loads(done.stdout)


@cache
def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def texts() -> dict[str, str]:
    """Every file of deploy/ that is written by hand, by name; comments are left out."""
    found = {}
    for path in DEPLOY.rglob("*"):
        kinds = {".yaml", ".service", ".sh", ".conf", ""}
        if path.is_file() and path.suffix in kinds and "secrets" not in path.parts:
            lines = (line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
            found[path.relative_to(DEPLOY).as_posix()] = "\n".join(lines)
    return found


def containers() -> list[dict[str, Any]]:
    kinds = ("Deployment", "StatefulSet")
    found = [each for path in MANIFESTS for each in documents(path) if each.get("kind") in kinds]
    assert len(found) == 6
    return [box for each in found for box in each["spec"]["template"]["spec"]["containers"]]


def test_the_linter_of_dockerfiles_has_nothing_to_say() -> None:
    done = ran(TOOLS / "hadolint", "deploy/Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_fit_the_schemas_of_kubernetes(path: Path) -> None:
    if path.name in OTHERS:
        return
    for each in documents(path):
        kubernetes_validate.validate(each, "1.34", strict=True)


def test_the_kustomization_names_every_manifest() -> None:
    (listed,) = documents(DEPLOY / "kubernetes/kustomization.yaml")
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed["resources"]) == there | {"../redis"}
    assert {each["name"] for each in listed["images"]} == {
        box["image"] for box in containers() if box["image"].startswith("sluicegate-")
    }
    (made,) = documents(DEPLOY / "redis/kustomization.yaml")
    assert all(
        (DEPLOY / "redis" / name).is_file() for each in made["configMapGenerator"] for name in each["files"]
    )


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units_are_valid_and_locked_down(unit: Path, tmp_path: Path) -> None:
    """The worker runs other people's programs, which need more than a service does."""
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/sluicegate/bin/sluicegate", sys.executable))
    done = ran("systemd-analyze", "verify", "--man=no", copy)
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []
    most = 30 if unit.stem == "sluicegate-worker" else 15
    judged = ran("systemd-analyze", "security", "--offline=yes", f"--threshold={most}", "--no-pager", copy)
    assert judged.returncode == 0, judged.stdout[-300:]


def test_only_settings_that_exist_are_set() -> None:
    for name, text in texts().items():
        named = set(re.findall(r"SLUICEGATE_[A-Z0-9_]+", text))
        assert unknown_variables(dict.fromkeys(named, "x")) == [], name


def test_only_commands_and_flags_that_exist_are_run() -> None:
    runs = {name: text for name, text in texts().items() if re.match("Dockerfile|kubernetes/|systemd/", name)}
    seen = [found for text in runs.values() for found in re.findall(COMMANDS_SEEN, text)]
    started = {command for command, _ in seen}
    assert {"api", "control", "sweeper", "worker", "drain-hook"} <= started <= set(COMMANDS)
    for command, flags in seen:
        known = main.get_command(click.Context(main), command)
        assert known is not None
        options = {option for parameter in known.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", flags)) <= options


def test_ports_and_paths_are_those_of_the_services() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert {int(port) for port in re.findall(r"^EXPOSE (\d+)$", text, re.MULTILINE)} == PORTS
    for box in containers():
        assert {each["containerPort"] for each in box["ports"]} <= PORTS | {6379}
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            if request := box.get(name, {}).get("httpGet"):
                assert request["path"] in PATHS
    asked = re.findall(r"http://127\.0\.0\.1:(\d+)(/[a-z]+)", json.dumps(compose()["services"]))
    assert {(int(port) in PORTS, path in PATHS) for port, path in asked if port != "9090"} == {(True, True)}


def test_every_container_is_locked_down() -> None:
    """60-6: no root, a root file system that is not written to, no capabilities."""
    for box in containers():
        context = box["securityContext"]
        assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
    for name, service in compose()["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"]
    stages = re.split(r"^FROM ", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    for stage in stages:
        if target := re.match(r"\S+ AS (service|worker|proxy)\b", stage):
            assert re.findall(r"^USER (\S+)$", stage, re.MULTILINE)[-1] == "10001:10001", target[1]


def test_workers_are_drained_before_they_are_stopped() -> None:
    """The time that is left after the hook has to hold the worker's own, else it is killed in the middle."""
    (worker,) = [
        each for each in documents(DEPLOY / "kubernetes/worker.yaml") if each["kind"] == "Deployment"
    ]
    pod = worker["spec"]["template"]["spec"]
    (box,) = pod["containers"]
    hook = box["lifecycle"]["preStop"]["exec"]["command"]
    shutdown = {each["name"]: each["value"] for each in box["env"]}["SLUICEGATE_WORKER_SHUTDOWN_SECONDS"]
    assert int(hook[-1]) + float(shutdown) < int(pod["terminationGracePeriodSeconds"])
    unit = (DEPLOY / "systemd/sluicegate-worker.service").read_text()
    assert "drain-hook --pid $MAINPID --timeout 3600" in unit and "TimeoutStopSec=3720" in unit


def test_users_and_secrets_are_there() -> None:
    users = set(
        re.findall(r"^user (sluicegate_\w+) on", (DEPLOY / "redis/users.acl").read_text(), re.MULTILINE)
    )
    for name, text in texts().items():
        assert set(re.findall(r"(?:redis://|--user )(sluicegate_\w+)", text)) <= users, name
    made = (DEPLOY / "make-secrets.sh").read_text()
    loop = re.search(r"^for user in (.+); do$", made, re.MULTILINE)
    assert loop
    names = {*shlex.split(loop[1]), *re.findall(r"^make (\w+) ", made, re.MULTILINE)}
    assert set(compose()["secrets"]) == names
    units = {name for path in UNITS for name in re.findall(r"secrets/(\w+)$", path.read_text(), re.MULTILINE)}
    assert units <= names


def test_the_proxy_sends_each_address_where_it_is_answered() -> None:
    """60-1: behind one address."""
    text = (DEPLOY / "proxy/nginx.conf").read_text()
    here = re.findall(r"location (=? ?)(/\S*) \{ include forward.conf; proxy_pass http://(\w+);", text)
    for service, routes in {"queue_api": QUEUE_API, "control": CONTROL}.items():
        for endpoint in routes:
            fits = [
                (len(path), to) for exact, path, to in here
                if (endpoint.path == path if exact else endpoint.path.startswith(path))
            ]  # fmt: skip
            assert max(fits)[1] == service, endpoint.path
    names = set(re.findall(r"server ([a-z-]+):", (DEPLOY / "proxy/upstreams.conf").read_text()))
    scraped = re.findall(r"names: \[([a-z-]+)\]", (DEPLOY / "prometheus/prometheus.yml").read_text())
    assert names < set(scraped) <= set(compose()["services"])


@pytest.mark.parametrize("name", ["runtime", "build"])
def test_images_are_made_of_what_is_tested(name: str) -> None:
    pin = re.compile(r"^([a-z0-9_.-]+)(?:\[\S+\])?==(\S+)", re.MULTILINE)
    tested = dict(pin.findall((ROOT / "requirements.lock").read_text()))
    pinned = dict(pin.findall((DEPLOY / f"{name}.lock").read_text()))
    assert pinned and pinned.items() <= tested.items()
