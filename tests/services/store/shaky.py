"""A store behind a stretch of network that breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from sluicegate.settings import Settings
from sluicegate.store import Store
from sluicegate.store.connections import connector
from tests.services.client.breakage import Breakage


@asynccontextmanager
async def behind(breakage: Breakage, settings: Settings, **changed: Any) -> AsyncIterator[Store]:
    """Neither checked nor laid out. changed: settings that it has instead."""
    async with breakage.listening() as url:
        address = url.replace("http:", "redis:") + "/0"
        broken = msgspec.structs.replace(settings, redis_url=address, **changed)
        shaky = Store(broken, connector(broken))
        try:
            yield shaky
        finally:
            await shaky.close()
