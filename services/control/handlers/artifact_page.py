"""A file of a job: looked at on a page, or downloaded. A page only ever shows its text (Q-10)."""

from __future__ import annotations

from functools import partial

from aiohttp import web
from msgspec import Struct

from services.control.dashboard import artifact_view
from services.control.dashboard.artifact_view import Part
from services.control.handlers.many_jobs import ARTIFACTS
from services.control.handlers.pages import page, shown
from sluicegate.http import STORE, attachments, identity, query
from sluicegate.operations import artifacts
from sluicegate.store.shelves import Artifact


class PartQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """part: of a file too long for one page, its start or its end."""

    part: Part | None = None


@page
async def show(request: web.Request) -> web.Response:
    asked, artifact = query(request, PartQuery), await _artifact(request)
    look = artifact_view.look(artifact)
    part = asked.part or artifact_view.usual_part(artifact)
    seen = await artifact_view.see(request.app[ARTIFACTS], artifact, part) if look else artifact_view.Seen()
    return await shown(request, "artifact.html", artifact=artifact, part=part, seen=seen)


@page
async def download(request: web.Request) -> web.StreamResponse:
    artifact = await _artifact(request)
    read = partial(request.app[ARTIFACTS].read, artifact.job_id, artifact.id, artifact.digest)
    attachment = attachments.Attachment(
        name=artifact.name.rpartition("/")[2],
        content_type=artifact.content_type,
        size=artifact.size_bytes,
        tag=artifact.digest,
        read=read,
    )
    return await attachments.send(request, attachment)


async def _artifact(request: web.Request) -> Artifact:
    """Raises NotFound."""
    job_id, artifact_id = request.match_info["id"], request.match_info["artifactId"]
    return await artifacts.seen(request.app[STORE], identity(request), job_id, artifact_id)
