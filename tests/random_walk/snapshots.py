"""The whole store at one moment, told apart by a digest."""

from __future__ import annotations

from typing import Final

from sluicegate import keys
from sluicegate.store.connection import Store

_DIGEST: Final = """
local names, dumps = redis.call('KEYS', ARGV[1]), {}
table.sort(names)
for at, name in ipairs(names) do
  dumps[at] = name .. redis.call('DUMP', name)
end
return redis.sha1hex(table.concat(dumps))
"""


async def digest(store: Store) -> str:
    """Equal ones: nothing was written in between."""
    found: str = await store.command("EVAL", _DIGEST, 0, keys.Q + "*")
    return found
