"""A real Prometheus on loopback, with the configuration and the rules of `deploy/`."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from sluicegate.dev.embedded_store import free_port
from sluicegate.dev.tethered import tethered
from tests.support import tools
from tests.support.wait import until_sync

DEPLOYED = Path(__file__).parents[2] / "deploy/prometheus"


class Sample(Struct, frozen=True):
    labels: dict[str, str]
    value: float

    @property
    def text(self) -> str:
        named = ",".join(
            f"{name}={value}" for name, value in sorted(self.labels.items()) if name != "__name__"
        )
        return f"{named or 'value'} {self.value:.6g}"


class Prometheus(Struct, frozen=True):
    url: str

    def ask(self, expr: str) -> list[Sample]:
        """What the query gives now, numbers only. A query that cannot be evaluated fails the test."""
        found = self._get("query", query=expr)["result"]
        samples = [Sample(each["metric"], float(each["value"][1])) for each in found]
        return [each for each in samples if not math.isnan(each.value)]

    def rules(self) -> list[dict[str, Any]]:
        """Every rule, with its health and its last error."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> dict[str, str]:
        """Of each address that it scrapes: how that went."""
        return {each["scrapeUrl"]: each["health"] for each in self._get("targets")["activeTargets"]}

    def labels(self, name: str) -> set[str]:
        """Every value that this label has ever had."""
        return set(self._get(f"label/{name}/values"))

    def label_names(self) -> set[str]:
        return set(self._get("labels"))

    def _get(self, path: str, **query: str) -> Any:
        asked = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query or path}: {error.read().decode()}") from error


@contextmanager
def prometheus(folder: Path, addresses: Mapping[str, str]) -> Iterator[Prometheus]:
    """Scrapes these addresses each second, by the job names of `deploy/`; all of it in `folder`."""
    config = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOYED / name) for name in config["rule_files"]]
    for scrape in config["scrape_configs"]:
        del scrape["dns_sd_configs"]
        scrape["static_configs"] = [{"targets": [addresses[scrape["job_name"]]]}]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        tools.require("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=1h", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            tethered(command, end_with=signal.SIGTERM), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            until_sync(lambda: _is_ready(port), "prometheus is ready", 30)
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(20)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
