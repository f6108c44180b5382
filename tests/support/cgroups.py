"""Cgroups of one's own, where this machine gives them to whoever runs the tests."""

from __future__ import annotations

import pytest

from sluicegate.worker.process.guard import cgroup


def require() -> str:
    """The folder in which they can be made; else the test is skipped. No machine owes them to anybody."""
    home = cgroup.home()
    if home == "-":
        pytest.skip("needs a cgroup (version 2) in which others can be made")
    return home
