"""Listing jobs with filters and cursors (70-2, 70-57)."""

from __future__ import annotations

import pytest

from tests.services.queue_api.conftest import Api


async def ids(api: Api, query: str = "") -> list[str]:
    answer = await api.get(f"/jobs{query}")
    assert answer.status == 200, answer.text
    assert set(answer.json) == {"items", "nextCursor"}
    return [each["id"] for each in answer.json["items"]]


async def test_an_empty_queue_is_an_empty_page(api: Api) -> None:
    assert (await api.get("/jobs")).json == {"items": [], "nextCursor": None}


async def test_pages_follow_each_other_without_gap_or_repeat(api: Api) -> None:
    made = [(await api.enqueue(payload={"n": n}))["id"] for n in range(7)]
    seen: list[str] = []
    cursor = ""
    for _ in range(10):
        answer = await api.get(f"/jobs?limit=3{cursor}")
        seen += [each["id"] for each in answer.json["items"]]
        if answer.json["nextCursor"] is None:
            break
        cursor = f"&cursor={answer.json['nextCursor']}"
    assert sorted(seen) == sorted(made)
    assert len(seen) == 7


async def test_filters_narrow(api: Api) -> None:
    plain = await api.enqueue()
    other = await api.enqueue(type="other")
    routed = await api.enqueue(payload={"repository": "acme/a"}, priority=-1)
    delayed = await api.enqueue(delaySeconds=60)
    running = (await api.claim("w-7", allowedTypes=["other"]))["job"]["id"]
    assert running == other["id"]
    everything = {plain["id"], other["id"], routed["id"], delayed["id"]}
    assert set(await ids(api)) == everything
    assert await ids(api, "?status=running") == [running]
    assert set(await ids(api, "?status=queued")) == everything - {running}
    assert await ids(api, "?status=succeeded") == []
    assert await ids(api, "?type=other") == [running]
    assert await ids(api, "?repository=https://github.com/Acme/a.git") == [routed["id"]]
    assert await ids(api, "?claimedBy=w-7") == [running]
    assert await ids(api, f"?createdAfter={delayed['createdAt']}") == []
    assert set(await ids(api, "?createdBefore=2999-01-01T00:00:00Z&limit=200")) == everything
    assert await ids(api, "?type=other&status=queued") == []


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("status=done", "status"),
        ("type=Echo", "type"),
        ("repository=a", "repository"),
        ("createdAfter=yesterday", "createdAfter"),
        ("createdBefore=5", "createdBefore"),
        ("cursor=nonsense", "cursor"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("owner=me", "owner"),
        ("limit=5&limit=6", "limit"),
    ],
)
async def test_a_wrong_parameter_is_named(api: Api, query: str, path: str) -> None:
    assert (await api.get(f"/jobs?{query}")).paths == [path]


@pytest.mark.parametrize(
    "job_id", ["1", "00000000-0000-7000-8000-000000000000", "..%2F..", "a" * 4000, "x:events", "%00"]
)
async def test_what_is_no_job_is_not_found(api: Api, job_id: str) -> None:
    """70-42: a malformed id in a path too."""
    answer = await api.get(f"/jobs/{job_id}")
    assert (answer.status, answer.code) == (404, "job_not_found")
