"""The page of the dead letters, grouped by what they died of (Q-8)."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from msgspec import structs

from services.control.dashboard.forms import Filled
from services.control.handlers import many_jobs
from services.control.handlers.pages import page, shown
from sluicegate.errors import Invalid
from sluicegate.http import STORE
from sluicegate.operations import dead_groups, dead_jobs
from sluicegate.operations.calls import DeadLettersQuery
from sluicegate.store.dead_letters import DeadLetter

PAGE: Final = 200
PAGES: Final = 5
"""So many pages are grouped at once: the latest thousand."""


@page
async def show(request: web.Request) -> web.Response:
    filled = Filled.asked(request)
    found: list[DeadLetter] = []
    following, status = None, 200
    try:
        asked = structs.replace(filled.call(DeadLettersQuery), limit=PAGE)
        for _ in range(PAGES):
            part = await dead_jobs.page(request.app[STORE], asked)
            found += part.items
            following = part.next_cursor
            if following is None:
                break
            asked = structs.replace(asked, cursor=following)
    except Invalid as error:
        filled.refused(error)
        status = error.status
    return await shown(
        request,
        "dead_letters.html",
        status=status,
        filled=filled,
        count=len(found),
        groups=dead_groups.grouped(found),
        first=filled.address("/dead-letters", cursor=None) if filled.get("cursor") else None,
        more=following and filled.address("/dead-letters", cursor=following),
    )


@page
async def change(request: web.Request) -> web.Response:
    return await many_jobs.change(request, ("canary", "redrive", "purge"))
