"""Lines from a descriptor, however they are cut, and without holding up who stops listening (60-2)."""

from __future__ import annotations

import asyncio
import os

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.mcp.stdio import lines


@given(st.lists(st.binary(max_size=5) | st.just(b"\n"), max_size=12))
def test_lines_are_whole_however_they_come(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    expected = [line.decode(errors="replace") for line in whole.split(b"\n")]
    assert asyncio.run(read(chunks)) == (expected if expected[-1] else expected[:-1])


async def read(chunks: list[bytes]) -> list[str]:
    reading, writing = os.pipe()
    try:
        collected = asyncio.create_task(collect(reading))
        for chunk in chunks:
            os.write(writing, chunk)
            await asyncio.sleep(0)
        os.close(writing)
        return await collected
    finally:
        os.close(reading)


async def collect(descriptor: int) -> list[str]:
    return [line async for line in lines(descriptor)]
