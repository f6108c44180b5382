"""What a store must be like before jobs are entrusted to it: refused, or warned of, at start (DESIGN 8)."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from sluicegate.errors import ConfigurationError, OutcomeUnknown, StoreError, StoreUnavailable
from sluicegate.log import log
from sluicegate.settings import Settings

OLDEST: Final = (7, 0)
"""The first Redis whose scripts say by flags what they may do, which ends of attempts at maxmemory need."""
CLOCK_SECONDS: Final = 2.0
"""So far a host's clock may be from the store's without a word."""

Command = Callable[..., Awaitable[Any]]
Info = Mapping[str, str]


async def check(command: Command, settings: Settings) -> None:
    """Refuse a store that would lose jobs, warn about one that may.

    A server that hides what it is, is taken at its word, except for what SLUICEGATE_DURABILITY promises.
    Raises ConfigurationError naming what to change in the store, StoreUnavailable, OutcomeUnknown.
    """
    info = parsed(await _if_told(command, "INFO") or "")
    refuse_unfit(info)
    refuse_evicting(info.get("maxmemory_policy") or await _configured(command, "maxmemory-policy"))
    append_only = {"1": "yes", "0": "no"}.get(info.get("aof_enabled", "")) or await _configured(
        command, "appendonly"
    )
    if settings.durability == "local":
        refuse_unsynced(append_only, await _configured(command, "appendfsync"))
    for event, detail in [*worries(info, settings.max_memory_share, append_only), *await _clock(command)]:
        log.warning(event, detail=detail)


def parsed(text: str) -> Info:
    """INFO's lines by name; empty for a server that does not answer it."""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))


def refuse_unfit(info: Info) -> None:
    """Too old a server, or one that takes no writes. Raises ConfigurationError."""
    version = info.get("redis_version", "")
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        raise ConfigurationError(
            f"the store is Redis {version}: Redis 7.0 or newer is needed, or any version of Valkey"
        )
    if info.get("role") == "slave":
        raise ConfigurationError(
            f"the store is a replica of {info.get('master_host')}:{info.get('master_port')}: "
            "SLUICEGATE_REDIS_URL has to name the server that takes the writes"
        )


def refuse_evicting(policy: str | None) -> None:
    """Raises ConfigurationError for a server that deletes keys when its memory is full."""
    if policy not in (None, "noeviction"):
        raise ConfigurationError(
            f"the store's maxmemory-policy is {policy!r}: it would delete jobs. Set it to `noeviction`."
        )


def refuse_unsynced(append_only: str | None, fsync: str | None) -> None:
    """Raises ConfigurationError unless what is acknowledged is on disk, as `local` promises."""
    if (append_only, fsync) != ("yes", "always"):
        raise ConfigurationError(
            "SLUICEGATE_DURABILITY='local' needs a store with `appendonly yes` and `appendfsync always`; "
            f"it has appendonly {append_only!r}, appendfsync {fsync!r}"
        )


def worries(info: Info, memory_share: float, append_only: str | None) -> list[tuple[str, str]]:
    """What is allowed and may cost jobs: an event's name and what to do about it, each."""
    found = []
    if append_only == "no":
        found.append(("store.not_durable", "a restart of the store loses jobs; set `appendonly yes`"))
    if info.get("aof_last_write_status", "ok") != "ok" or info.get("rdb_last_bgsave_status", "ok") != "ok":
        found.append(("store.writes_fail", "its last write to disk failed; look at its log and its disk"))
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if info and not most:
        found.append(
            ("store.memory_unlimited", "nothing ends its growth before the machine does; set `maxmemory`")
        )
    elif info and used > most * memory_share:
        found.append(
            ("store.memory_short", f"it uses {used / most:.0%} of its `maxmemory`: no new job is accepted")
        )
    return found


async def _clock(command: Command) -> list[tuple[str, str]]:
    """Leases and due times go by the store's clock alone; tokens that expire, and people, by the hosts'."""
    before = time.time()
    seconds, micros = await command("TIME")
    after = time.time()
    now = int(seconds) + int(micros) / 1e6
    apart = max(before - now, now - after, 0.0)
    if apart <= CLOCK_SECONDS:
        return []
    ahead = "ahead of" if now > after else "behind"
    return [("store.clock_differs", f"its clock is {apart:.1f} s {ahead} this host's; set both by NTP")]


async def _configured(command: Command, name: str) -> str | None:
    found = await _if_told(command, "CONFIG", "GET", name)
    return str(found[1]) if found else None


async def _if_told(command: Command, *words: str) -> Any:
    """The reply; None where the server, or its user's rights, do not allow to ask."""
    try:
        return await command(*words)
    except (StoreUnavailable, OutcomeUnknown):
        raise
    except StoreError:
        return None
