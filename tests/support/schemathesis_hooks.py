"""Loaded by schemathesis (SCHEMATHESIS_HOOKS): a claim that may wait for work does not wait long."""

from __future__ import annotations

from typing import Any

import schemathesis

LONGEST_SECONDS = 30


@schemathesis.hook
def before_call(context: Any, case: Any, **_: Any) -> None:
    body = case.body if isinstance(case.body, dict) else {}
    arguments = body.get("arguments")
    for each in (body, arguments if isinstance(arguments, dict) else {}):
        wait = each.get("waitSeconds")
        if isinstance(wait, int | float) and 0 < wait <= LONGEST_SECONDS:
            each["waitSeconds"] = 0.01
