"""A store that asks who comes: TLS with certificates on both sides, a user, a password from a file (60-6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sluicegate.errors import ConfigurationError, StoreFault, StoreUnavailable
from sluicegate.settings import Settings, load
from sluicegate.store import Store
from tests.support.secured_store import Secured, secured
from tests.support.wait import until

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("store"), "redis", tls=True) as store:
        yield store


@pytest.fixture(autouse=True)
async def _closed(running: Secured) -> AsyncIterator[None]:
    """asyncio closes a TLS connection some turns after it was told to, and a loop may end before."""
    yield

    def is_open() -> bool:
        connections = psutil.Process().net_connections("tcp")
        return any(each.raddr and each.raddr.port == running.port for each in connections)

    await until(lambda: not is_open(), "the connections are closed")


def settings(store: Secured, service: str = "queue_api", **other: Any) -> Settings:
    told = {f"SLUICEGATE_{name}": value for name, value in (store.settings(service) | other).items()}
    return load(Settings, environ={"SLUICEGATE_REDIS_TIMEOUT_MS": "1000", **told})


async def opened(chosen: Settings) -> None:
    store = await Store.open(chosen)
    try:
        await store.ping()
        async with store.blocking() as connection:
            assert connection.is_connected
    finally:
        await store.close()


async def test_it_is_used_by_tls_as_a_user(running: Secured) -> None:
    await opened(settings(running))


async def test_a_certificate_for_another_host_is_refused_unless_told_otherwise(running: Secured) -> None:
    url = f"rediss://sluicegate_queue_api@localhost:{running.port}/0"
    with pytest.raises(StoreUnavailable, match=r"localhost.*certificate is not accepted.*REDIS_CA_FILE"):
        await opened(settings(running, REDIS_URL=url))
    await opened(settings(running, REDIS_URL=url, REDIS_CHECK_HOSTNAME="0"))


async def test_a_certificate_of_another_authority_is_refused(running: Secured) -> None:
    with pytest.raises(StoreUnavailable, match="certificate is not accepted"):
        await opened(settings(running, REDIS_CA_FILE=str(running.folder / "stranger.pem")))


@pytest.mark.parametrize("name", ["", "stranger"])
async def test_the_store_refuses_who_shows_no_certificate_of_its_authority(
    running: Secured, name: str
) -> None:
    files = {suffix: str(running.folder / f"{name}.{suffix}") if name else "" for suffix in ("pem", "key")}
    with pytest.raises(StoreUnavailable, match="no store at"):
        await opened(settings(running, REDIS_CERT_FILE=files["pem"], REDIS_KEY_FILE=files["key"]))


async def test_a_wrong_password_is_named_at_once(running: Secured, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("another password\n")
    with pytest.raises(StoreUnavailable, match="does not know this user or its password") as caught:
        await opened(settings(running, REDIS_PASSWORD_FILE=str(tmp_path / "password")))
    assert "another password" not in str(caught.value)


async def test_too_few_rights_are_named(running: Secured) -> None:
    await opened(settings(running))  # a worker does not lay out a new store
    store = await Store.open(settings(running, "worker"))
    try:
        with pytest.raises(StoreFault, match=r"rights are too few \(deploy/redis\)"):
            await store.command("FLUSHALL")
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"REDIS_CA_FILE": "absent.pem"}, r"REDIS_CA_FILE='absent.pem' cannot be read"),
        ({"REDIS_PASSWORD_FILE": "absent"}, r"REDIS_PASSWORD_FILE='absent' cannot be read"),
        ({"REDIS_KEY_FILE": ""}, "REDIS_CERT_FILE and SLUICEGATE_REDIS_KEY_FILE need each other"),
        ({"REDIS_CA_FILE": __file__}, "holds no certificate or key"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "needs a store at rediss://"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
async def test_what_cannot_be_used_is_named(running: Secured, told: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await opened(settings(running, **told))
