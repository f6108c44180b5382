"""The page of the audit: who did what, with filters in its address (P-8)."""

from __future__ import annotations

from typing import get_args

from aiohttp import web

from services.control.dashboard.forms import Filled
from services.control.handlers.pages import page, shown
from sluicegate.errors import Invalid
from sluicegate.http import STORE
from sluicegate.operations import audit
from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import AuditAction, AuditControl, AuditQuery
from sluicegate.store.audit import AuditEntry


@page
async def show(request: web.Request) -> web.Response:
    filled = Filled.asked(request, "since", "until")
    found: Listed[AuditEntry] = Listed(items=[], next_cursor=None)
    status = 200
    try:
        found = await audit.page(request.app[STORE], filled.call(AuditQuery))
    except Invalid as error:
        filled.refused(error)
        status = error.status
    return await shown(
        request,
        "audit.html",
        status=status,
        filled=filled,
        found=found,
        controls=get_args(AuditControl),
        actions=get_args(AuditAction),
        first=None if not filled.get("cursor") else filled.address("/audit", cursor=None),
        more=found.next_cursor and filled.address("/audit", cursor=found.next_cursor),
    )
