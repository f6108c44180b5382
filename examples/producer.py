"""Enqueues a greeting, shows what happens to it, and prints the result."""

import asyncio
import os

from sluicegate import Client

URL = os.environ.get("SLUICEGATE_URL", "http://127.0.0.1:8080")


async def main() -> None:
    async with Client.from_url(URL) as client:
        job = await client.enqueue(type="greet", payload={"name": "world"}, max_attempts=5)
        async for event in client.events(job.id):
            print(event.created_at, event.message)
        job = await client.wait(job.id)
        print(job.status, "-", job.result_summary)


if __name__ == "__main__":
    asyncio.run(main())
