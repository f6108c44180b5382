"""The how-to page of remote workers, done as it says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.dev_process import dev, environment
from tests.support.pages import ROOT, Page
from tests.support.wait import until_sync

PAGE = "docs/how-to/remote-worker.md"
LAST_WORDS = "the token is wrong, was revoked or has expired"


@pytest.mark.slow
def test_the_page_works_as_it_says(tmp_path: Path) -> None:
    """60-3, 70-43: the token, the unit with its settings, a job, the lock-out."""
    page = Page(PAGE, _here(tmp_path))
    with dev(tmp_path / "data", "--auth", "required", "--no-worker") as running, ThreadPoolExecutor() as pool:
        admin = (tmp_path / "data/admin-token").read_text().strip()
        env = environment({"SLUICEGATE_URL": running.url, "SLUICEGATE_TOKEN": admin})
        reading = pool.submit(page.run, tmp_path, env)
        token = tmp_path / "builder.token"
        until_sync(lambda: token.is_file() and token.read_text().strip(), "the token is there", timeout=20)
        worker = subprocess.Popen(
            _command(page),
            env=environment(
                {**_settings(page), "SLUICEGATE_URL": running.url, "SLUICEGATE_METRICS_PORT": "0"}
            ),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            ran = reading.result()
            _, said = worker.communicate(timeout=30)
        finally:
            worker.kill()
            worker.wait()
    assert ran.status == 0, ran.errors
    assert "builder-1" in ran.outputs[1]
    assert "succeeded" in ran.outputs[1]
    assert (worker.returncode, said.splitlines()[-1]) == (1, LAST_WORDS)
    assert LAST_WORDS in (ROOT / PAGE).read_text()
    assert token.read_text().strip() not in said


def _here(folder: Path) -> Callable[[str], str]:
    """The page's places, in the test's folder."""
    places = {"/etc/sluicegate": folder, "/var/lib/sluicegate-worker": folder / "worker"}

    def edit(text: str) -> str:
        for place, here in places.items():
            text = text.replace(place, str(here))
        return text

    return edit


def _command(page: Page) -> list[str]:
    """What systemd would run."""
    found = re.search(
        r"^ExecStart=\S*/sluicegate (.*)$", page.files["sluicegate-worker.service"], re.MULTILINE
    )
    assert found is not None
    return [sys.executable, "-m", "sluicegate", *found[1].split()]


def _settings(page: Page) -> dict[str, str]:
    return dict(line.split("=", 1) for line in page.files["worker.env"].splitlines())
