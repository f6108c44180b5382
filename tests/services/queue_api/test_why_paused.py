"""`GET /api/queue/jobs/{id}/why` under the narrower pauses (Q-19, P-12)."""

from __future__ import annotations

import pytest

from sluicegate.model import PauseScope
from sluicegate.store import narrow_pauses
from sluicegate.store.connection import Store
from tests.services.queue_api.conftest import Api
from tests.support import given


@pytest.mark.parametrize(
    ("scope", "value"),
    [("type", "held"), ("repository", "github.com/acme/a"), ("capability", "gpu"), ("worker", "worker-1")],
)
async def test_it_names_the_pause_and_what_lifts_it(
    api: Api, store: Store, scope: PauseScope, value: str
) -> None:
    """P-13: with who, since and until when; another's pause is no reason."""
    await store.hearing.claimed("worker-1", given.ANY)
    job_id = await given.queued(store, "held", repository="github.com/acme/a")
    if scope == "capability":
        job_id = await given.queued(store, "other", capabilities=("gpu",))
    ends = await store.now_ms() + 3_600_000
    found = await narrow_pauses.change(
        store, scope=scope, value=value, action="pause", mode="drain", reason="repair", actor="ann",
        until_ms=ends,
    )  # fmt: skip
    await narrow_pauses.change(
        store, scope="type", value="elsewhere", action="pause", mode="drain", reason="x", actor="ann"
    )
    reasons = (await api.get(f"/jobs/{job_id}/why")).json["reasons"]
    (reason,) = [each for each in reasons if each["code"].endswith("_paused")]
    assert (reason["code"], reason["by"], reason["since"], reason["until"]) == (
        f"{scope}_paused", "ann", found.requested_at, found.until,
    )  # fmt: skip
    assert f"sluicegate resume --{scope} {value}" in reason["remedy"]
    if scope == "worker":
        await store.hearing.claimed("worker-2", given.ANY)
        reasons = (await api.get(f"/jobs/{job_id}/why")).json["reasons"]
        assert not [each for each in reasons if each["code"].endswith("_paused")]
