"""A stream looks at its caller again, however busy it is (Q-2)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from sluicegate.errors import Unauthenticated
from sluicegate.http import IDENTITIES, SETTINGS, Admission


class Doorkeeper:
    def __init__(self) -> None:
        self.asked = 0
        self.lets_in = True

    async def admit(self, *_: Any) -> None:
        self.asked += 1
        if not self.lets_in:
            raise Unauthenticated("revoked")


@pytest.mark.parametrize(("every", "asked"), [(0.0, 5), (3600.0, 0)])
async def test_it_asks_once_per_keepalive(every: float, asked: int) -> None:
    keeper = Doorkeeper()
    app = {IDENTITIES: keeper, SETTINGS: SimpleNamespace(sse_keepalive_seconds=every)}
    request = cast(web.Request, SimpleNamespace(app=app, headers={}))
    admission = Admission(request, "viewer")
    assert [await admission.holds() for _ in range(5)] == [True] * 5
    assert keeper.asked == asked
    keeper.lets_in = False
    assert await admission.holds() == (every > 0)
