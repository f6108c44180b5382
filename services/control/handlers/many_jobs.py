"""Changing many jobs from a page: what it would touch, then the doing of it (C-9, 70-10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web
from msgspec import structs

from services.control.dashboard.board import Row
from services.control.dashboard.forms import Filled
from services.control.handlers.pages import shown
from sluicegate.artifacts import ArtifactStore
from sluicegate.errors import Invalid, NotFound, RequestError
from sluicegate.http import SETTINGS, STORE, identity
from sluicegate.model import Job
from sluicegate.operations import jobs, many
from sluicegate.operations.answers import ManyAnswer
from sluicegate.operations.calls import JobsQuery, ManyCall, ManyFilter
from sluicegate.operations.retries import RETRYABLE
from sluicegate.store import jobs as job_records
from sluicegate.validation import convert

ARTIFACTS: Final = web.AppKey("artifacts", ArtifactStore)
SHOWN: Final = 100
FILTER: Final = tuple(ManyFilter.__struct_encode_fields__)
SAMPLE: Final = 20
CHANGED_IN: Final[Mapping[str, Sequence[str]]] = {"cancel": ("running", "queued"), "retry": RETRYABLE}
"""What the page of the jobs does by a filter, and to jobs of which statuses."""
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
    filter = {name: filled.get(name) for name in FILTER if filled.get(name) and ids is None}
    found: list[Job | None] = []
    if answer and (sure or ids is not None):
        touched = [each.id for each in answer.items] if sure else ids or []
        found = await job_records.read(request.app[STORE], touched[:SHOWN])
    elif answer and answer.matched:
        found = await _newest(request, verb, filter)
    return await shown(
        request,
        "many.html",
        status=status,
        back=request.path,
        verb=verb,
        name=VERBS[verb],
        filled=filled,
        filter=filter,
        ids=ids,
        rest=rest,
        rows=[Row.of(job) for job in found if job],
        answer=answer,
    )


async def _newest(request: web.Request, verb: str, filter: Mapping[str, str]) -> list[Job | None]:
    """Some of those that a filter chooses, to see that it means the right ones."""
    if verb not in CHANGED_IN or "failureClass" in filter:
        return []
    asked = jobs.job_filter(convert({**filter}, JobsQuery), request.app[SETTINGS])
    found: list[Job | None] = []
    for status in CHANGED_IN[verb]:
        if asked.status in (None, status):
            each = structs.replace(asked, status=status)
            found += (await job_records.listing(request.app[STORE], each, limit=SAMPLE))[0]
    return found[:SAMPLE]


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
