"""The client of a deployment: one interface over HTTP (with a token) and over the store (trusted).

async with Client.from_url("http://127.0.0.1:8080") as client:
    job = await client.enqueue(type="noop", payload={})
    print((await client.wait(job.id)).status)
"""

from sluicegate.client.answers import JobPage, Metrics
from sluicegate.client.client import Client

__all__ = ["Client", "JobPage", "Metrics"]
