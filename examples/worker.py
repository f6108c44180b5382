"""Greets whoever a job names, one greeting for each of three languages."""

import asyncio

from sluicegate import JobContext, Worker

GREETINGS = ("Hello", "Bonjour", "Hallo")
worker = Worker.from_redis()  # the store of SLUICEGATE_REDIS_URL


@worker.handler("greet")
async def greet(ctx: JobContext) -> str:
    name = ctx.job.payload["name"]
    for greeting in GREETINGS:
        await ctx.checkpoint()  # a cancel, a pause and a shutdown are obeyed here
        await ctx.log(f"{greeting}, {name}!\n")
    return f"greeted {name} {len(GREETINGS)} times"


if __name__ == "__main__":
    asyncio.run(worker.run())
