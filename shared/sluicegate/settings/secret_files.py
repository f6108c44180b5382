"""Secrets that stand in files."""

from __future__ import annotations

from pathlib import Path

from sluicegate.errors import ConfigurationError


def read_secret(variable: str, path: Path) -> str:
    """What is in a file, without white space around it. Raises ConfigurationError, also for an empty one."""
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{variable}={str(path)!r} cannot be read: {error}") from error
    if not text:
        raise ConfigurationError(f"{variable}={str(path)!r} is empty")
    return text
