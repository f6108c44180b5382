"""Who makes a request, and what a worker's credential lets it have."""

from __future__ import annotations

import hmac
from typing import Final, Literal

from msgspec import Struct

from sluicegate.errors import Forbidden
from sluicegate.model import Lane, Policy

Role = Literal["worker", "producer", "viewer", "operator", "admin"]
OperatorRole = Literal["producer", "viewer", "operator", "admin"]
Access = Literal["open", "worker", "viewer", "operator", "admin"]
"""What an endpoint asks of its caller: nothing, a worker's identity, or at least this role of an operator."""

_RANK: Final = {"viewer": 1, "operator": 2, "admin": 3}


class Grant(Struct, frozen=True, kw_only=True):
    """What a worker's credential allows (Q-2). None is no restriction, an empty tuple is nothing."""

    worker_id: str
    types: tuple[str, ...] | None = None
    repositories: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] | None = None

    def narrowed(self, asked: Policy, *, capabilities_named: bool) -> Policy:
        """The policy of a claim: what was asked for, within what is allowed (Q-3, 70-16).

        capabilities_named: whether the claim named any; without, it has all those of its credential.
        """
        able = asked.capabilities
        if self.capabilities is not None:
            able = tuple(set(able) & set(self.capabilities)) if capabilities_named else self.capabilities
        return Policy(
            types=_both(self.types, asked.types),
            repositories=_both(self.repositories, asked.repositories),
            capabilities=able,
        )

    @property
    def restricts_jobs(self) -> bool:
        return self.types is not None or self.repositories is not None

    def allows(self, lane: Lane) -> bool:
        """A job of this lane is one that the worker may act on."""
        return (self.types is None or lane.type in self.types) and (
            self.repositories is None or lane.repository in self.repositories
        )


class Session(Struct, frozen=True, kw_only=True):
    """A session of the dashboard. exp, iat: seconds of this host's clock. tok: the id of its token.

    Whatever it changes needs `csrf` beside the cookie, which a page of another site cannot know.
    """

    sub: str
    role: OperatorRole
    csrf: str
    iat: int
    exp: int
    tok: str | None = None

    def proved_by(self, csrf: str | None) -> bool:
        return csrf is not None and hmac.compare_digest(
            self.csrf.encode(), csrf.encode("utf-8", "surrogatepass")
        )


class Identity(Struct, frozen=True, kw_only=True):
    """The caller of one request.

    user_id: whom actions are attributed to. grant: what a worker's credential allows; None without one, and
    the request's own `workerId` is then believed where that is allowed at all (auth disabled). session: the
    dashboard's session that the request belongs to. token_id: the operator's token that it showed.
    """

    user_id: str
    role: Role
    grant: Grant | None = None
    session: Session | None = None
    token_id: str | None = None

    @property
    def caller(self) -> str:
        """One name for everything that this caller does, whatever role it is in."""
        return f"worker:{self.grant.worker_id}" if self.grant is not None else f"user:{self.user_id}"

    def worker(self, claimed: str) -> str:
        """The worker id to act under: the claimed one. Forbidden when the credential names another."""
        if self.grant is not None and self.grant.worker_id != claimed:
            raise Forbidden(
                "the credential belongs to another worker than workerId", code="worker_not_authorized"
            )
        return claimed

    def at_least(self, role: Literal["viewer", "operator", "admin"]) -> bool:
        return _RANK.get(self.role, 0) >= _RANK[role]


def _both(allowed: tuple[str, ...] | None, asked: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if allowed is None or asked is None:
        return asked if allowed is None else allowed
    return tuple(each for each in asked if each in allowed)
