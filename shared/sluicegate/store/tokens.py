"""The records of credentials: read for every request that brings one, changed by administrators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

from msgspec import json

from sluicegate import keys
from sluicegate.auth.tokens import Kind, TokenRecord
from sluicegate.errors import Busy, NotFound
from sluicegate.store.connection import Store, split

MOST: Final = 10_000
"""Records that a store keeps, of both kinds."""
KEPT_MS: Final = 30 * 86_400_000
"""A token that was revoked or has expired stays in the list this long."""


class Found(NamedTuple):
    record: TokenRecord | None
    now_ms: int


async def find(store: Store, ids: Sequence[str]) -> list[Found]:
    """The record of each id, or None, with the store's time to judge it by. Never from a cache (Q-2)."""
    now, texts = await store.run("read_tokens", [(each,) for each in ids])
    return [Found(json.decode(text, type=TokenRecord) if text else None, int(now)) for text in texts]


async def listing(store: Store, kind: Kind) -> list[TokenRecord]:
    """Every token of a kind, the newest first."""
    texts = await store.command("HVALS", keys.TOKENS)
    found = (json.decode(text, type=TokenRecord) for text in texts)
    return sorted((each for each in found if each.kind == kind), key=lambda each: each.id, reverse=True)


async def create(store: Store, record: TokenRecord, *, actor: str) -> None:
    """Store a new token. Raises Busy when there are too many."""
    if not await _keep(store, record, before="", action="create", actor=actor):
        raise RuntimeError("a new token has the id of an old one")


async def change(
    store: Store,
    kind: Kind,
    token_id: str,
    alter: Callable[[TokenRecord, int], TokenRecord],
    *,
    action: Literal["revoke", "rotate"],
    actor: str,
) -> TokenRecord:
    """Put `alter(record, now in ms)` in the record's place, on what is stored at that moment.

    A record that is returned as it was is not written and leaves no audit entry. Raises NotFound, and what
    `alter` raises.
    """
    while True:
        now, (text,) = await store.run("read_tokens", [(token_id,)])
        record = json.decode(text, type=TokenRecord) if text else None
        if record is None or record.kind != kind:
            raise NotFound(f"there is no {kind} token {token_id[:64]}", code=f"{kind}_token_not_found")
        altered = alter(record, int(now))
        if altered == record or await _keep(store, altered, before=text, action=action, actor=actor):
            return altered


async def forget_dead(store: Store) -> int:
    """Remove what nobody could use for 30 days; how many that were."""
    now = await store.now_ms()
    flat = await store.command("HGETALL", keys.TOKENS)
    dead = [
        (token_id, text)
        for token_id, text in zip(flat[::2], flat[1::2], strict=True)
        if _ended(json.decode(text, type=TokenRecord)) < now - KEPT_MS
    ]
    return sum([int((await store.run("forget_tokens", part))[0]) for part in split(dead) if part])


def _ended(record: TokenRecord) -> float:
    return min(
        float("inf") if each is None else each for each in (record.revoked_at_ms, record.expires_at_ms)
    )


async def _keep(store: Store, record: TokenRecord, *, before: str, action: str, actor: str) -> bool:
    reply = await store.run(
        "keep_token",
        id=record.id,
        before=before,
        record=json.encode(record),
        control=f"{record.kind}_token",
        action=action,
        actor=actor,
        most=MOST,
    )
    if reply and reply[0] == "FULL":
        raise Busy(f"{MOST:,} tokens are kept already; revoked ones go after 30 days", code="rate_limited")
    return not reply
