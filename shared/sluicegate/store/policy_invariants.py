"""Says where worker policies, the times of their use and their bells disagree."""

from __future__ import annotations

import re
from typing import Final

from sluicegate import keys
from sluicegate.store.connection import Store
from sluicegate.store.findings import Finding, Findings
from sluicegate.store.pages import at_once, key_pages
from sluicegate.store.rendering import fields

READABLE: Final = re.compile(r"[+~][^|]*\|[^|]*\|[^|]*")


async def unreadable(store: Store) -> Findings:
    """Those that scripts would fail on."""
    for policy, text in fields(await store.command("HGETALL", keys.POLICIES)).items():
        if not READABLE.fullmatch(text):
            yield Finding("unreadable_policy", policy)


async def survey(store: Store) -> Findings:
    """At most 256 of them."""
    flat, used = await at_once(store, [("HGETALL", keys.POLICIES), ("ZRANGE", keys.POLICIES_USED, 0, -1)])
    known = set(fields(flat))
    for policy in sorted(known ^ set(used)):
        yield Finding("policy_unused", policy)
    for policy in sorted(known):
        if await store.command("LLEN", keys.bell(policy)) > 1:
            yield Finding("two_tokens", policy)
    for prefix in (keys.ready(""), keys.bell("")):
        async for page in key_pages(store, f"{prefix}*"):
            for policy in sorted({name.removeprefix(prefix).partition(":")[0] for name in page} - known):
                if await _left(store, policy):
                    yield Finding("policy_left", policy)


async def _left(store: Store, policy: str) -> bool:
    """Whether something of it is there without it, in one moment."""
    known, *left = await at_once(
        store,
        [("HEXISTS", keys.POLICIES, policy), ("EXISTS", keys.ready(policy)), ("EXISTS", keys.bell(policy))],
    )
    return not known and any(left)
