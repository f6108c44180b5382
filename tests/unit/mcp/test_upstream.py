"""What makes a call safe to send again when its answer was lost (Q-13, Q-16)."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.mcp.upstream import safe_to_repeat
from sluicegate.model import ID_PATTERN
from sluicegate.operations.tools import BY_NAME, TOOLS


def test_an_id_is_drawn_where_none_was_given() -> None:
    """Q-13, Q-16"""
    job = safe_to_repeat(BY_NAME["queue.enqueue"], {"type": "echo"})
    assert job["type"] == "echo"
    assert ID_PATTERN.match(job["id"])
    claim = safe_to_repeat(BY_NAME["queue.claim"], {"workerId": "w", "leaseSeconds": 30})
    assert claim["requestId"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("queue.enqueue", {"type": "echo", "id": "mine"}),
        ("queue.enqueue", {"type": "echo", "idempotencyKey": "mine"}),
        ("queue.claim", {"workerId": "w", "leaseSeconds": 30, "requestId": "mine"}),
        ("queue.cancel", {"jobId": "x"}),
    ],
)
def test_what_was_given_stays(tool: str, arguments: dict[str, Any]) -> None:
    assert safe_to_repeat(BY_NAME[tool], arguments) == arguments


def test_every_tool_is_safe_to_repeat() -> None:
    """It reads, has no further effect, or draws what makes it so."""
    assert all(tool.reads or tool.repeatable or tool.draws for tool in TOOLS)
