"""While auth is disabled: another site's page changes nothing (70-18), loopback only (70-63)."""

from __future__ import annotations

import pytest

from sluicegate.errors import ConfigurationError
from sluicegate.http import serving
from sluicegate.http.service import refuse_open_address
from sluicegate.settings import ServerSettings
from tests.unit.http.conftest import Site, small_app


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1", "http://["]
)
async def test_a_foreign_origin_changes_nothing(site: Site, origin: str) -> None:
    """70-18, also one that is no address at all."""
    response = await site.call("POST", "/thing", json={}, headers={"Origin": origin})
    assert response.status == 403
    assert (await response.json(content_type=None))["code"] == "csrf_failed"


async def test_the_own_origin_may_and_so_may_none(site: Site) -> None:
    assert (await site.call("POST", "/thing", json={}, headers={"Origin": site.url})).status == 200
    assert (await site.call("POST", "/thing", json={})).status == 200
    assert (await site.call("GET", "/whoami", headers={"Origin": "https://evil.example"})).status == 200


async def test_a_foreign_name_for_the_loopback_address_is_not_our_origin(site: Site) -> None:
    """A site can point its own name at 127.0.0.1; its page then has an Origin that equals the Host."""
    sent = {"Origin": "http://evil.example:8080", "Host": "evil.example:8080"}
    assert (await site.call("POST", "/thing", json={}, headers=sent)).status == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.0.2.1", "10.0.0.1"])
async def test_only_loopback_addresses_are_listened_on(host: str) -> None:
    """70-63"""
    with pytest.raises(ConfigurationError, match="SLUICEGATE_ALLOW_INSECURE"):
        async with serving(small_app(ServerSettings()), host, 0):
            raise AssertionError("it listens")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
async def test_loopback_addresses_are_fine(host: str) -> None:
    await refuse_open_address(ServerSettings(), host)


async def test_who_insists_may_listen_anywhere() -> None:
    await refuse_open_address(ServerSettings(allow_insecure=True), "0.0.0.0")


async def test_an_address_in_use_is_a_plain_message(site: Site) -> None:
    port = int(site.url.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
        async with serving(small_app(ServerSettings()), "127.0.0.1", port):
            raise AssertionError("it listens")
