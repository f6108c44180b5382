"""Administering the tokens of workers and of operators: create, list, revoke, rotate (Q-11, 70-16)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, structs

from sluicegate.auth.identity import OperatorRole
from sluicegate.auth.tokens import Kind, TokenRecord, drawn, redrawn
from sluicegate.errors import Conflict, Invalid
from sluicegate.model import JobType, Name, WorkerId
from sluicegate.operations.calls import Call
from sluicegate.repositories import canonical
from sluicegate.settings import Settings
from sluicegate.store import tokens
from sluicegate.store.connection import Store
from sluicegate.times import from_rfc3339, to_rfc3339

Description = Annotated[str, Meta(max_length=200)]
Many = Meta(max_length=200)


class WorkerTokenCall(Call):
    """None in a list's place is no restriction, an empty list is nothing. expires_at: RFC 3339."""

    worker_id: WorkerId
    description: Description | None = None
    allowed_repositories: Annotated[list[str], Many] | None = None
    allowed_job_types: Annotated[list[JobType], Many] | None = None
    capabilities: Annotated[list[Name], Many] | None = None
    expires_at: str | None = None


class OperatorTokenCall(Call):
    """user_id: whom actions with the token are attributed to."""

    user_id: Name
    role: OperatorRole
    description: Description | None = None
    expires_at: str | None = None


class WorkerToken(Struct, rename="camel", kw_only=True):
    """A worker's token without its secret."""

    id: str
    worker_id: str
    description: str | None
    allowed_repositories: list[str] | None
    allowed_job_types: list[str] | None
    capabilities: list[str] | None
    created_at: str
    created_by_user_id: str
    expires_at: str | None
    rotated_at: str | None
    revoked_at: str | None


class OperatorToken(Struct, rename="camel", kw_only=True):
    """An operator's or producer's token without its secret."""

    id: str
    user_id: str
    role: OperatorRole
    description: str | None
    created_at: str
    created_by_user_id: str
    expires_at: str | None
    rotated_at: str | None
    revoked_at: str | None


class IssuedWorkerToken(Struct, rename="camel", kw_only=True):
    """token: shown this once; only a hash of it is kept."""

    token: str
    worker_token: WorkerToken


class IssuedOperatorToken(Struct, rename="camel", kw_only=True):
    token: str
    operator_token: OperatorToken


async def create_worker_token(store: Store, call: WorkerTokenCall, *, actor: str) -> IssuedWorkerToken:
    """A new token. Raises Invalid naming the field, Busy when there are too many."""
    now_ms = await store.now_ms()
    token_id, text, secret = drawn("worker")
    repositories = call.allowed_repositories
    record = TokenRecord(
        id=token_id,
        kind="worker",
        secrets=(secret,),
        description=call.description,
        worker_id=call.worker_id,
        allowed_repositories=None if repositories is None else _canonical(repositories, store.settings),
        allowed_job_types=None if call.allowed_job_types is None else tuple(call.allowed_job_types),
        capabilities=None if call.capabilities is None else tuple(call.capabilities),
        created_at_ms=now_ms,
        created_by=actor,
        expires_at_ms=_expiry(call.expires_at, now_ms),
    )
    await tokens.create(store, record, actor=actor)
    return IssuedWorkerToken(token=text, worker_token=worker_token(record))


async def create_operator_token(store: Store, call: OperatorTokenCall, *, actor: str) -> IssuedOperatorToken:
    """A new token. Raises Invalid naming the field, Busy when there are too many."""
    now_ms = await store.now_ms()
    token_id, text, secret = drawn("operator")
    record = TokenRecord(
        id=token_id,
        kind="operator",
        secrets=(secret,),
        description=call.description,
        role=call.role,
        user_id=call.user_id,
        created_at_ms=now_ms,
        created_by=actor,
        expires_at_ms=_expiry(call.expires_at, now_ms),
    )
    await tokens.create(store, record, actor=actor)
    return IssuedOperatorToken(token=text, operator_token=operator_token(record))


async def revoke(store: Store, kind: Kind, token_id: str, *, actor: str) -> TokenRecord:
    """No request that begins after this returned is let in by it. Again is the same. Raises NotFound."""

    def alter(record: TokenRecord, now_ms: int) -> TokenRecord:
        if record.revoked_at_ms is not None:
            return record
        return structs.replace(record, revoked_at_ms=now_ms)

    return await tokens.change(store, kind, token_id, alter, action="revoke", actor=actor)


async def rotate(store: Store, kind: Kind, token_id: str, *, actor: str) -> tuple[str, TokenRecord]:
    """A new secret; the old one works on for SLUICEGATE_TOKEN_ROTATION_GRACE_SECONDS, older ones do not.

    Raises NotFound, Conflict (token_state_conflict) for a token that was revoked or has expired.
    """
    text, secret = redrawn(kind, token_id)
    grace_ms = round(store.settings.token_rotation_grace_seconds * 1000)

    def alter(record: TokenRecord, now_ms: int) -> TokenRecord:
        if not record.usable(now_ms):
            raise Conflict(
                "the token was revoked or has expired: create another", code="token_state_conflict"
            )
        old = structs.replace(record.secrets[0], until_ms=now_ms + grace_ms)
        return structs.replace(record, secrets=(secret, old), rotated_at_ms=now_ms)

    return text, await tokens.change(store, kind, token_id, alter, action="rotate", actor=actor)


async def worker_tokens(store: Store) -> list[WorkerToken]:
    """The newest first; those revoked or expired within the last 30 days among them."""
    return [worker_token(record) for record in await tokens.listing(store, "worker")]


async def operator_tokens(store: Store) -> list[OperatorToken]:
    return [operator_token(record) for record in await tokens.listing(store, "operator")]


def worker_token(record: TokenRecord) -> WorkerToken:
    return WorkerToken(
        id=record.id,
        worker_id=record.worker_id or "",
        description=record.description,
        allowed_repositories=_listed(record.allowed_repositories),
        allowed_job_types=_listed(record.allowed_job_types),
        capabilities=_listed(record.capabilities),
        created_at=to_rfc3339(record.created_at_ms),
        created_by_user_id=record.created_by,
        expires_at=_shown(record.expires_at_ms),
        rotated_at=_shown(record.rotated_at_ms),
        revoked_at=_shown(record.revoked_at_ms),
    )


def operator_token(record: TokenRecord) -> OperatorToken:
    return OperatorToken(
        id=record.id,
        user_id=record.user_id or "",
        role=record.role or "viewer",
        description=record.description,
        created_at=to_rfc3339(record.created_at_ms),
        created_by_user_id=record.created_by,
        expires_at=_shown(record.expires_at_ms),
        rotated_at=_shown(record.rotated_at_ms),
        revoked_at=_shown(record.revoked_at_ms),
    )


def _canonical(repositories: list[str], settings: Settings) -> tuple[str, ...]:
    return tuple(
        canonical(each, settings, path=f"allowedRepositories[{at}]") for at, each in enumerate(repositories)
    )


def _expiry(text: str | None, now_ms: int) -> int | None:
    if text is None:
        return None
    try:
        moment = from_rfc3339(text)
    except (ValueError, OverflowError):
        raise Invalid.field("expiresAt", "is not a time like 2026-01-31T12:00:00.000Z") from None
    if moment <= now_ms:
        raise Invalid.field("expiresAt", "is in the past")
    return moment


def _listed(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)


def _shown(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else to_rfc3339(moment_ms)
