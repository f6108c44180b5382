"""The page of the pauses: of all workers and narrower ones, with the drain's progress (P-8, P-12, P-13)."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from services.control.dashboard.board import look
from services.control.dashboard.forms import Filled, as_utc
from services.control.handlers.pages import page, shown
from sluicegate.errors import RequestError
from sluicegate.http import STORE, identity
from sluicegate.operations import audit, narrow_pauses, pause
from sluicegate.operations.calls import AuditQuery

LATEST: Final = 5


@page
async def show(request: web.Request) -> web.Response:
    return await _shown(request)


@page
async def change(request: web.Request) -> web.Response:
    """One of the page's forms: of all workers, or of a narrower pause."""
    filled = await Filled.read(request)
    narrow = filled.get("form") == "narrow"
    store, actor = request.app[STORE], identity(request).user_id
    until = {"until": as_utc(filled.get("until"))} if filled.get("until") else {}
    try:
        if narrow:
            await narrow_pauses.change(
                store, filled.call(narrow_pauses.NarrowPauseCall, **until), actor=actor
            )
        else:
            await pause.change(store, filled.call(pause.PauseCall, **until), actor=actor)
    except RequestError as error:
        filled.refused(error)
        return await _shown(request, **{"narrow" if narrow else "fleet": filled}, status=error.status)
    raise web.HTTPSeeOther("/pauses")


async def _shown(
    request: web.Request, *, fleet: Filled | None = None, narrow: Filled | None = None, status: int = 200
) -> web.Response:
    store = request.app[STORE]
    board = await look(store, with_drain=True)
    system = board.system
    latest = await audit.page(store, AuditQuery(control="worker_pause", limit=LATEST))
    return await shown(
        request,
        "pauses.html",
        status=status,
        board=board,
        latest=latest.items,
        fleet=fleet or Filled.of(mode=system.mode or "drain", reason=system.reason, until=system.until),
        resume=fleet if fleet and fleet.get("action") == "resume" else Filled(),
        narrow=narrow or Filled.of(mode="drain"),
        live="/events?parts=strip,drain",
    )
