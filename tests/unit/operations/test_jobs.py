"""What becomes of a job's description before it is stored (Q-13, 70-6, 70-7, 70-17, 70-35)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluicegate.errors import Invalid, TooLarge
from sluicegate.model import ID_PATTERN, JobSpec, NewJob
from sluicegate.operations.jobs import fingerprint, prepare, with_key
from sluicegate.settings import Settings
from sluicegate.store.jobs import Submission

SETTINGS = Settings(data_dir=Path("unused"), max_payload_bytes=1_000)
CLIENT_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def prepared(**fields: Any) -> Submission:
    return prepare(msgspec.convert({"type": "echo", **fields}, NewJob), actor="ann", settings=SETTINGS)


def spec(submission: Submission) -> JobSpec:
    return msgspec.json.decode(submission.spec, type=JobSpec)


def wrong(**fields: Any) -> list[str]:
    with pytest.raises(Invalid) as caught:
        prepared(**fields)
    return [each["path"] for each in caught.value.extra["errors"]]


def test_ids_are_drawn_in_order_of_time() -> None:
    ids = [prepared().id for _ in range(100)]
    assert all(ID_PATTERN.match(each) for each in ids)
    assert ids == sorted(ids)


def test_everything_reaches_the_spec() -> None:
    submission = prepared(
        priority=7, affinityKey="k", maxAttempts=9, maxRunSeconds=1.5, payload={"a": [1]}, delaySeconds=0.25
    )
    assert spec(submission) == JobSpec(
        type="echo", payload={"a": [1]}, priority=7, affinity_key="k", max_attempts=9, max_run_seconds=1.5,
        delay_seconds=0.25, created_by_user_id="ann",
    )  # fmt: skip
    assert (submission.max_attempts, submission.max_run_ms, submission.delay_ms) == (9, 1500, 250)
    assert submission.lane.text == "7|echo|||k"


def test_a_client_made_id_is_kept_and_its_spec_has_one_form() -> None:
    one = prepared(id=CLIENT_ID, payload={"a": 1, "b": 2})
    other = prepared(id=CLIENT_ID, payload={"b": 2, "a": 1})
    assert one.id == CLIENT_ID
    assert one.spec == other.spec


def test_not_before_is_a_time() -> None:
    assert prepared(notBefore="2026-01-31T12:00:00.500+01:00").due_ms == 1_769_857_200_500
    assert wrong(notBefore="tomorrow") == ["notBefore"]
    assert wrong(notBefore="2026-01-31T12:00:00") == ["notBefore"]
    assert wrong(notBefore="2999-01-31T12:00:00Z") == ["notBefore"]


def test_delay_and_due_time_exclude_each_other() -> None:
    """70-7"""
    assert wrong(delaySeconds=1, notBefore="2026-01-31T12:00:00Z") == ["notBefore"]


def test_an_id_and_a_key_exclude_each_other() -> None:
    """70-53"""
    assert wrong(id=CLIENT_ID, idempotencyKey="k") == ["idempotencyKey"]


def test_a_payload_is_bounded_as_json() -> None:
    prepared(payload={"a": "x" * 992})
    with pytest.raises(TooLarge) as caught:
        prepared(payload={"a": "x" * 993})
    assert caught.value.code == "payload_too_large"


def test_live_control_is_not_the_producers() -> None:
    assert wrong(payload={"liveControl": {}}) == ["payload.liveControl"]


@pytest.mark.parametrize(
    "named", ["Acme/A", "https://github.com/acme/a.git", "git@github.com:acme/a", "github.com/acme/a"]
)
def test_repositories_are_routed_in_one_form(named: str) -> None:
    """70-17"""
    submission = prepared(payload={"repository": named})
    assert spec(submission).repository == submission.lane.repository == "github.com/acme/a"
    assert spec(submission).payload == {"repository": named}


@pytest.mark.parametrize("named", ["", "a", 7, "/tmp/repository", ["acme/a"]])
def test_what_is_no_repository_is_refused(named: Any) -> None:
    assert wrong(payload={"repository": named}) == ["payload.repository"]


def test_capabilities_come_from_the_field_then_the_payload() -> None:
    """70-35: given ones replace all others."""
    inside = {"requiredCapabilities": ["b", "a", "a"]}
    assert prepared(payload=inside).lane.capabilities == ("a", "b")
    assert prepared(payload=inside, requiredCapabilities=["c"]).lane.capabilities == ("c",)
    assert prepared(payload=inside, requiredCapabilities=[]).lane.capabilities == ()
    assert prepared().lane.capabilities == ()
    assert wrong(payload={"requiredCapabilities": ["a", 1]}) == ["payload.requiredCapabilities[1]"]
    assert wrong(payload={"requiredCapabilities": "a"}) == ["payload.requiredCapabilities"]


def test_a_tasks_capabilities_are_derived() -> None:
    task = {
        "repository": "acme/a",
        "targetRuntime": "codex",
        "task": {"instructions": "do it", "publish": {"mode": "pr"}},
    }
    submission = prepared(type="task", payload=task)
    assert submission.lane.capabilities == ("codex", "gh", "git")
    assert spec(submission).required_capabilities == ["codex", "gh", "git"]
    assert prepared(type="task", payload=task, requiredCapabilities=["x"]).lane.capabilities == ("x",)


def test_a_task_is_checked_as_a_whole() -> None:
    task = {"repository": "acme/a", "targetRuntime": "shell", "task": {"steps": [{"id": "a b"}]}}
    assert sorted(wrong(type="task", payload=task)) == [
        "payload.task.instructions",
        "payload.task.steps[0].id",
    ]


def test_a_key_is_the_callers_own() -> None:
    """Another producer's key is another key."""
    new = msgspec.convert({"type": "echo", "idempotencyKey": "k"}, NewJob)
    scopes = {prepare(new, actor=actor, settings=SETTINGS).unique for actor in ("ann", "bob")}
    assert scopes == {"ann:k", "bob:k"}


def test_a_fingerprint_is_of_the_body_without_its_key() -> None:
    """70-6"""

    def of(document: bytes) -> str:
        return fingerprint(msgspec.json.decode(document, type=NewJob))

    one = of(b'{"type":"echo","payload":{"a":1,"b":{"c":2,"d":3}},"idempotencyKey":"k1"}')
    assert one == of(
        b'{"idempotencyKey":"k2","payload":{"b":{"d":3,"c":2},"a":1},"type":"echo","priority":0}'
    )
    assert one != of(b'{"type":"echo","payload":{"a":2,"b":{"c":2,"d":3}}}')
    assert one != of(b'{"type":"echo","payload":{"a":1,"b":{"c":2,"d":3}},"priority":1}')


def test_header_and_field_must_agree() -> None:
    """70-6"""
    plain = NewJob(type="echo")
    keyed = NewJob(type="echo", idempotency_key="k")
    assert with_key(plain, None) is plain
    assert with_key(plain, "k").idempotency_key == "k"
    assert with_key(keyed, "k").idempotency_key == "k"
    for new, header in ((keyed, "other"), (plain, "x" * 129), (plain, "")):
        with pytest.raises(Invalid):
            with_key(new, header)
