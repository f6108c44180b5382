"""What a store must be like before jobs are entrusted to it: refused, or warned about, at start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sluicegate.errors import ConfigurationError, OutcomeUnknown, StoreError, StoreUnavailable
from sluicegate.log import log
from sluicegate.settings import Settings

Command = Callable[..., Awaitable[Any]]


async def check(command: Command, settings: Settings) -> None:
    """Refuse a store that would lose jobs; a server that hides its configuration is taken at its word.

    Raises ConfigurationError naming what to change in the store, StoreUnavailable, OutcomeUnknown.
    """
    policy = await _configured(command, "maxmemory-policy")
    appendonly = await _configured(command, "appendonly")
    appendfsync = await _configured(command, "appendfsync")
    if policy not in (None, "noeviction"):
        raise ConfigurationError(
            f"the store's maxmemory-policy is {policy!r}: it would delete jobs. Set it to `noeviction`."
        )
    if settings.durability == "local" and (appendonly, appendfsync) != ("yes", "always"):
        raise ConfigurationError(
            "SLUICEGATE_DURABILITY='local' needs a store with `appendonly yes` and `appendfsync always`; "
            f"it has appendonly {appendonly!r}, appendfsync {appendfsync!r}"
        )
    if appendonly == "no":
        log.warning("store.not_durable", detail="a restart of the store loses jobs; set `appendonly yes`")


async def _configured(command: Command, name: str) -> str | None:
    try:
        found = await command("CONFIG", "GET", name)
    except (StoreUnavailable, OutcomeUnknown):
        raise
    except StoreError:
        return None
    return str(found[1]) if found else None
