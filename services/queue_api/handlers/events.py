"""A job's history: appended by the holder of its lease, read in pages or followed as a stream."""

from __future__ import annotations

import msgspec
from aiohttp import web

from services.queue_api.handlers.paths import job_id
from services.queue_api.keys import NOTICES
from sluicegate.errors import NotFound
from sluicegate.http import LONG_REQUESTS, SETTINGS, STORE, EventStream, body, identity, query, reply
from sluicegate.operations.calls import AppendCall, EventsQuery, StreamQuery
from sluicegate.operations.events import listed, require_sizes
from sluicegate.store import events, jobs
from sluicegate.store.notices import Subscription

PAGE = 500


async def append(request: web.Request) -> web.Response:
    """201 with the event, or with `{items}` for a list. A log event past the job's limit is left out."""
    call = await body(request, AppendCall)
    worker_id = identity(request).worker(call.worker_id)
    given = listed(call)
    require_sizes(given, request.app[SETTINGS])
    kept = await events.append(request.app[STORE], worker_id, job_id(request), call.token, given)
    if call.events is None and kept:
        return reply(kept[0], status=201)
    return reply({"items": kept}, status=201 if kept else 200)


async def page(request: web.Request) -> web.Response:
    asked = query(request, EventsQuery)
    ascending = asked.sort == "asc"
    found = await events.page(
        request.app[STORE],
        job_id(request),
        after=(asked.cursor if ascending else None) or asked.after,
        before=(None if ascending else asked.cursor) or asked.before,
        sort=asked.sort,
        limit=asked.limit + 1,
    )
    shown, more = found[: asked.limit], len(found) > asked.limit
    return reply({"items": shown, "nextCursor": shown[-1].id if more else None})


async def stream(request: web.Request) -> web.StreamResponse:
    """History, then what happens, until the job has ended and everything was sent (70-14).

    A client that comes back with Last-Event-ID goes on behind that event.
    """
    asked = query(request, StreamQuery)
    job = await jobs.get(request.app[STORE], job_id(request))
    after = request.headers.get("Last-Event-ID") or asked.after
    if after == "now":
        newest = await events.page(request.app[STORE], job.id, sort="desc", limit=1)
        after = newest[0].id
    else:
        # Looks up a position that nobody can resume from while there is still a status to say so with.
        await events.page(request.app[STORE], job.id, after=after, limit=1)
    async with request.app[NOTICES].subscribe(job.id) as subscription:
        out = await EventStream.open(request)
        await _follow(request, out, subscription, job.id, after)
    return out.response


async def _follow(
    request: web.Request, out: EventStream, subscription: Subscription, of: str, after: str | None
) -> None:
    store, long_requests = request.app[STORE], request.app[LONG_REQUESTS]
    keepalive = request.app[SETTINGS].sse_keepalive_seconds
    while not long_requests.over(request):
        try:
            # The status first: an event that is older than a terminal status is then in the page.
            job = await jobs.get(store, of)
            found = await events.page(store, of, after=after, limit=PAGE)
        except NotFound:
            await out.send(b"{}", event="end")
            return
        for event in found:
            await out.send(msgspec.json.encode(event), event="job.event", id=event.id)
            after = event.id
        if len(found) == PAGE:
            continue
        if job.terminal:
            await out.send(msgspec.json.encode({"status": job.status}), event="end")
            return
        changed: set[str] = set()
        async with long_requests.patience(request, keepalive):
            changed = await subscription.wait(keepalive)
        if not changed:
            await out.keepalive()
