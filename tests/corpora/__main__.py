"""`python -m tests.corpora`: run all scripted runs in a store of their own, and record how they end."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

from sluicegate.dev.embedded_store import EmbeddedStore
from sluicegate.settings import Settings
from sluicegate.store import Store
from tests.corpora import outcomes
from tests.corpora.judging import SLOTS, judge, rules


async def _judged(settings: Settings, folder: Path) -> list[outcomes.Outcome]:
    store = await Store.open(settings)
    try:
        return await judge(store, settings, folder, SLOTS)
    finally:
        await store.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sluicegate-corpora-") as name:
        folder = Path(name)
        server = EmbeddedStore(folder / "store")
        server.start()
        try:
            began = time.monotonic()
            found = asyncio.run(
                _judged(rules(Settings(redis_url=server.url, data_dir=folder / "data")), folder)
            )
        finally:
            server.kill()
    seconds = round(time.monotonic() - began)
    outcomes.record(outcomes.Judgement(len(os.sched_getaffinity(0)), SLOTS, seconds, found))
    print("\n".join([*(f"not right: {each}" for each in found if not each.right), *outcomes.sums(found)]))


if __name__ == "__main__":
    main()
