"""Dead letters over HTTP: list, redrive, purge; and what all changes of many have in common (Q-8, 70-10)."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec
import pytest
import uuid_utils

from services.queue_api.app import build
from sluicegate import artifacts, keys
from sluicegate.errors import StoreUnavailable
from sluicegate.http import serving
from sluicegate.operations import many
from sluicegate.operations.calls import ManyCall, ManyFilter
from sluicegate.settings import QueueApiSettings, Settings
from sluicegate.store import audit, endings, invariants
from sluicegate.store.connection import Store
from tests.services.queue_api.conftest import Api
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, Made, now_ms, past
from tests.support.tokens import bearer, operator_token

CHANGES = ("/jobs/cancel", "/jobs/retry", "/dead-letters/redrive", "/dead-letters/purge")


@pytest.fixture
def builder(store: Store) -> JobBuilder:
    return JobBuilder(store)


async def letters(store: Store, builder: JobBuilder, **kinds: int) -> dict[str, list[str]]:
    """So many dead letters of each type, died in this order."""
    made: dict[str, list[str]] = {}
    for kind, number in kinds.items():
        for _ in range(number):
            made.setdefault(kind, []).append((await builder.dead_letter(type=kind)).job_id)
            await past(store, await now_ms(store))
    return made


async def ids(api: Api, query: str = "") -> list[str]:
    return [each["jobId"] for each in (await api.get(f"/dead-letters{query}")).json["items"]]


async def test_dead_letters_are_listed_newest_first(api: Api, builder: JobBuilder) -> None:
    """Q-8, 70-12: what died, of what, when."""
    plain = await builder.dead_letter()
    made = await builder.dead_letter(type="report", repository="github.com/acme/a")
    answer = (await api.get("/dead-letters")).json
    assert [each["jobId"] for each in answer["items"]] == [made.job_id, plain.job_id]
    assert answer["nextCursor"] is None
    letter = answer["items"][0]
    assert (
        letter.pop("id")
        and letter.pop("deadAt") == (await api.get(f"/jobs/{made.job_id}")).json["finishedAt"]
    )
    assert letter == {
        "jobId": made.job_id, "type": "report", "repository": "github.com/acme/a",
        "lane": "0|report|github.com/acme/a||", "lastError": "broken", "failureClass": "flaky", "attempts": 1,
    }  # fmt: skip
    assert answer["items"][1]["repository"] is None


async def test_a_failure_without_a_class_is_unclassified(api: Api) -> None:
    """70-12: there too where it is filtered by."""
    job_id, held = await api.running(maxAttempts=1)
    await api.post(f"/jobs/{job_id}/fail", {**held, "errorMessage": "broken"})
    assert (await api.get("/dead-letters")).json["items"][0]["failureClass"] == "unclassified"
    assert await ids(api, "?failureClass=unclassified") == [job_id]
    filter = {"failureClass": "unclassified"}
    dry = await api.post("/dead-letters/redrive", {"filter": filter, "dryRun": True})
    assert dry.json["matched"] == 1


async def test_a_listing_filters_and_pages(api: Api, store: Store, builder: JobBuilder) -> None:
    """Q-8, 70-12: nothing twice, nothing missing."""
    made = await letters(store, builder, a=3, b=2)
    other = await builder.dead_letter(type="a", repository="github.com/acme/a")
    assert await ids(api, "?type=b") == made["b"][::-1]
    assert await ids(api, "?repository=git@github.com:Acme/a.git") == [other.job_id]
    assert await ids(api, "?failureClass=flaky&type=a") == [other.job_id, *made["a"][::-1]]
    assert await ids(api, "?failureClass=other") == []
    for query in ("limit=2", "limit=2&type=a", "limit=1&type=b"):
        seen, cursor = [], ""
        while cursor is not None:
            page = (await api.get(f"/dead-letters?{query}{cursor and '&cursor=' + cursor}")).json
            seen += [each["jobId"] for each in page["items"]]
            cursor = page["nextCursor"]
        assert seen == await ids(api, "?" + query.partition("&")[2])


@pytest.mark.parametrize(
    ("query", "wrong"),
    [("limit=0", "limit"), ("limit=201", "limit"), ("cursor=x", "cursor"), ("type=No", "type"),
     ("repository=../x", "repository"), ("since=1", "since")],
)  # fmt: skip
async def test_a_wrong_listing_names_the_parameter(api: Api, query: str, wrong: str) -> None:
    assert (await api.get(f"/dead-letters?{query}")).paths == [wrong]


async def test_chosen_ones_are_redriven(api: Api, store: Store, builder: JobBuilder) -> None:
    """Q-8: by ids; each counted, each audited with actor and reason."""
    made = await letters(store, builder, a=3)
    one, two, other = made["a"]
    answer = await api.post("/dead-letters/redrive", {"ids": [two, one, two], "reason": "repaired"})
    assert answer.status == 200
    assert answer.json == {
        "matched": 2, "changed": 2, "dryRun": False,
        "items": [{"id": two, "status": 200}, {"id": one, "status": 200}],
    }  # fmt: skip
    assert await ids(api) == [other]
    entries, _ = await audit.page(store, audit.AuditFilter(control="dead_letter_redrive"))
    assert [(each.action, each.actor_user_id, each.reason, each.target) for each in entries] == [
        ("redrive", "local-operator", "repaired", one), ("redrive", "local-operator", "repaired", two),
    ]  # fmt: skip
    repeated = (await api.post("/dead-letters/redrive", {"ids": [two]})).json
    assert (repeated["changed"], repeated["items"]) == (0, [{"id": two, "status": 200}])
    assert await invariants.check(store) == []


async def test_those_that_died_first_run_first(api: Api, store: Store, builder: JobBuilder) -> None:
    """Q-8, Q-12: a filter redrives in order of death."""
    made = await letters(store, builder, a=4)
    assert (await api.post("/dead-letters/redrive", {"filter": {"type": "a"}})).json["changed"] == 4
    claimed = [job["id"] for job in (await api.claim(maxJobs=10))["jobs"]]
    assert claimed == made["a"]


async def test_each_refusal_is_told(api: Api, builder: JobBuilder) -> None:
    """70-49"""
    letter, running = await builder.dead_letter(type="a"), await builder.running(type="b")
    unknown = str(uuid_utils.uuid7())
    for change in ("/dead-letters/redrive", "/dead-letters/purge"):
        done = (await api.post(change, {"ids": [running.job_id, unknown]})).json
        assert (done["matched"], done["changed"]) == (0, 0)
        assert [(item["id"], item["status"], item["error"]["code"]) for item in done["items"]] == [
            (running.job_id, 409, "job_state_conflict"), (unknown, 404, "job_not_found"),
        ]  # fmt: skip
    assert await ids(api) == [letter.job_id]


async def test_a_purge_leaves_nothing(
    api: Api, store: Store, settings: Settings, builder: JobBuilder
) -> None:
    """Q-8: the job with all its keys and files; audited."""
    made = await builder.dead_letter()
    kept = await builder.dead_letter(type="kept")
    async with artifacts.open_store(settings).upload(made.job_id, str(uuid_utils.uuid7())) as upload:
        await upload.write(b"patch")
        await upload.finish()
    await store.command("HSET", keys.job_shelf(made.job_id, "artifacts"), "patch", "{}")
    done = await api.post("/dead-letters/purge", {"ids": [made.job_id], "reason": "old"})
    assert done.json["items"] == [{"id": made.job_id, "status": 200}]
    assert (await api.get(f"/jobs/{made.job_id}")).status == 404
    assert await ids(api) == [kept.job_id]
    assert not (settings.artifacts_dir / made.job_id).exists()
    left = {name for name, value in (await contents(store)).items() if made.job_id in f"{name} {value}"}
    assert left <= {"events", "claim:worker-1", "audit"}
    (entry,), _ = await audit.page(store, audit.AuditFilter(control="dead_letter_purge"))
    assert (entry.action, entry.actor_user_id, entry.reason, entry.target) == (
        "purge", "local-operator", "old", made.job_id,
    )  # fmt: skip
    again = (await api.post("/dead-letters/purge", {"ids": [made.job_id]})).json
    assert (again["changed"], again["items"][0]["status"]) == (0, 404)
    assert await invariants.check(store) == []


@pytest.mark.parametrize("change", CHANGES)
async def test_a_dry_run_counts_and_changes_nothing(
    api: Api, store: Store, builder: JobBuilder, change: str
) -> None:
    """Q-8, 70-10"""
    ours = {"repository": "github.com/acme/a"}
    for at, state in enumerate(builder.STATES):
        await builder.made(state, type=f"ours-{at}", **ours)
        await builder.made(state, type=f"other-{at}")
    expected = {"/jobs/cancel": 6, "/jobs/retry": 3}.get(change, 1)
    named = [job["id"] for job in (await api.get("/jobs?repository=acme/a&limit=200")).json["items"]]
    before = await contents(store)
    for choice in ({"filter": ours}, {"ids": named}, {"ids": named, "filter": ours}):
        answer = (await api.post(change, {**choice, "dryRun": True})).json
        assert answer == {"matched": expected, "changed": 0, "dryRun": True, "items": []}
    assert await contents(store) == before


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        ({}, "filter"),
        ({"filter": {}}, "filter"),
        ({"ids": []}, "filter"),
        ({"filter": {"tpye": "a"}}, "filter.tpye"),
        ({"filter": {"status": "done"}}, "filter.status"),
        ({"filter": {"createdAfter": "yesterday"}}, "filter.createdAfter"),
        ({"filter": {"repository": "../x"}}, "filter.repository"),
        ({"ids": ["7"]}, "ids[0]"),
        ({"ids": "7"}, "ids"),
        ({"ids": [], "filter": {"type": "a"}, "dry": True}, "dry"),
        ({"filter": {"type": "a"}, "reason": "x" * 2001}, "reason"),
    ],
    ids=str,
)
async def test_a_wrong_choice_changes_nothing(
    api: Api, store: Store, change: str, call: dict[str, Any], wrong: str
) -> None:
    """70-10: neither ids nor a filter with a field is never everything."""
    await api.enqueue(type="a")
    before = await contents(store)
    assert (await api.post(change, call)).paths == [wrong]
    assert await contents(store) == before


@pytest.mark.parametrize("change", CHANGES)
async def test_a_body_is_needed(api: Api, change: str) -> None:
    assert (await api.post(change)).status == 400
    answer = await api.post(change, data=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (400, "bad_request")


async def test_ids_and_a_filter_are_both_kept_to(api: Api, store: Store, builder: JobBuilder) -> None:
    """Those of the ids that fit the filter: nothing else, and no refusal for the others."""
    made = await letters(store, builder, a=2, b=1)
    call = {"ids": [made["a"][0], made["b"][0]], "filter": {"type": "a"}}
    done = (await api.post("/dead-letters/purge", call)).json
    assert done["items"] == [{"id": made["a"][0], "status": 200}]
    none = (await api.post("/dead-letters/purge", {"ids": [], "filter": {"type": "a"}})).json
    assert (none["matched"], none["changed"]) == (0, 0)
    assert await ids(api) == [made["b"][0], made["a"][1]]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"status": "queued"}, {"early", "late"}),
        ({"status": "running"}, {"runs"}),
        ({"type": "b"}, {"late"}),
        ({"repository": "acme/a"}, {"early"}),
        ({"createdAfter": "late"}, {"runs"}),
        ({"createdBefore": "late"}, {"early"}),
        ({"createdAfter": "early", "createdBefore": "runs"}, {"late"}),
        ({"status": "succeeded"}, set()),
    ],
    ids=str,
)
async def test_every_field_of_a_filter_narrows(
    api: Api, store: Store, filter: dict[str, str], expected: set[str]
) -> None:
    """70-10"""
    names: dict[str, str] = {}
    made: dict[str, dict[str, Any]] = {}
    for name, kind, payload in (
        ("early", "a", {"repository": "acme/a"}), ("late", "b", {}), ("runs", "c", {}),
    ):  # fmt: skip
        made[name] = await api.enqueue(type=kind, payload=payload)
        names[made[name]["id"]] = name
        await past(store, await now_ms(store))
    assert (await api.claim(allowedTypes=["c"]))["job"]["id"] == made["runs"]["id"]
    times = {name: job["createdAt"] for name, job in made.items()}
    call = {"filter": {field: times.get(value, value) for field, value in filter.items()}}
    done = (await api.post("/jobs/cancel", call)).json
    assert {names[item["id"]] for item in done["items"]} == expected
    assert (done["matched"], done["changed"]) == (len(expected), len(expected))


async def test_many_are_cancelled_each_in_its_way(api: Api, store: Store, builder: JobBuilder) -> None:
    """C-1, C-2, C-4, C-7: waiting ones end, running ones are asked, ended ones refuse; audited."""
    made = {
        state: (await builder.made(state, type=state.replace("_", "-"))).job_id for state in builder.STATES
    }
    done = (await api.post("/jobs/cancel", {"ids": list(made.values()), "reason": "enough"})).json
    states = {job_id: state for state, job_id in made.items()}
    refused = {states[item["id"]] for item in done["items"] if "error" in item}
    assert refused == {"succeeded", "failed", "dead_letter"}
    assert {item["error"]["code"] for item in done["items"] if "error" in item} == {"job_state_conflict"}
    assert (done["matched"], done["changed"]) == (6, 5), "one was asked before"
    after = {state: (await api.get(f"/jobs/{job_id}")).json for state, job_id in made.items()}
    assert {state for state, job in after.items() if job["status"] == "cancelled"} == {
        "waiting", "delayed", "returned", "stale", "cancelled",
    }  # fmt: skip
    assert (after["running"]["status"], after["running"]["cancelReason"]) == ("running", "enough")
    entries, _ = await audit.page(store, audit.AuditFilter(control="job_cancel"), limit=200)
    asked = [each for each in entries if each.reason == "enough"]
    assert {states[each.target or ""] for each in asked} == {
        "waiting", "delayed", "returned", "running", "stale",
    }  # fmt: skip
    assert {(each.action, each.actor_user_id) for each in asked} == {("request", "local-operator")}
    assert await invariants.check(store) == []


async def test_a_thousand_and_fifty_go_in_chunks(api: Api, store: Store, builder: JobBuilder) -> None:
    """70-10, 70-49: all are changed, up to 1,000 are named; no call to the store takes more than 100."""
    sizes: list[int] = []
    run = store.run

    async def measured(name: str, items: Any = (), /, **rest: Any) -> Any:
        if name == "cancel":
            sizes.append(len(items))
        return await run(name, items, **rest)

    store.run = measured  # type: ignore[method-assign]
    await builder.enqueued(*(builder.submission("bulk") for _ in range(1_050)))
    kept = await api.enqueue(type="kept")
    dry = (await api.post("/jobs/cancel", {"filter": {"type": "bulk"}, "dryRun": True})).json
    assert (dry["matched"], dry["changed"]) == (1_050, 0)
    done = (await api.post("/jobs/cancel", {"filter": {"type": "bulk"}})).json
    assert (done["matched"], done["changed"], len(done["items"])) == (1_050, 1_050, 1_000)
    assert len({item["id"] for item in done["items"]}) == 1_000
    assert sum(sizes) == 1_050 and max(sizes) <= 100
    assert [job["id"] for job in (await api.get("/jobs?status=queued")).json["items"]] == [kept["id"]]
    again = (await api.post("/jobs/retry", {"filter": {"status": "cancelled"}})).json
    assert (again["matched"], again["changed"]) == (1_050, 1_050)
    assert (await api.post("/jobs/retry", {"filter": {"status": "cancelled"}})).json["matched"] == 0


async def test_a_job_that_moved_meanwhile_is_found(api: Api, store: Store, builder: JobBuilder) -> None:
    """C-4: claimed, or handed back, while the others were looked at."""
    moves = await builder.running(type="a")
    waiting = await builder.waiting(type="a")
    fresh: list[str] = []
    command = store.command

    async def moving(*words: Any) -> Any:
        found = await command(*words)
        if words[:2] == ("ZRANGEBYSCORE", keys.status("queued")) and not fresh:
            await builder.ended(moves, endings.Release(moves.job_id, moves.token, "meanwhile"))
            await past(store, await now_ms(store))
            fresh.append((await builder.waiting(type="a")).job_id)
        return found

    store.command = moving  # type: ignore[method-assign]
    done = await many.cancel(store, ManyCall(filter=ManyFilter(type="a")), actor="ann")
    assert {item.id for item in done.items} == {moves.job_id, waiting.job_id}
    assert (await api.get(f"/jobs/{fresh[0]}")).json["status"] == "queued"


@pytest.mark.parametrize("change", [*CHANGES, "/jobs/{id}/retry"])
async def test_only_operators_change_many(
    api_settings: QueueApiSettings, store: Store, builder: JobBuilder, change: str
) -> None:
    """Q-8: a viewer looks, a producer does not even that; what an operator does is audited by name."""
    made = await builder.dead_letter()
    required = msgspec.structs.replace(
        api_settings, auth="required", bootstrap_admin_token="sgop-bootstrap-" + "x" * 40
    )
    body = {"reason": "r"} if "{id}" in change else {"ids": [made.job_id], "reason": "r"}
    path = change.replace("{id}", made.job_id)
    app = build(required, store)
    async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        closed = Api(f"http://{host}:{port}", session, app)
        before = await contents(store)
        refused = await closed.post(path, body)
        assert (refused.status, refused.code) == (401, "operator_auth_failed")
        for role, listed in (("producer", 403), ("viewer", 200)):
            shown = {"headers": bearer((await operator_token(store, role)).token)}
            refused = await closed.post(path, body, **shown)
            assert (refused.status, refused.code) == (403, "operator_not_authorized")
            assert (await closed.get("/dead-letters", **shown)).status == listed
        assert changed(before, await contents(store)) <= {"tokens", "audit"}
        shown = {"headers": bearer((await operator_token(store, "operator", user_id="ann")).token)}
        assert (await closed.post(path, body, **shown)).status == 200
    if change != "/jobs/cancel":
        done = [each for each in (await audit.page(store))[0] if each.target == made.job_id]
        assert [(each.actor_user_id, each.reason) for each in done] == [("ann", "r")]


async def test_a_call_that_was_cut_short_is_repeated(api: Api, store: Store, builder: JobBuilder) -> None:
    """Q-8, 70-10: what it had changed stays changed, and is changed and audited once."""
    await builder.enqueued(*(builder.submission("bulk", max_attempts=1) for _ in range(250)))
    for job in [job for _ in range(3) for job in await builder.claim(limit=100)]:
        made = Made(job.id, int(job.lease_token or 0))
        await builder.ended(made, endings.Fail(made.job_id, made.token, "broken"))
    run, calls = store.run, 0

    async def breaking(name: str, items: Any = (), /, **rest: Any) -> Any:
        nonlocal calls
        calls += name == "redrive"
        if calls == 2:
            raise StoreUnavailable("away")
        return await run(name, items, **rest)

    store.run = breaking  # type: ignore[method-assign]
    answer = await api.post("/dead-letters/redrive", {"filter": {"type": "bulk"}})
    assert (answer.status, answer.code) == (503, "store_unavailable")
    store.run = run  # type: ignore[method-assign]
    assert (await api.post("/dead-letters/redrive", {"filter": {"type": "bulk"}})).json["changed"] == 150
    entries, _ = await audit.page(store, audit.AuditFilter(control="dead_letter_redrive"), limit=500)
    assert len(entries) == len({each.target for each in entries}) == 250
    assert await invariants.check(store) == []
