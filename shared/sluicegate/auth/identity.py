"""Every request has one identity, found in one place, before anything else is looked at.

With auth disabled everybody is the default user with the role admin, and a worker is who its body says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from msgspec import Struct

from sluicegate.errors import Forbidden
from sluicegate.settings import Settings

Role = Literal["worker", "producer", "viewer", "operator", "admin"]


class Identity(Struct, frozen=True, kw_only=True):
    """The caller of one request.

    user_id: whom actions are attributed to. worker_id: the worker that a credential names; None when the
    request's own `workerId` is to be believed.
    """

    user_id: str
    role: Role
    worker_id: str | None = None

    def worker(self, claimed: str) -> str:
        """The worker id to act under: the claimed one. Forbidden when the credential names another."""
        if self.worker_id is not None and self.worker_id != claimed:
            raise Forbidden(
                "the credential belongs to another worker than workerId", code="worker_not_authorized"
            )
        return claimed


class Identities(Protocol):
    """How a service finds out who calls."""

    async def of(self, headers: Mapping[str, str]) -> Identity:
        """Raises Unauthenticated when the headers prove nothing that is needed."""
        ...


class OpenToAll:
    """SLUICEGATE_AUTH=disabled: no credential is needed, and everyone is the default user."""

    def __init__(self, settings: Settings) -> None:
        self._identity = Identity(user_id=settings.default_user_id, role="admin")

    async def of(self, headers: Mapping[str, str]) -> Identity:
        return self._identity


def identities(settings: Settings) -> Identities:
    """What the setting `auth` asks for."""
    return OpenToAll(settings)
