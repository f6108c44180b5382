"""Tools that tests need: an absent one skips the test by name, or fails it with SLUICEGATE_TEST_STRICT=1."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

OTHER_NAMES = {"chromium": ("chromium", "chromium-browser", "google-chrome")}


def path_of(tool: str) -> str | None:
    """Where the tool is, under whichever of its names; None when it is absent."""
    found = (shutil.which(name) for name in OTHER_NAMES.get(tool, (tool,)))
    return next((path for path in found if path), None)


def require(tool: str) -> str:
    """The path of the tool; else the test that asks is skipped, or fails where every tool must be there."""
    return path_of(tool) or lacking(f"{tool}, which is not installed")


def lacking(what: str) -> NoReturn:
    """Skip the test that needs it, or fail it where everything must be there."""
    if os.environ.get("SLUICEGATE_TEST_STRICT") == "1":
        pytest.fail(f"needs {what} (SLUICEGATE_TEST_STRICT=1)", pytrace=False)
    pytest.skip(f"needs {what}")
