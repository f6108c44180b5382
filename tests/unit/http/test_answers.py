"""Every answer of both services: JSON, or a problem document with a stable code (spec 00-5, 70-3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.http.conftest import Site

JSON = {"Content-Type": "application/json"}


async def problem(site: Site, method: str, path: str, **rest: Any) -> dict[str, Any]:
    response = await site.call(method, path, **rest)
    assert response.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = await response.json(content_type=None)
    assert document["status"] == response.status
    assert {"type", "title", "detail", "code"} <= document.keys()
    return document


async def test_a_body_comes_back_as_it_was_understood(site: Site) -> None:
    response = await site.call("POST", "/thing", json={"name": "a", "leaseSeconds": 2})
    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
    assert await response.json() == {"name": "a", "leaseSeconds": 2.0}


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code"),
    [
        ("GET", "/nothing", {}, 404, "not_found"),
        ("GET", "/thing", {}, 405, "method_not_allowed"),
        ("POST", "/thing", {"data": b"{}"}, 415, "unsupported_media_type"),
        ("POST", "/thing", {"data": b"a=1", "headers": {"Content-Type": "text/plain"}}, 415, None),
        ("POST", "/thing", {"data": {"a": "1"}}, 415, "unsupported_media_type"),
        (
            "POST",
            "/thing",
            {"data": b"{}", "headers": {"Content-Type": "application/json; charset=latin-1"}},
            415,
            None,
        ),
        ("POST", "/thing", {"data": b"{", "headers": JSON}, 400, "bad_request"),
        ("POST", "/thing", {"data": b"", "headers": JSON}, 400, "bad_request"),
        ("POST", "/thing", {}, 400, "bad_request"),
        (
            "POST",
            "/thing",
            {"data": b"no gzip", "headers": {**JSON, "Content-Encoding": "gzip"}},
            400,
            "bad_request",
        ),
        ("POST", "/thing", {"data": b" " * 1_001, "headers": JSON}, 413, "payload_too_large"),
        ("GET", "/fail/busy", {}, 429, "queue_full"),
        ("GET", "/fail/away", {}, 503, "store_unavailable"),
        ("GET", "/fail/conflict", {}, 409, "not_drained"),
        ("GET", "/readyz", {}, 503, "store_unavailable"),
    ],
)
async def test_refusals(site: Site, method: str, path: str, sent: Any, status: int, code: str | None) -> None:
    found = await problem(site, method, path, **sent)
    assert found["status"] == status
    assert code is None or found["code"] == code


async def test_json_with_a_charset_is_json(site: Site) -> None:
    sent = {"Content-Type": "Application/JSON; charset=UTF-8"}
    assert (await site.call("POST", "/thing", data=b"{}", headers=sent)).status == 200


async def test_wrong_fields_are_listed(site: Site) -> None:
    found = await problem(site, "POST", "/thing", json={"nam": 1, "leaseSeconds": 0})
    assert (found["status"], found["code"]) == (422, "validation_failed")
    assert [each["path"] for each in found["errors"]] == ["nam", "leaseSeconds"]
    assert all(each["message"] for each in found["errors"])


async def test_a_body_may_be_left_out_where_it_is_optional(site: Site) -> None:
    """70-42; what is there is still checked."""
    assert await (await site.call("POST", "/optional")).json() == {"name": "none", "leaseSeconds": 1.0}
    assert await (await site.call("POST", "/optional", data=b"", headers=JSON)).json()
    assert (await problem(site, "POST", "/optional", data=b"{}"))["status"] == 415
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await problem(site, "POST", "/optional", data=b"", headers=form))["status"] == 415
    assert (await problem(site, "POST", "/optional", json=[]))["status"] == 422


@pytest.mark.parametrize("text", ["limt=1", "limit=x", "limit=1&limit=2", "limit="])
async def test_parameters_are_as_strict_as_bodies(site: Site, text: str) -> None:
    found = await problem(site, "GET", f"/asked?{text}")
    assert (found["status"], found["errors"][0]["path"]) == (422, text.split("=", maxsplit=1)[0])
    assert await (await site.call("GET", "/asked?limit=7")).json() == {"limit": 7}


async def test_come_back_later_says_when(site: Site) -> None:
    for how in ("busy", "away"):
        assert int((await site.call("GET", f"/fail/{how}")).headers["Retry-After"]) > 0
    assert "Retry-After" not in (await site.call("GET", "/fail/conflict")).headers


async def test_a_problem_carries_what_the_error_knows(site: Site) -> None:
    assert (await problem(site, "GET", "/fail/conflict"))["metrics"] == {"running": 1}


async def test_a_wrong_method_names_the_right_ones(site: Site) -> None:
    assert (await site.call("DELETE", "/thing")).headers["Allow"] == "POST"


async def test_an_unexpected_error_shows_nothing_of_itself(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """500 without traceback or text; the log has both."""
    response = await site.call("GET", "/fail/bug")
    text = await response.text()
    assert (response.status, json.loads(text)["code"]) == (500, "internal_error")
    assert "sgop_" not in text
    assert "Traceback" not in text
    record = next(each for each in caplog.records if each.message == "request_failed")
    assert record.exc_info is not None
    assert "sgop_1234" in str(record.exc_info[1])


async def test_a_redirect_is_left_alone(site: Site) -> None:
    response = await site.call("GET", "/fail/redirect")
    assert (response.status, response.headers["Location"]) == (303, "/thing")


async def test_everyone_is_the_default_user_while_auth_is_disabled(site: Site) -> None:
    assert await (await site.call("GET", "/whoami")).json() == {"user": "local-operator", "role": "admin"}


async def test_a_living_process_says_so_without_its_store(site: Site) -> None:
    assert (await site.call("GET", "/healthz")).status == 200


async def test_an_error_in_mid_stream_ends_the_stream(site: Site) -> None:
    """There is no status left to say it with; no second answer is written into the first."""
    response = await site.call("GET", "/follow")
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert await response.text() == (
        ': keepalive\n\nid: 1-0\nevent: job.event\ndata: {"n":1}\n\nevent: end\ndata: {}\n\n'
    )
    assert (await site.call("GET", "/healthz")).status == 200


async def test_requests_are_counted_by_route_template(site: Site) -> None:
    """70-38: also what was refused; never a value of the request."""
    for path in ("/fail/busy", "/fail/away", "/nothing/7"):
        await site.call("GET", path)
    await site.call("POST", "/poll/0.01")
    await site.call("PURGE", "/thing")
    text = await (await site.call("GET", "/metrics")).text()
    assert 'sluicegate_http_requests_total{method="GET",route="/fail/{how}",status="429"} 1.0' in text
    assert 'sluicegate_http_requests_total{method="GET",route="/fail/{how}",status="503"} 1.0' in text
    assert 'sluicegate_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'sluicegate_http_requests_total{method="other",route="unmatched",status="405"} 1.0' in text
    assert 'sluicegate_http_request_seconds_count{method="GET",route="/fail/{how}"} 2.0' in text
    assert 'sluicegate_http_requests_total{method="POST",route="/poll/{seconds}",status="200"} 1.0' in text
    assert 'sluicegate_http_request_seconds_count{method="POST",route="/poll/{seconds}"} 0.0' in text
