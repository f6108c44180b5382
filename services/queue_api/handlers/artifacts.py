"""A job's files: uploaded by who holds its lease, listed and downloaded by who sees it (Q-10, 70-15)."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from services.queue_api.handlers.paths import job_id
from services.queue_api.keys import FILES
from sluicegate.http import SETTINGS, STORE, attachments, identity, query, reply
from sluicegate.http.forms import UploadForm
from sluicegate.operations import artifacts, leases
from sluicegate.operations.artifacts import UploadCall
from sluicegate.operations.calls import PageQuery


async def upload(request: web.Request) -> web.Response:
    """201 with the artifact. The content is taken in first, wherever it stands in the form."""
    form = await UploadForm.open(request, UploadCall)
    store, job = request.app[STORE], job_id(request)
    tokenless = request.app[SETTINGS].allow_tokenless
    async with artifacts.receiving(store, request.app[FILES], job, form.given.get("name")) as incoming:
        await incoming.take(form.file())
        call = await form.fields(leases.with_empty_tokens if tokenless else None)
        kept = await artifacts.keep_received(store, identity(request), job, incoming, call)
    return reply(kept, status=201)


async def listing(request: web.Request) -> web.Response:
    asked = query(request, PageQuery)
    return reply(await artifacts.listed(request.app[STORE], identity(request), job_id(request), asked))


async def download(request: web.Request) -> web.StreamResponse:
    artifact = await artifacts.seen(
        request.app[STORE], identity(request), job_id(request), request.match_info["artifactId"]
    )
    attachment = attachments.Attachment(
        name=artifact.name.rpartition("/")[2],
        content_type=artifact.content_type,
        size=artifact.size_bytes,
        tag=artifact.digest,
        read=partial(request.app[FILES].read, artifact.job_id, artifact.id, artifact.digest),
    )
    return await attachments.send(request, attachment)
