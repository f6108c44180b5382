"""Which worker a caller may act as, and what its credential lets it have."""

from __future__ import annotations

import pytest

from sluicegate.auth.identity import Grant, Identity, Session
from sluicegate.errors import Forbidden
from sluicegate.model import Lane, Policy


def test_without_a_credential_the_named_worker_is_believed() -> None:
    """70-18: with auth disabled the identity is the body's workerId."""
    assert Identity(user_id="ann", role="admin").worker("any-worker") == "any-worker"


def test_a_credential_speaks_for_its_own_worker_only() -> None:
    """Q-2: another worker's id is a 403."""
    who = Identity(user_id="w1", role="worker", grant=Grant(worker_id="w1"))
    assert who.worker("w1") == "w1"
    with pytest.raises(Forbidden) as caught:
        who.worker("w2")
    assert (caught.value.status, caught.value.code) == (403, "worker_not_authorized")


def test_a_session_is_proved_by_its_own_csrf_token() -> None:
    """70-18: and by nothing else, such as bytes that are no UTF-8 as the server reads them."""
    session = Session(sub="ann", role="admin", csrf="secret", iat=0, exp=1)
    assert [session.proved_by(each) for each in ("secret", "other", "", "\udcff", None)] == [True] + [
        False
    ] * 4


@pytest.mark.parametrize(
    ("allowed", "asked", "named", "expected"),
    [
        (Grant(worker_id="w"), Policy(types=("a",), capabilities=("x",)), True, Policy(("a",), None, ("x",))),
        (Grant(worker_id="w", types=("a", "b")), Policy(types=("b", "c")), True, Policy(("b",), None, ())),
        (Grant(worker_id="w", types=("a",)), Policy(), False, Policy(("a",), None, ())),
        (Grant(worker_id="w", types=()), Policy(types=("a",)), False, Policy((), None, ())),
        (Grant(worker_id="w", repositories=("r",)), Policy(repositories=()), False, Policy(None, (), ())),
        (Grant(worker_id="w", capabilities=("x", "y")), Policy(), False, Policy(None, None, ("x", "y"))),
        (
            Grant(worker_id="w", capabilities=("x",)),
            Policy(capabilities=("y",)),
            True,
            Policy(None, None, ()),
        ),
        (Grant(worker_id="w", capabilities=("x",)), Policy(), True, Policy(None, None, ())),
    ],
)
def test_a_claim_only_narrows(allowed: Grant, asked: Policy, named: bool, expected: Policy) -> None:
    """Q-3, 70-16: null restricts nothing, an empty list admits nothing, capabilities are intersected."""
    assert allowed.narrowed(asked, capabilities_named=named) == expected


def test_a_grant_with_repositories_excludes_jobs_without_one() -> None:
    """Q-3."""
    grant = Grant(worker_id="w", repositories=("github.com/acme/a",))
    assert grant.allows(Lane(type="t", repository="github.com/acme/a"))
    assert not grant.allows(Lane(type="t", repository="github.com/acme/b"))
    assert not grant.allows(Lane(type="t"))
    assert Grant(worker_id="w").allows(Lane(type="t"))


@pytest.mark.parametrize(
    ("role", "passes"), [("viewer", 1), ("operator", 2), ("admin", 3), ("producer", 0), ("worker", 0)]
)
def test_roles_contain_one_another(role: str, passes: int) -> None:
    """Spec 00-6: viewer < operator < admin; a producer and a worker are none of them."""
    who = Identity(user_id="x", role=role)  # type: ignore[arg-type]
    assert [who.at_least(each) for each in ("viewer", "operator", "admin")] == [  # type: ignore[arg-type]
        passes > at for at in range(3)
    ]
