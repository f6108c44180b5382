"""The secrets that a development deployment draws for itself."""

from __future__ import annotations

from pathlib import Path

from sluicegate.dev.own_secrets import LIVE_KEY, admin_token, live_keys
from sluicegate.sealing import SealingKeys


def test_each_is_drawn_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    """70-25: what was sealed before a restart opens after it."""
    keys, token = live_keys(tmp_path), admin_token(tmp_path)
    assert len(SealingKeys.read(keys)) == 1
    assert (live_keys(tmp_path), admin_token(tmp_path)) == (keys, token)
    assert token.startswith("sgop_dev_")
    assert (tmp_path / LIVE_KEY).stat().st_mode & 0o777 == 0o600
