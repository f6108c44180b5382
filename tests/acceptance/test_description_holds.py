"""60-1: live services answer as their own description says, whatever they are sent (schemathesis)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

import pytest

from tests.support.programs import Programs, programs

ROOT = Path(__file__).parents[2]
ADMIN = "admin-of-the-first-hour-0123456789abcdef"
ENDLESS = r"stream$|controls$"
"""Streams have tests of their own: they end with their client."""
NOT_CHECKED = "positive_data_acceptance,allow_header_conformance,missing_required_header"
"""Some rules are finer than a schema can tell; GET is allowed on /jobs/claim, as on a job of that id; and a
request that lacks one of the two credentials still has the other."""


class Credentials(NamedTuple):
    operator: str
    worker: str


@pytest.fixture
def started(store_url: str, tmp_path: Path) -> Iterator[Programs]:
    with programs(store_url, tmp_path) as started:
        yield started


async def served(started: Programs, service: str) -> tuple[str, Credentials]:
    """A service that wants credentials, and those of an admin and of worker-1."""
    required = {"AUTH": "required", "BOOTSTRAP_ADMIN_TOKEN": ADMIN}
    _, api = await started.service("queue_api", **required)
    call = Request(
        f"{api}/api/queue/workers/tokens",
        data=json.dumps({"workerId": "worker-1"}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {ADMIN}"},
    )
    with urlopen(call) as answer:
        token = json.load(answer)["token"]
    url = api if service == "queue_api" else (await started.service(service, **required))[1]
    return url, Credentials(ADMIN, token)


def fuzz(url: str, who: Credentials, folder: Path) -> str:
    """What schemathesis says at its end of all its phases; an assertion when it found anything."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json",
        "--seed", "1", "--generation-database", "none", "--continue-on-failure", "--no-color",
        "--checks", "all", "--exclude-checks", NOT_CHECKED, "--exclude-path-regex", ENDLESS,
        "--request-timeout", "20", "--max-examples", "4", "-H", f"Authorization:Bearer {who.operator}",
        "-H", f"X-Worker-Token:{who.worker}",
    ]  # fmt: skip
    environment = {
        **os.environ, "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def operations_tested(said: str) -> int:
    found = re.search(r"Tested: (\d+)", said)
    assert found, said
    return int(found[1])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("service", "least"), [("queue_api", 35), ("control", 5)])
async def test_no_fault_and_no_status_that_is_not_described(
    started: Programs, tmp_path: Path, service: str, least: int
) -> None:
    """60-1, 00-5: no 5xx, no other status, code, shape or media type than the description has, whatever is
    sent: examples, boundary values, and calls that follow from the answers of others."""
    url, who = await served(started, service)
    said = fuzz(url, who, tmp_path)
    print(said[said.index("SUMMARY") :])
    assert operations_tested(said) >= least
    faults = [line for program in started.started for line in program.lines("request_failed")]
    assert faults == []
