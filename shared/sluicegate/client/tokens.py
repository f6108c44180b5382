"""The tokens of workers, for administrators: `client.tokens`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from sluicegate.client.transport import Transport
from sluicegate.errors import NotFound

if TYPE_CHECKING:
    from sluicegate.operations.credentials import IssuedWorkerToken, WorkerToken

_ID: Final = re.compile(r"[0-9a-f]{32}")


class Tokens:
    """Create, list, revoke and rotate (Q-11). Needs the role admin over HTTP."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self,
        worker_id: str,
        *,
        description: str | None = None,
        repositories: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        capabilities: Sequence[str] | None = None,
        expires_at: str | None = None,
    ) -> IssuedWorkerToken:
        """A new token; its text is in this answer only. None is no restriction, an empty list is nothing.

        Not to be repeated blindly: each call makes a token. Raises Invalid naming the field, OutcomeUnknown.
        """
        given = {
            "workerId": worker_id,
            "description": description,
            "allowedRepositories": None if repositories is None else list(repositories),
            "allowedJobTypes": None if types is None else list(types),
            "capabilities": None if capabilities is None else list(capabilities),
            "expiresAt": expires_at,
        }
        document = {name: value for name, value in given.items() if value is not None}
        return await self._transport.create_worker_token(msgspec.json.encode(document))

    async def list(self) -> list[WorkerToken]:
        """All of them, the newest first; those that ended within 30 days too."""
        return await self._transport.worker_tokens()

    async def revoke(self, token_id: str) -> WorkerToken:
        """End a token at once. May be repeated. Raises NotFound."""
        return await self._transport.revoke_worker_token(_checked(token_id))

    async def rotate(self, token_id: str) -> IssuedWorkerToken:
        """A new secret, in this answer only; the old one works on for a while. Raises NotFound, Conflict."""
        return await self._transport.rotate_worker_token(_checked(token_id))


def _checked(token_id: str) -> str:
    # An id goes into a path: anything else than an id is refused before it can change the path.
    if not _ID.fullmatch(token_id):
        raise NotFound(f"there is no token {token_id!r}", code="worker_token_not_found")
    return token_id
