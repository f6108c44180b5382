"""The page of the workers: who is there, and what they do."""

from __future__ import annotations

from aiohttp import web

from services.control.handlers.pages import page, shown
from sluicegate.http import STORE
from sluicegate.store import workers


@page
async def show(request: web.Request) -> web.Response:
    return await shown(request, "workers.html", workers=await workers.listing(request.app[STORE]))
