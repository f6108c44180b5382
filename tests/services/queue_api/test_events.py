"""A job's history over HTTP: appended by the holder, read in pages (Q-5, Q-6, 70-13)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.queue_api.conftest import Api


async def page(api: Api, job_id: str, **query: Any) -> dict[str, Any]:
    answer = await api.get(f"/jobs/{job_id}/events", params=query)
    assert answer.status == 200, answer.text
    return dict(answer.json)


async def test_one_event(api: Api) -> None:
    job_id, held = await api.running()
    body = {**held, "level": "warn", "message": "half way", "payload": {"kind": "task.note", "share": 0.5}}
    answer = await api.post(f"/jobs/{job_id}/events", body)
    assert answer.status == 201
    event = answer.json
    assert event == {
        "id": event["id"],
        "jobId": job_id,
        "level": "warn",
        "message": "half way",
        "payload": {"kind": "task.note", "share": 0.5},
        "createdAt": event["createdAt"],
    }
    assert (await page(api, job_id))["items"][-1] == event


async def test_many_events_in_order(api: Api) -> None:
    job_id, held = await api.running()
    events = [{"message": f"line {n}", "payload": {"kind": "log", "text": str(n)}} for n in range(500)]
    answer = await api.post(f"/jobs/{job_id}/events", {**held, "events": events})
    assert answer.status == 201
    assert [each["message"] for each in answer.json["items"]] == [f"line {n}" for n in range(500)]
    assert {each["level"] for each in answer.json["items"]} == {"info"}


async def test_pages_without_gap_or_repeat(api: Api) -> None:
    """Q-6, both ways."""
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/events", {**held, "events": [{"message": str(n)} for n in range(20)]})
    everything = (await page(api, job_id, limit=500))["items"]
    assert [each["message"] for each in everything] == [
        "Enqueued", "Attempt 1 claimed by worker-1", *map(str, range(20)),
    ]  # fmt: skip
    for sort, expected in (("asc", everything), ("desc", everything[::-1])):
        seen: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            found = await page(api, job_id, sort=sort, limit=7, **cursor)
            seen += found["items"]
            if found["nextCursor"] is None:
                break
            cursor = {"cursor": found["nextCursor"]}
        assert seen == expected


async def test_after_and_before_are_exclusive_and_chronological(api: Api) -> None:
    """70-13: an event id or a time, whatever the sort."""
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/events", {**held, "events": [{"message": str(n)} for n in range(5)]})
    everything = (await page(api, job_id))["items"]
    second, fifth = everything[1]["id"], everything[4]["id"]
    for sort, step in (("asc", 1), ("desc", -1)):
        found = await page(api, job_id, after=second, before=fifth, sort=sort)
        assert found["items"] == everything[2:4][::step]
    assert (await page(api, job_id, after="2999-01-01T00:00:00Z"))["items"] == []
    assert (await page(api, job_id, before="2999-01-01T00:00:00Z"))["items"] == everything
    assert (await page(api, job_id, after="2001-01-01T00:00:00Z"))["items"] == everything
    for first_of_all in ("1960-01-01T00:00:00Z", "0-0"):
        assert (await page(api, job_id, before=first_of_all))["items"] == []


async def test_a_cursor_goes_on_in_its_own_sort(api: Api) -> None:
    """Q-6: in the other one it would lead back where it came from."""
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/events", {**held, "events": [{"message": str(n)} for n in range(5)]})
    for sort, other in (("asc", "desc"), ("desc", "asc")):
        cursor = (await page(api, job_id, sort=sort, limit=3))["nextCursor"]
        refused = await api.get(f"/jobs/{job_id}/events", params={"sort": other, "cursor": cursor})
        assert refused.paths == ["cursor"]
        assert f"sort={sort}" in refused.json["errors"][0]["message"]


async def test_an_id_that_no_event_can_have_had_is_refused(api: Api) -> None:
    """Q-6: who goes on behind it would see nothing for years. Behind the newest is nothing yet."""
    job_id, _ = await api.running()
    newest = (await page(api, job_id))["items"][-1]["id"]
    assert await page(api, job_id, after=newest) == {"items": [], "nextCursor": None}
    beyond = await api.get(f"/jobs/{job_id}/events", params={"after": "9999999999999-0"})
    assert beyond.paths == ["after"]
    assert "beyond the end" in beyond.json["errors"][0]["message"]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"after": "nonsense"}, "after"),
        ({"before": "2026-01-01T00:00:00"}, "before"),
        ({"after": "9" * 40}, "after"),
        ({"after": "1-" + "9" * 40}, "after"),
        ({"after": "-5"}, "after"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "asc.nonsense"}, "cursor"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"sort": "up"}, "sort"),
        ({"since": "1"}, "since"),
    ],
)
async def test_a_wrong_parameter_is_named(api: Api, query: dict[str, str], path: str) -> None:
    job = await api.enqueue()
    assert (await api.get(f"/jobs/{job['id']}/events", params=query)).paths == [path]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": "a", "level": "debug"}, "level"),
        ({"message": "a", "payload": "text"}, "payload"),
        ({"message": "a", "events": [{"message": "b"}]}, "message"),
        ({"level": "info", "events": [{"message": "b"}]}, "level"),
        ({"events": []}, "events"),
        ({"events": [{"message": "a"}] * 501}, "events"),
        ({"events": [{"message": "a"}, {"message": ""}]}, "events[1].message"),
        ({"events": [{"text": "a", "message": "b"}]}, "events[0].text"),
    ],
)
async def test_a_wrong_field_is_named(api: Api, body: dict[str, Any], path: str) -> None:
    job_id, held = await api.running()
    assert (await api.post(f"/jobs/{job_id}/events", {**held, **body})).paths == [path]
    assert len((await page(api, job_id))["items"]) == 2


async def test_an_event_is_bounded(api: Api) -> None:
    """70-13: 32 KiB as JSON, and nothing of a call that brings a larger one is taken."""
    job_id, held = await api.running()
    large = {"message": "a", "payload": {"text": "x" * 33_000}}
    for body in (large, {"events": [{"message": "b"}, large]}):
        answer = await api.post(f"/jobs/{job_id}/events", {**held, **body})
        assert (answer.status, answer.code) == (413, "payload_too_large")
    assert len((await page(api, job_id))["items"]) == 2


async def test_only_the_holder_may_append(api: Api) -> None:
    job_id, held = await api.running()
    body = {**held, "message": "a"}
    stale = await api.post(f"/jobs/{job_id}/events", {**body, "leaseToken": "9"})
    assert (stale.status, stale.code) == (409, "lease_lost")
    other = await api.post(f"/jobs/{job_id}/events", {**body, "workerId": "worker-2"})
    assert (other.status, other.code) == (409, "job_ownership_mismatch")
    await api.post(f"/jobs/{job_id}/complete", held)
    late = await api.post(f"/jobs/{job_id}/events", body)
    assert (late.status, late.code) == (409, "lease_lost")


async def test_the_history_of_no_job_is_not_found(api: Api) -> None:
    for job_id in ("00000000-0000-7000-8000-000000000000", "1"):
        for path in ("events", "events/stream"):
            answer = await api.get(f"/jobs/{job_id}/{path}")
            assert (answer.status, answer.code) == (404, "job_not_found")
