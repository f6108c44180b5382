"""`/api/system`: the pauses, the audit, the workers."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from sluicegate.http import STORE, body, identity, query, reply
from sluicegate.operations import audit, narrow_pauses, pause
from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import AuditQuery, NoFields
from sluicegate.operations.pause_fields import refusing
from sluicegate.store import workers


class WorkersPage(Struct, forbid_unknown_fields=True, kw_only=True):
    cursor: str | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 200


async def pause_status(request: web.Request) -> web.Response:
    query(request, NoFields)
    return reply(await pause.status(request.app[STORE]))


async def change_pause(request: web.Request) -> web.Response:
    with refusing(pause.FIELDS):
        call = await body(request, pause.PauseCall)
    return reply(await pause.change(request.app[STORE], call, actor=identity(request).user_id))


async def pauses(request: web.Request) -> web.Response:
    query(request, NoFields)
    return reply(await narrow_pauses.listing(request.app[STORE]))


async def change_pauses(request: web.Request) -> web.Response:
    with refusing(narrow_pauses.FIELDS):
        call = await body(request, narrow_pauses.NarrowPauseCall)
    return reply(await narrow_pauses.change(request.app[STORE], call, actor=identity(request).user_id))


async def audit_page(request: web.Request) -> web.Response:
    return reply(await audit.page(request.app[STORE], query(request, AuditQuery)))


async def worker_list(request: web.Request) -> web.Response:
    """The live workers by id. The cursor is the last id shown, so that a page survives who comes and goes."""
    page = query(request, WorkersPage)
    there = await workers.listing(request.app[STORE])
    after = [each for each in there if page.cursor is None or each.worker_id > page.cursor]
    shown = after[: page.limit]
    cursor = shown[-1].worker_id if len(after) > len(shown) else None
    return reply(Listed(items=shown, next_cursor=cursor))
