"""Tokens as an administrator handles them: the how-to page, done, and the command line beside it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.support.dev_process import dev, environment
from tests.support.pages import Page


@pytest.mark.slow
def test_the_how_to_page_works_as_it_says(tmp_path: Path) -> None:
    """Q-2, Q-11, spec 00-6: the first admin, a producer, a worker within its policy, rotation, revocation."""
    with dev(tmp_path / "data", "--auth", "required", "--no-worker") as running:
        token_file = tmp_path / "data/admin-token"
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        env = environment({"SLUICEGATE_URL": running.url, "SLUICEGATE_REDIS_URL": running.redis_url})
        ran = Page("docs/how-to/worker-tokens.md").run(tmp_path, env)
        assert ran.status == 0, ran.errors
        assert '"jobs":[{' in (tmp_path / "claim.json").read_text().replace(" ", "")
        assert '"code":"worker_auth_failed"' in ran.outputs[-1].replace(" ", "")
        assert "builder-1" in ran.outputs[3]
        for name in ("ann", "ci", "builder"):
            secret = (tmp_path / f"{name}.token").read_text().strip()
            assert secret.startswith(("sgop_", "sgwt_"))
            assert secret not in running.log.read_text()
