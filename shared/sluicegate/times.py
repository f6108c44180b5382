"""Times: milliseconds since the epoch inside, RFC 3339 UTC with milliseconds on every wire."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache


def now_ms() -> int:
    """This host's clock: for display and logs only. Leases and due times are the store's (`TIME`)."""
    return time.time_ns() // 1_000_000


@lru_cache(4096)
def to_rfc3339(ms: int) -> str:
    """1_700_000_000_123 -> '2023-11-14T22:13:20.123Z'."""
    seconds, millis = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix('+00:00')}.{millis:03d}Z"


def from_rfc3339(text: str) -> int:
    """'2023-11-14T22:13:20.123Z' -> 1_700_000_000_123. Raises ValueError; a time without zone is refused."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError("the time has no zone; write it like 2026-01-31T12:00:00.000Z")
    return round(parsed.timestamp() * 1000)
