"""The tokens of workers: created, listed, revoked, rotated by administrators."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from sluicegate.errors import Invalid
from sluicegate.http import STORE, body, identity, query, reply
from sluicegate.operations import credentials
from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import NoFields, PageQuery
from sluicegate.operations.credentials import IssuedWorkerToken, WorkerTokenCall, worker_token

FRESH: Final = {"Cache-Control": "no-store"}
CURSOR: Final = re.compile(r"[0-9a-f]{32}")


async def create(request: web.Request) -> web.Response:
    call = await body(request, WorkerTokenCall)
    issued = await credentials.create_worker_token(request.app[STORE], call, actor=identity(request).user_id)
    return reply(issued, status=201, headers=FRESH)


async def listing(request: web.Request) -> web.Response:
    """The cursor is the last id shown, so that a page survives what is created meanwhile."""
    page = query(request, PageQuery)
    if page.cursor is not None and not CURSOR.fullmatch(page.cursor):
        raise Invalid.field("cursor", "is not a cursor that a page returned")
    found = await credentials.worker_tokens(request.app[STORE])
    after = [each for each in found if page.cursor is None or each.id < page.cursor]
    shown = after[: page.limit]
    return reply(Listed(items=shown, next_cursor=shown[-1].id if len(after) > len(shown) else None))


async def revoke(request: web.Request) -> web.Response:
    await body(request, NoFields, optional=True)
    record = await credentials.revoke(
        request.app[STORE], "worker", request.match_info["id"], actor=identity(request).user_id
    )
    return reply(worker_token(record))


async def rotate(request: web.Request) -> web.Response:
    await body(request, NoFields, optional=True)
    text, record = await credentials.rotate(
        request.app[STORE], "worker", request.match_info["id"], actor=identity(request).user_id
    )
    return reply(IssuedWorkerToken(token=text, worker_token=worker_token(record)), headers=FRESH)
