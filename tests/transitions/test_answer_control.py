"""answer_control: the holder's word on what an operator asked of its steps, or left for its agent."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.errors import LeaseLost
from sluicegate.model import LiveControl
from sluicegate.store import controls, events
from sluicegate.store.connection import Store
from sluicegate.store.controls import Request
from tests.support import fences
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, Made
from tests.transitions.test_control import RETRY, ask, wanted


async def asked(store: Store, builder: JobBuilder, **recovery: Any) -> tuple[Made, LiveControl]:
    """A running job of which an operator asked something, and left a summary."""
    made = await builder.running()
    await ask(store, made, "takeover")
    await ask(store, made, "resume", summary="fixed it")
    control = await ask(store, made, "retry_step", recovery=RETRY | recovery)
    assert control is not None and control.recovery is not None and control.summary is not None
    return made, control


def answer(store: Store, made: Made, request_id: str, **fields: Any) -> Any:
    given = {"what": "recovery", "request_id": request_id} | fields
    return controls.answer(store, made.worker, made.job_id, made.token, **given)


@pytest.mark.parametrize(
    ("outcome", "message", "level"),
    [("ack", None, "info"), ("ack", "from step 2", "info"), ("rejected", "it has finished", "warn")],
)
async def test_an_answered_request_is_pending_no_longer(
    store: Store, builder: JobBuilder, outcome: Any, message: str | None, level: str
) -> None:
    """H-10: cleared, with its event; the rest of the controls stays."""
    made, control = await asked(store, builder)
    before = await contents(store)
    left = await answer(store, made, control.recovery.id, outcome=outcome, message=message)  # type: ignore[union-attr]
    after = await contents(store)
    assert changed(before, after) == {f"job:{made.job_id}", f"job:{made.job_id}:events", "events"}
    assert (left.recovery, left.summary, left.version) == (None, control.summary, control.version + 1)
    assert await wanted(store, made) == left
    told = (await events.page(store, made.job_id))[-1]
    assert told.level == level
    assert told.payload == {
        "kind": f"task.control.recovery.{outcome}", "workerId": "worker-1", **RETRY,
    } | ({"message": message} if message else {})  # fmt: skip


async def test_a_summary_that_was_passed_on_is_kept_no_longer(store: Store, builder: JobBuilder) -> None:
    """L-9."""
    made, control = await asked(store, builder)
    before = await contents(store)
    left = await answer(store, made, control.summary.id, what="summary")  # type: ignore[union-attr]
    assert changed(before, await contents(store)) == {f"job:{made.job_id}", "events"}
    assert (left.recovery, left.summary) == (control.recovery, None)


@pytest.mark.parametrize("what", ["recovery", "summary"])
async def test_only_the_request_that_is_meant_is_answered(
    store: Store, builder: JobBuilder, what: str
) -> None:
    """Another may have replaced it while the worker was at it: that one is still to be done."""
    made, control = await asked(store, builder)
    before = await contents(store)
    left = await answer(store, made, "1-1", what=what)
    assert left == control
    assert await contents(store) == before


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    made, control = await asked(store, builder)
    assert control.recovery is not None
    left = await answer(store, made, control.recovery.id)
    seen = await contents(store)
    assert await answer(store, made, control.recovery.id) == left
    assert await contents(store) == seen


async def test_nothing_was_asked(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    seen = await contents(store)
    assert await answer(store, made, "1-1") is None
    assert await contents(store) == seen


@pytest.mark.parametrize("case", fences.cases("control"), ids=str)
async def test_a_refusal_writes_nothing(store: Store, builder: JobBuilder, case: fences.Case) -> None:
    """Whoever lost the lease answers for nobody."""
    made = await case.before(builder)

    async def call() -> list[Any]:
        words = await store.run(
            "answer_control", worker=made.worker, id=made.job_id, token=made.token, what="recovery",
            request="1-1", outcome="ack", message="",
        )  # fmt: skip
        return [words]

    await fences.refuses(store, call, case.word)


async def test_a_former_holder_answers_nothing(store: Store, builder: JobBuilder) -> None:
    made, control = await asked(store, builder)
    assert control.recovery is not None
    with pytest.raises(LeaseLost):
        await answer(store, made._replace(token=made.token + 1), control.recovery.id)
    assert (await wanted(store, made)) == control


async def test_a_pause_may_come_before_the_answer(store: Store, builder: JobBuilder) -> None:
    """Each is a field of its own: neither overwrites the other."""
    made, control = await asked(store, builder)
    assert control.recovery is not None
    pause = Request(action="pause", actor="bob", metadata={})
    assert await controls.request(store, made.job_id, pause)
    left = await answer(store, made, control.recovery.id)
    assert (left.paused, left.recovery) == (True, None)
