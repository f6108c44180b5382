"""Credentials that Sluicegate issues: `sgwt_...` for a worker, `sgop_...` for an operator or a producer.

A token is `<kind>_<id>_<secret>`: the id finds its record, the secret (256 random bits) proves it. Only the
SHA-256 of the secret is stored (Q-2), which is enough for a random one: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final, Literal, NamedTuple

import uuid_utils
from msgspec import Struct

from sluicegate.auth.identity import Grant, OperatorRole

Kind = Literal["worker", "operator"]
PREFIXES: Final[dict[Kind, str]] = {"worker": "sgwt", "operator": "sgop"}
_TOKEN: Final = re.compile(r"sg(wt|op)_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


class Secret(Struct, frozen=True, rename="camel"):
    """A secret by its hash; until_ms: it proves nothing from then on (an old one, after a rotation)."""

    sha256: str
    until_ms: int | None = None


class TokenRecord(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is stored of a token. Times in ms by the store's clock."""

    id: str
    kind: Kind
    secrets: tuple[Secret, ...]
    description: str | None = None
    worker_id: str | None = None
    allowed_repositories: tuple[str, ...] | None = None
    allowed_job_types: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] | None = None
    role: OperatorRole | None = None
    user_id: str | None = None
    created_at_ms: int
    created_by: str
    expires_at_ms: int | None = None
    rotated_at_ms: int | None = None
    revoked_at_ms: int | None = None

    def usable(self, now_ms: int) -> bool:
        return self.revoked_at_ms is None and (self.expires_at_ms is None or now_ms < self.expires_at_ms)

    def proved_by(self, secret: str, now_ms: int) -> bool:
        """Whether this secret is one of the record's, in constant time, and the record can be used."""
        digest = digest_of(secret)
        matches = [
            hmac.compare_digest(each.sha256, digest) and (each.until_ms is None or now_ms < each.until_ms)
            for each in self.secrets
        ]
        return any(matches) and self.usable(now_ms)

    @property
    def grant(self) -> Grant | None:
        if self.worker_id is None:
            return None
        return Grant(
            worker_id=self.worker_id,
            types=self.allowed_job_types,
            repositories=self.allowed_repositories,
            capabilities=self.capabilities,
        )


class Presented(NamedTuple):
    """A token as a request brings it."""

    kind: Kind
    id: str
    secret: str


def drawn(kind: Kind) -> tuple[str, str, Secret]:
    """A new token's id, its text, which is shown once, and what is stored of its secret."""
    token_id = uuid_utils.uuid7().hex
    text, secret = redrawn(kind, token_id)
    return token_id, text, secret


def redrawn(kind: Kind, token_id: str) -> tuple[str, Secret]:
    """A new secret for a token that exists: its text and what is stored of it."""
    secret = secrets.token_urlsafe(32)
    return f"{PREFIXES[kind]}_{token_id}_{secret}", Secret(digest_of(secret))


def parse(text: str) -> Presented | None:
    """The parts of a token; None when the text is not of that shape."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        return None
    return Presented("worker" if found[1] == "wt" else "operator", found[2], found[3])


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
