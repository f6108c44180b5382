"""Who a request is made by, and which worker it may act as (70-18)."""

from __future__ import annotations

import pytest

from sluicegate.auth.identity import Identity, identities
from sluicegate.errors import Forbidden
from sluicegate.settings import Settings


async def test_everyone_is_the_default_user_while_auth_is_disabled() -> None:
    who = await identities(Settings(default_user_id="ann")).of({"Authorization": "Bearer anything"})
    assert (who.user_id, who.role, who.worker_id) == ("ann", "admin", None)
    assert who.worker("any-worker") == "any-worker"


def test_a_credential_speaks_for_its_own_worker_only() -> None:
    """Q-2: another worker's id is a 403."""
    who = Identity(user_id="w1", role="worker", worker_id="w1")
    assert who.worker("w1") == "w1"
    with pytest.raises(Forbidden) as caught:
        who.worker("w2")
    assert (caught.value.status, caught.value.code) == (403, "worker_not_authorized")
