"""The page of the workers: who is there, and what they do."""

from __future__ import annotations

from aiohttp import web

from services.control.dashboard.board import look
from services.control.handlers.pages import page, shown
from sluicegate.http import STORE


@page
async def show(request: web.Request) -> web.Response:
    board = await look(request.app[STORE])
    return await shown(request, "workers.html", board=board, live="/events?parts=strip,workers", refresh=True)
