"""Secrets of a development deployment that nobody set: made once, kept in its folder for its owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from sluicegate.sealing import new_key

ADMIN_TOKEN: Final = "admin-token"  # noqa: S105 - the name of its file
LIVE_KEY: Final = "live-key"


def admin_token(data_dir: Path) -> str:
    """The first admin's, where tokens are asked for."""
    return _kept(data_dir / ADMIN_TOKEN, f"sgop_dev_{secrets.token_urlsafe(32)}")


def live_keys(data_dir: Path) -> str:
    """What seals the ways to write into live sessions, as SLUICEGATE_LIVE_KEYS takes it."""
    return _kept(data_dir / LIVE_KEY, new_key("dev"))


def _kept(path: Path, text: str) -> str:
    """What is in the file; this text from the first call on."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
    new.replace(path)
    return text
