"""Which way a worker goes to the queue, and with what in its hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.errors import ConfigurationError
from sluicegate.settings import WorkerSettings, load, masked
from sluicegate.worker import Worker
from sluicegate.worker.transports.http import HttpTransport
from sluicegate.worker.transports.redis import RedisTransport

URL = "https://queue.example.com"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, RedisTransport),
        ({"SLUICEGATE_URL": URL}, HttpTransport),
        ({"SLUICEGATE_URL": URL, "SLUICEGATE_WORKER_TRANSPORT": "redis"}, RedisTransport),
        ({"SLUICEGATE_WORKER_TRANSPORT": "http"}, HttpTransport),
    ],
    ids=["nothing", "an address", "an address, but redis", "http"],
)
async def test_the_way_is_chosen_by_the_settings(environ: dict[str, str], expected: type) -> None:
    """70-43."""
    worker = Worker.from_settings(load(WorkerSettings, environ=environ))
    assert type(worker._transport) is expected


async def test_a_worker_from_an_address_needs_nothing_else() -> None:
    worker = Worker.from_url(URL, "sgwt_secret", concurrency=2, capabilities=["git"])
    assert (worker.settings.url, worker.settings.worker_concurrency) == (URL, 2)
    assert worker.settings.credential() == "sgwt_secret"
    assert "sgwt_secret" not in str(masked(worker.settings))


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not the address of a server"):
        Worker.from_url("queue.example.com")


def test_a_token_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("sgwt_from-a-file\n")
    assert WorkerSettings(token_file=file).credential() == "sgwt_from-a-file"
    assert WorkerSettings().credential() is None
    with pytest.raises(ConfigurationError, match=r"SLUICEGATE_TOKEN_FILE=.*absent.*cannot be read"):
        WorkerSettings(token_file=tmp_path / "absent").credential()


def test_an_empty_token_file_is_no_token(tmp_path: Path) -> None:
    """An unset secret, mounted as an empty file, would make the worker one without a token."""
    file = tmp_path / "token"
    file.write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        WorkerSettings(token_file=file).credential()


@pytest.mark.parametrize(
    ("address", "environ", "expected"),
    [
        ("https://queue.example.com", {"https_proxy": "http://proxy:3128"}, "http://proxy:3128"),
        ("http://queue.example.com", {"https_proxy": "http://proxy:3128"}, None),
        ("https://queue.example.com", {"https_proxy": "http://p:1", "no_proxy": "example.com"}, None),
        ("http://127.0.0.1:8080", {"http_proxy": "http://proxy:3128"}, None),
        ("http://localhost:8080", {"http_proxy": "http://proxy:3128"}, None),
    ],
)
def test_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, address: str, environ: dict[str, str], expected: str | None
) -> None:
    from sluicegate.client.http_connection import _proxy

    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert _proxy(address) == expected
