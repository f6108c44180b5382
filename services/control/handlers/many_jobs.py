"""Changing many jobs from a page: what it would touch, then the doing of it (C-9, 70-10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from services.control.dashboard.board import Row
from services.control.dashboard.forms import Filled
from services.control.handlers.pages import shown
from sluicegate.artifacts import ArtifactStore
from sluicegate.errors import Invalid, NotFound, RequestError
from sluicegate.http import STORE, identity
from sluicegate.operations import many
from sluicegate.operations.answers import ManyAnswer
from sluicegate.operations.calls import ManyCall, ManyFilter
from sluicegate.store import jobs as job_records
from sluicegate.validation import convert

ARTIFACTS: Final = web.AppKey("artifacts", ArtifactStore)
SHOWN: Final = 100
FILTER: Final = tuple(ManyFilter.__struct_encode_fields__)
VERBS: Final[Mapping[str, str]] = {
    "cancel": "Cancel",
    "retry": "Retry",
    "redrive": "Redrive",
    "canary": "Redrive one",
    "purge": "Purge",
}


async def change(request: web.Request, allowed: Sequence[str]) -> web.Response:
    """First what would be changed; with `sure` it is done, and what came of it is shown."""
    filled = await Filled.read(request)
    verb = filled.get("verb")
    if verb not in allowed:
        raise NotFound("there is nothing of that name to be done to jobs")
    ids, rest = _chosen_ids(filled, verb)
    sure = bool(filled.get("sure"))
    answer, status = None, 200
    try:
        call = convert(_document(filled, ids, dry_run=not sure), ManyCall)
        answer = await _carry_out(request, verb, call)
    except RequestError as error:
        filled.refused(error)
        status = error.status
    touched = [each.id for each in answer.items] if sure and answer else ids or []
    found = await job_records.read(request.app[STORE], touched[:SHOWN]) if answer else []
    return await shown(
        request,
        "many.html",
        status=status,
        back=request.path,
        verb=verb,
        name=VERBS[verb],
        filled=filled,
        filter={name: filled.get(name) for name in FILTER if filled.get(name) and ids is None},
        ids=ids,
        rest=rest,
        rows=[Row.of(job) for job in found if job],
        answer=answer,
    )


async def _carry_out(request: web.Request, verb: str, call: ManyCall) -> ManyAnswer:
    store, actor = request.app[STORE], identity(request).user_id
    match verb:
        case "cancel":
            return await many.cancel(store, call, actor=actor)
        case "retry":
            return await many.retry(store, call, actor=actor)
        case "purge":
            return await many.purge_dead(store, request.app[ARTIFACTS], call, actor=actor)
    return await many.redrive(store, call, actor=actor)


def _chosen_ids(filled: Filled, verb: str) -> tuple[list[str] | None, list[str]]:
    """The jobs that were ticked, None for all that fit the filter; and those that wait for a canary."""
    if filled.get("all"):
        return None, []
    ids = list(dict.fromkeys(filled.all("ids")))
    rest = list(dict.fromkeys(filled.all("rest")))
    return (ids[:1], rest or ids[1:]) if verb == "canary" else (ids, [])


def _document(filled: Filled, ids: list[str] | None, *, dry_run: bool) -> dict[str, Any]:
    if ids is not None and not ids:
        raise Invalid.field("ids", "is empty: tick at least one job")
    filter = {name: filled.get(name) for name in FILTER if filled.get(name)}
    return {
        "dryRun": dry_run,
        **({"filter": filter} if ids is None else {"ids": ids}),
        **({"reason": filled.get("reason")} if filled.get("reason").strip() else {}),
    }
