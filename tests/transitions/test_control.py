"""control: what an operator asks of one run is kept, told to its worker, and on record."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from sluicegate import keys
from sluicegate.errors import Conflict, Invalid, NotFound, OutcomeUnknown, TooLarge
from sluicegate.model import HandoffSummary, LiveControl, Recovery
from sluicegate.store import audit, claims, controls, dead_letters, endings, events, jobs, sweeping
from sluicegate.store.connection import Store
from sluicegate.store.controls import Request
from sluicegate.times import to_rfc3339
from tests.support.contents import changed, contents, kinds
from tests.support.job_builder import JobBuilder, Made, now_ms

RETRY = {"action": "retry_step", "stepId": "build", "strategy": "soft_reset", "requestedByUserId": "ann"}


def request(action: Any, actor: str = "ann", **fields: Any) -> Request:
    return Request(**{"action": action, "actor": actor, "metadata": {}, **fields})


async def ask(store: Store, made: Made, action: Any, actor: str = "ann", **fields: Any) -> LiveControl | None:
    """What is wanted of the run afterwards."""
    await controls.request(store, made.job_id, request(action, actor, **fields))
    return await wanted(store, made)


async def wanted(store: Store, made: Made) -> LiveControl | None:
    """As a heartbeat tells its worker."""
    if made.token == 0:
        found = await store.command("HGETALL", keys.job(made.job_id))
        return claims.Attempt(made.job_id, found, 0, "", "", 0).live_control
    lease = claims.Lease(made.job_id, made.token, 60_000)
    (answer,) = (await claims.renew(store, made.worker, [lease])).items
    assert isinstance(answer, claims.Wishes)
    return answer.live_control


def of(made: Made) -> set[str]:
    return {f"job:{made.job_id}", f"job:{made.job_id}:events", f"job:{made.job_id}:controls"}


async def test_a_running_job_is_paused_and_its_worker_told(store: Store, builder: JobBuilder) -> None:
    """H-10, L-3, L-5: kept with the job, pushed, an event of the job, a control event, an audit entry."""
    made = await builder.running()
    before = await contents(store)
    await controls.request(
        store, made.job_id, request("pause", reason="look at it", metadata={"reason": "look at it"})
    )
    after = await contents(store)
    assert changed(before, after) == of(made) | {"audit", "control", "events"}
    job = await jobs.get(store, made.job_id)
    assert (job.status, job.claimed_by) == ("running", "worker-1")
    assert job.payload["liveControl"] == {
        "paused": True, "hard": False, "takeover": False, "version": 1, "reason": "look at it",
        "requestedByUserId": "ann", "updatedAt": job.updated_at,
    }  # fmt: skip
    (pushed,) = after["control"]["entries"].values()
    assert pushed == {
        "kind": "control", "job": made.job_id, "worker": "worker-1", "token": "1", "control": "paused",
        "control_version": "1", "control_by": "ann", "control_reason": "look at it",
        "control_at": pushed["control_at"],
    }  # fmt: skip
    told = (await events.page(store, made.job_id))[-1]
    assert told.payload == {
        "kind": "task.control.requested", "action": "pause", "actorUserId": "ann", "reason": "look at it",
    }  # fmt: skip
    (entry,), _ = await audit.page(store)
    assert (entry.control, entry.action, entry.mode, entry.actor_user_id, entry.reason, entry.target) == (
        "task_run", "pause", None, "ann", "look at it", made.job_id,
    )  # fmt: skip
    (event,), cursor = await controls.page(store, made.job_id)
    assert (event.task_run_id, event.actor_user_id, event.action, cursor) == (
        made.job_id, "ann", "pause", None,
    )  # fmt: skip
    assert event.metadata_json == {"reason": "look at it"}
    assert job.updated_at <= event.created_at <= told.created_at


@pytest.mark.parametrize("state", ["waiting", "delayed", "returned"])
async def test_a_queued_job_keeps_it_for_its_start(store: Store, builder: JobBuilder, state: str) -> None:
    """70-24: nobody is told but whoever claims it; it waits where it waited."""
    made = (await builder.made(state))._replace(token=0)
    before = await contents(store)
    assert await ask(store, made, "takeover")
    assert changed(before, await contents(store)) == of(made) | {"audit", "events"}
    if state == "delayed":
        return
    (job,) = await builder.claim()
    assert (job.id, job.payload["liveControl"]["takeover"]) == (made.job_id, True)
    assert "task.control.requested" in await kinds(store, made.job_id)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ([("pause", False)], "paused"),
        ([("pause", True)], "paused hard"),
        ([("pause", True), ("pause", False)], "paused"),
        ([("pause", False), ("pause", True)], "paused hard"),
        ([("takeover", False)], "paused takeover"),
        ([("pause", True), ("takeover", False)], "paused hard takeover"),
        ([("takeover", False), ("pause", True)], "paused hard takeover"),
        ([("pause", True), ("takeover", False), ("pause", False)], "paused takeover"),
        ([("pause", True), ("takeover", False), ("resume", False)], ""),
        ([("takeover", False), ("resume", False), ("pause", False)], "paused"),
    ],
)
async def test_what_comes_of_one_action_after_another(
    store: Store, builder: JobBuilder, asked: list[tuple[str, bool]], words: str
) -> None:
    """A pause says each time how hard it is; a takeover leaves that as it is; a resume ends both."""
    made = await builder.running()
    for action, hard in asked:
        control = await ask(store, made, action, hard=hard)
    assert control is not None
    assert (control.paused, control.hard, control.takeover) == tuple(
        word in words.split() for word in ("paused", "hard", "takeover")
    )
    assert control.version == len(asked)
    assert [event.action for event in (await controls.page(store, made.job_id))[0]] == [a for a, _ in asked]


@pytest.mark.parametrize(
    ("before", "again"),
    [
        ([], request("resume")),
        ([request("pause")], request("pause")),
        ([request("pause", reason="x")], request("pause", reason="x")),
        ([request("pause", reason="x")], request("pause")),
        ([request("pause")], request("pause", "bob")),
        ([request("pause", hard=True)], request("pause", hard=True)),
        ([request("takeover")], request("takeover")),
        ([request("takeover")], request("pause")),
        ([request("pause"), request("resume")], request("resume", "bob", reason="x")),
        ([request("pause"), request("resume", summary="did it")], request("resume", summary="did it")),
        ([request("retry_step", recovery=RETRY)], request("retry_step", recovery=RETRY)),
    ],
    ids=lambda case: "-".join(each.action for each in case) if isinstance(case, list) else case.action,
)
async def test_what_is_so_already_changes_nothing(
    store: Store, builder: JobBuilder, before: list[Request], again: Request
) -> None:
    made = await builder.running()
    for each in before:
        assert await controls.request(store, made.job_id, each)
    seen = await contents(store)
    assert not await controls.request(store, made.job_id, again)
    assert await contents(store) == seen


@pytest.mark.parametrize(
    ("before", "again"),
    [
        (request("pause", reason="x"), request("pause", reason="y")),
        (request("takeover"), request("takeover", "bob")),
        (request("retry_step", recovery=RETRY), request("retry_step", recovery=RETRY | {"reason": "y"})),
    ],
    ids=["another reason", "another person", "another request"],
)
async def test_the_latest_word_holds(
    store: Store, builder: JobBuilder, before: Request, again: Request
) -> None:
    made = await builder.running()
    assert await controls.request(store, made.job_id, before)
    assert await controls.request(store, made.job_id, again)
    control = await wanted(store, made)
    assert control is not None and control.version == 2
    if again.recovery is None:
        assert (control.reason, control.requested_by_user_id) == (again.reason, again.actor)
    else:
        assert control.recovery is not None and control.recovery.reason == "y"


async def test_a_resume_leaves_its_summary(store: Store, builder: JobBuilder) -> None:
    """L-9: in the run's events, and for the next prompt."""
    made = await builder.running()
    await ask(store, made, "takeover")
    control = await ask(
        store, made, "resume", summary="fixed the test", metadata={"summary": "fixed the test"}
    )
    assert control is not None and control.summary is not None
    last = (await controls.page(store, made.job_id))[0][-1]
    assert control.summary == HandoffSummary(
        id=last.id, text="fixed the test", by_user_id="ann", updated_at=last.created_at
    )
    told = (await events.page(store, made.job_id))[-1].payload
    assert told is not None and (told["action"], told["summary"]) == ("resume", "fixed the test")
    assert (await ask(store, made, "pause")) is not None
    assert (await ask(store, made, "resume", summary="and more")).summary.text == "and more"  # type: ignore[union-attr]


async def test_a_summary_needs_a_run_that_was_held(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    seen = await contents(store)
    with pytest.raises(Conflict, match="neither paused nor taken over"):
        await ask(store, made, "resume", summary="did it")
    assert await contents(store) == seen


async def test_a_request_for_a_step_stays_until_it_is_answered(store: Store, builder: JobBuilder) -> None:
    """H-10: through the end of an attempt too; the pause beside it is another matter."""
    made = await builder.running()
    await ask(store, made, "retry_step", recovery=RETRY, metadata={"stepId": "build"})
    control = await ask(store, made, "pause")
    assert control is not None and control.paused and control.recovery is not None
    assert control.recovery == Recovery(
        id=control.recovery.id, action="retry_step", step_id="build", strategy="soft_reset",
        requested_by_user_id="ann", updated_at=to_rfc3339(int(control.recovery.id.partition("-")[0])),
    )  # fmt: skip
    told = [event.payload for event in await events.page(store, made.job_id)]
    assert {
        "kind": "task.control.recovery.requested", "action": "retry_step", "actorUserId": "ann",
        "stepId": "build",
    } in told  # fmt: skip
    entries, _ = await audit.page(store)
    assert [(entry.action, entry.mode) for entry in entries] == [("pause", None), ("request", "retry_step")]
    await builder.ended(made, endings.Release(made.job_id, made.token, "shutting down"))
    (job,) = await builder.claim()
    assert job.payload["liveControl"]["recovery"]["id"] == control.recovery.id


async def test_a_lease_that_runs_out_keeps_the_pause(store: Store, builder: JobBuilder) -> None:
    """L-5: a worker that died leaves the run held for the next one."""
    store.settings = structs.replace(store.settings, retry_backoff_base_seconds=0)
    made = await builder.running()
    await ask(store, made, "pause", hard=True)
    await builder.lease_over(made)
    assert await sweeping.expire_leases(store) == 1
    (job,) = await builder.claim()
    assert (job.attempt, job.payload["liveControl"]["hard"]) == (2, True)


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "dead_letter"])
async def test_an_ended_job_is_refused(store: Store, builder: JobBuilder, state: str) -> None:
    """70-24."""
    made = await builder.made(state)
    seen = await contents(store)
    for asked in (request("pause"), request("resume"), request("retry_step", recovery=RETRY)):
        with pytest.raises(Conflict) as refused:
            await controls.request(store, made.job_id, asked)
        assert (refused.value.code, refused.value.extra) == ("job_state_conflict", {"jobStatus": state})
    assert await contents(store) == seen


async def test_a_waiting_job_has_no_step_to_go_back_to(store: Store, builder: JobBuilder) -> None:
    """70-24."""
    made = await builder.waiting()
    seen = await contents(store)
    with pytest.raises(Conflict) as refused:
        await ask(store, made, "retry_step", recovery=RETRY)
    assert refused.value.extra == {"jobStatus": "queued"}
    assert await contents(store) == seen


async def test_a_job_that_is_being_cancelled_is_refused(store: Store, builder: JobBuilder) -> None:
    """H-9: the cancel goes first."""
    made = await builder.cancelling()
    seen = await contents(store)
    with pytest.raises(Conflict, match="being cancelled"):
        await ask(store, made, "pause")
    assert await contents(store) == seen


@pytest.mark.parametrize("job_id", ["no id", "../x", "0192aaaa-bbbb-7ccc-8ddd-eeeeffff0000"])
async def test_an_unknown_job_is_not_found(store: Store, job_id: str) -> None:
    seen = await contents(store)
    with pytest.raises(NotFound):
        await controls.request(store, job_id, request("pause"))
    with pytest.raises(NotFound):
        await controls.page(store, job_id)
    assert await contents(store) == seen


async def test_control_events_are_bounded_and_never_trimmed(store: Store, builder: JobBuilder) -> None:
    """L-3: past the limit the call is refused, but for the resume of what is held."""
    store.settings = structs.replace(store.settings, max_control_events=2)
    made = await builder.running()
    await ask(store, made, "pause")
    await ask(store, made, "takeover")
    seen = await contents(store)
    for asked in (request("pause", hard=True), request("retry_step", recovery=RETRY)):
        with pytest.raises(TooLarge, match="SLUICEGATE_MAX_CONTROL_EVENTS"):
            await controls.request(store, made.job_id, asked)
    assert await contents(store) == seen
    assert not await controls.request(store, made.job_id, request("pause"))
    await ask(store, made, "resume")
    actions = [event.action for event in (await controls.page(store, made.job_id))[0]]
    assert actions == ["pause", "takeover", "resume"]


async def test_control_events_are_read_in_pages(store: Store, builder: JobBuilder) -> None:
    """L-3, 70-2: oldest first, each once."""
    made = await builder.running()
    assert await controls.page(store, made.job_id) == ([], None)
    for hard in (True, False, True, False, True):
        await ask(store, made, "pause", hard=hard, metadata={"hard": hard})
    seen: list[Any] = []
    cursor = None
    while True:
        part, cursor = await controls.page(store, made.job_id, cursor=cursor, limit=2)
        seen += [event.metadata_json["hard"] for event in part]
        if cursor is None:
            break
    assert seen == [True, False, True, False, True]
    with pytest.raises(Invalid):
        await controls.page(store, made.job_id, cursor="yesterday")


async def test_a_redriven_job_starts_without_old_controls(store: Store, builder: JobBuilder) -> None:
    made = await builder.running(max_attempts=1)
    for asked in (request("takeover"), request("resume", summary="s"), request("pause", hard=True)):
        await controls.request(store, made.job_id, asked)
    await controls.request(store, made.job_id, request("retry_step", recovery=RETRY))
    await builder.ended(made, endings.Fail(made.job_id, made.token, "broken"))
    assert "liveControl" not in (await jobs.get(store, made.job_id)).payload
    await dead_letters.redrive(store, [made.job_id], actor="bob")
    (job,) = await builder.claim()
    assert "liveControl" not in job.payload
    assert len((await controls.page(store, made.job_id))[0]) == 4, "what happened stays on record"


@pytest.mark.parametrize(
    "damage",
    [
        ("recovery", "{"),
        ("recovery", '{"action":"dance"}'),
        ("recovery_id", "yesterday"),
        ("summary", "[]"),
    ],
)
async def test_damaged_controls_do_not_hide_the_job(
    store: Store, builder: JobBuilder, damage: tuple[str, str]
) -> None:
    made = await builder.running()
    await ask(store, made, "pause")
    await ask(store, made, "resume", summary="s")
    await ask(store, made, "retry_step", recovery=RETRY)
    await store.command("HSET", keys.job(made.job_id), *damage)
    control = (await jobs.get(store, made.job_id)).payload["liveControl"]
    assert damage[0].partition("_")[0] not in control
    assert await wanted(store, made)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (request("pause"), "ann asked to pause"),
        (request("pause", hard=True, metadata={"hard": True}), "ann asked to pause at once"),
        (request("takeover"), "ann asked to take over"),
        (
            request("retry_step", recovery=RETRY, metadata={"stepId": "build"}),
            "ann asked to retry step build",
        ),
    ],
    ids=["pause", "hard pause", "takeover", "retry"],
)
async def test_the_history_says_it_in_words(
    store: Store, builder: JobBuilder, asked: Request, sentence: str
) -> None:
    made = await builder.running()
    await controls.request(store, made.job_id, asked)
    assert (await events.page(store, made.job_id))[-1].message == sentence


async def test_times_are_the_stores(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    first = await now_ms(store)
    control = await ask(store, made, "pause")
    assert control is not None and control.updated_at is not None
    assert to_rfc3339(first) <= control.updated_at <= to_rfc3339(await now_ms(store))


async def test_a_lost_reply_is_not_asked_for_again(
    store: Store, builder: JobBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The action may have been undone in between: whoever asked has to look."""
    made = await builder.running()
    await ask(store, made, "pause")

    async def lost(*_: Any) -> Any:
        raise ConnectionResetError

    with monkeypatch.context() as patched, pytest.raises(OutcomeUnknown):
        patched.setattr(store, "_evaluate", lost)
        await controls.request(store, made.job_id, request("resume"))
