"""The page of the tokens: made, shown once, rotated, revoked by administrators (Q-11)."""

from __future__ import annotations

from typing import Final, get_args

from aiohttp import web

from services.control.dashboard.forms import Filled, as_utc, listed
from services.control.handlers.pages import page, shown
from sluicegate.auth.identity import OperatorRole
from sluicegate.auth.tokens import Kind
from sluicegate.errors import NotFound, RequestError
from sluicegate.http import STORE, identity
from sluicegate.operations import credentials
from sluicegate.operations.credentials import OperatorTokenCall, WorkerTokenCall

LISTS: Final = ("allowedRepositories", "allowedJobTypes", "capabilities")


@page
async def show(request: web.Request) -> web.Response:
    return await _shown(request)


@page
async def change(request: web.Request) -> web.Response:
    """A token that was made or rotated stands on the answer, and nowhere afterwards."""
    filled = await Filled.read(request)
    kind: Kind = "operator" if filled.get("kind") == "operator" else "worker"
    try:
        issued = await _carry_out(request, kind, filled)
    except RequestError as error:
        filled.refused(error)
        worker, operator = (filled, None) if kind == "worker" else (None, filled)
        return await _shown(request, worker=worker, operator=operator, status=error.status)
    if issued is None:
        raise web.HTTPSeeOther("/tokens")
    return await _shown(request, issued=issued)


async def _carry_out(request: web.Request, kind: Kind, filled: Filled) -> str | None:
    store, actor = request.app[STORE], identity(request).user_id
    expires = {"expiresAt": as_utc(filled.get("expiresAt"))} if filled.get("expiresAt").strip() else {}
    match filled.get("do"), kind:
        case "create", "worker":
            lists = {name: listed(filled.get(name)) for name in LISTS if listed(filled.get(name))}
            call = filled.call(WorkerTokenCall, **expires, **lists)
            return (await credentials.create_worker_token(store, call, actor=actor)).token
        case "create", "operator":
            made = filled.call(OperatorTokenCall, **expires)
            return (await credentials.create_operator_token(store, made, actor=actor)).token
        case "rotate", _:
            return (await credentials.rotate(store, kind, filled.get("id"), actor=actor))[0]
        case "revoke", _:
            await credentials.revoke(store, kind, filled.get("id"), actor=actor)
            return None
    raise NotFound("there is nothing of that name to be done to tokens")


async def _shown(
    request: web.Request,
    *,
    issued: str | None = None,
    worker: Filled | None = None,
    operator: Filled | None = None,
    status: int = 200,
) -> web.Response:
    store = request.app[STORE]
    return await shown(
        request,
        "tokens.html",
        status=status,
        issued=issued,
        grace=store.settings.token_rotation_grace_seconds,
        workers=await credentials.worker_tokens(store),
        operators=await credentials.operator_tokens(store),
        worker=worker or Filled(),
        operator=operator or Filled(),
        roles=get_args(OperatorRole),
    )
