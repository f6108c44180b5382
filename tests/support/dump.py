"""Everything that a store holds, to compare before and after."""

from __future__ import annotations

import redis


def dump(url: str) -> dict[bytes, bytes]:
    """Each key with its serialised value. Equal dumps: nothing was written in between."""
    with redis.Redis.from_url(url, protocol=2) as client:
        return {name: client.dump(name) for name in client.scan_iter(count=1000)}
