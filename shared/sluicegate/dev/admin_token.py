"""The first admin's token of a development deployment that asks for tokens: made once, kept in its folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

NAME = "admin-token"


def admin_token(data_dir: Path) -> str:
    """The token in the folder, drawn at the first call; only the folder's owner can read it."""
    path = data_dir / NAME
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        text = f"sgop_dev_{secrets.token_urlsafe(32)}"
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
    new.replace(path)
    return text
