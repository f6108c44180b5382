"""Artifacts, the same for REST and MCP: stored by who holds the lease, read by who sees the job (Q-10)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterable
from contextlib import AbstractAsyncContextManager
from typing import Annotated

from msgspec import Meta

from sluicegate.artifacts import (
    ArtifactStore,
    Incoming,
    checked_content_type,
    checked_digest,
    checked_name,
    limit_of,
)
from sluicegate.auth.identity import Identity
from sluicegate.errors import Invalid
from sluicegate.operations import access, worker_calls
from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import Held, PageQuery
from sluicegate.store import jobs as job_records
from sluicegate.store import shelves
from sluicegate.store.connection import Store
from sluicegate.store.shelves import Artifact


class UploadCall(Held):
    """What an artifact is called; its content comes beside it. The same name again replaces."""

    name: Annotated[str, Meta(min_length=1, max_length=255, description="a relative path, like `logs/a.log`")]
    content_type: Annotated[str, Meta(description="its media type")] = "application/octet-stream"
    digest: Annotated[str, Meta(description="`sha256:<64 hexadecimal digits>`, to be checked")] | None = None


async def store_artifact(
    store: Store,
    files: ArtifactStore,
    who: Identity,
    job_id: str,
    call: UploadCall,
    chunks: AsyncIterable[bytes],
) -> Artifact:
    """Keep an artifact of a running job. May be repeated: the second replaces the first.

    Raises Invalid, TooLarge (artifact_too_large), StorageFull, and as all calls under a lease.
    """
    _check(call)
    async with receiving(store, files, job_id, call.name) as incoming:
        await incoming.take(chunks)
        return await keep_received(store, who, job_id, incoming, call)


def receiving(
    store: Store, files: ArtifactStore, job_id: str, name: str | None
) -> AbstractAsyncContextManager[Incoming]:
    """Content that comes before its call does. name: if it is known already. Raises Invalid, NotFound."""
    if name is not None:
        checked_name(name)
    return Incoming.open(store, files, job_id, limit=limit_of(name, store.settings))


async def keep_received(
    store: Store, who: Identity, job_id: str, incoming: Incoming, call: UploadCall
) -> Artifact:
    """Keep what came, as `store_artifact` does."""
    _check(call)
    incoming.require_size(limit_of(call.name, store.settings))
    worker_id, token = await worker_calls.held(store, who, job_id, call)
    return await incoming.keep(
        call.name,
        worker_id=worker_id,
        lease_token=token,
        content_type=call.content_type,
        digest=call.digest,
    )


async def listed(store: Store, who: Identity, job_id: str, asked: PageQuery) -> Listed[Artifact]:
    """A page of a job's artifacts, by name. Raises NotFound, Forbidden, Invalid (cursor)."""
    access.require_sight(who, await job_records.get(store, job_id))
    found = await shelves.artifacts(store, job_id)
    if asked.cursor is not None:
        after = _name(asked.cursor)
        found = [artifact for artifact in found if artifact.name > after]
    shown, more = found[: asked.limit], len(found) > asked.limit
    return Listed(items=shown, next_cursor=_cursor(shown[-1].name) if more else None)


async def seen(store: Store, who: Identity, job_id: str, artifact_id: str) -> Artifact:
    """One artifact, for who may see its job. Raises NotFound (of the job or the artifact), Forbidden."""
    access.require_sight(who, await job_records.get(store, job_id))
    return await shelves.artifact(store, job_id, artifact_id)


def _check(call: UploadCall) -> None:
    checked_name(call.name)
    checked_content_type(call.content_type)
    checked_digest(call.digest)


def _cursor(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _name(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error) as error:
        raise Invalid.field("cursor", "is not a cursor that a page returned") from error
