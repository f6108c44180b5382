"""Tools that tests need: an absent one skips the test by name, or fails it with SLUICEGATE_TEST_STRICT=1."""

from __future__ import annotations

import os
import shutil

import pytest

OTHER_NAMES = {"chromium": ("chromium", "chromium-browser", "google-chrome")}


def path_of(tool: str) -> str | None:
    """Where the tool is, under whichever of its names; None when it is absent."""
    found = (shutil.which(name) for name in OTHER_NAMES.get(tool, (tool,)))
    return next((path for path in found if path), None)


def require(tool: str) -> str:
    """The path of the tool; else the test that asks is skipped, or fails where every tool must be there."""
    if path := path_of(tool):
        return path
    if os.environ.get("SLUICEGATE_TEST_STRICT") == "1":
        pytest.fail(f"needs {tool}, which is not installed (SLUICEGATE_TEST_STRICT=1)", pytrace=False)
    pytest.skip(f"needs {tool}, which is not installed")
