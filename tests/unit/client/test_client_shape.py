"""The client costs only what its transport needs, and its two forms of a job agree."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest
from msgspec.structs import fields

from sluicegate.client.client import JobFields
from sluicegate.client.patience import Patience
from sluicegate.errors import StoreUnavailable
from sluicegate.model import NewJob


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import sluicegate", ["aiohttp", "redis", "msgspec", "click"]),
        ("from sluicegate import Client; Client.from_redis('redis://127.0.0.1:1/0')", ["aiohttp"]),
        ("from sluicegate import Client; Client.from_url('http://127.0.0.1:1')", ["redis"]),
        ("import sluicegate.cli.main, sluicegate.cli.version", ["aiohttp", "redis", "rich", "asyncio"]),
    ],
)
def test_nothing_is_imported_that_is_not_needed(program: str, absent: list[str]) -> None:
    check = f"import sys; {program}; print([name for name in {absent} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check], check=True, capture_output=True, text=True, timeout=30
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_the_keywords_of_enqueue_are_the_fields_of_a_job() -> None:
    assert list(JobFields.__annotations__) == [field.name for field in fields(NewJob)]


async def test_patience_ends_with_the_error() -> None:
    patience = Patience(0.15, first_seconds=0.01, longest_seconds=0.02)
    error = StoreUnavailable("away")
    tries = 0
    started = time.monotonic()
    with pytest.raises(StoreUnavailable) as raised:
        while tries < 100:
            await patience.wait(error)
            tries += 1
    assert raised.value is error
    assert tries >= 5
    assert time.monotonic() - started < 1.0


async def test_patience_without_time_does_not_wait() -> None:
    with pytest.raises(StoreUnavailable):
        await Patience(0).wait(StoreUnavailable("away"))


async def test_patience_starts_anew_once_it_worked() -> None:
    patience = Patience(0.05, first_seconds=0.01, longest_seconds=0.01)
    for _ in range(20):
        await asyncio.wait_for(patience.wait(StoreUnavailable("away")), 1)
        patience.regained()
