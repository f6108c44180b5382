"""JWTs of an identity provider that serves its keys over HTTP, rotates them and signs (spec 00-6)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization

from services.queue_api.app import build
from sluicegate.auth import jwks
from sluicegate.auth.identities import Identities
from sluicegate.errors import ConfigurationError
from sluicegate.http import serving
from sluicegate.settings import QueueApiSettings
from sluicegate.store.connection import Store
from tests.services.queue_api.conftest import WORKER, Answer, Api
from tests.support.identity_provider import AUDIENCE, ISSUER, IdentityProvider, Key
from tests.support.tokens import bearer

CLAIM = {"workerId": WORKER, "leaseSeconds": 30}
VIEWER = {"sluicegate_role": "viewer"}


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with IdentityProvider().serving() as served:
        yield served


@pytest.fixture
async def api(api_settings: QueueApiSettings, store: Store, provider: IdentityProvider) -> AsyncIterator[Api]:
    settings = msgspec.structs.replace(
        api_settings,
        auth="required",
        oidc_jwks_url=provider.url,
        oidc_issuer=ISSUER,
        oidc_audience=AUDIENCE,
        oidc_leeway_seconds=5.0,
    )
    app = build(settings, store)
    async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        yield Api(f"http://{host}:{port}", session, app)


async def listed(api: Api, token: str) -> Answer:
    return await api.get("/jobs", headers=bearer(token))


async def test_roles_come_from_a_claim(api: Api, provider: IdentityProvider) -> None:
    """Spec 00-6: one role, or the strongest of a list; actions are attributed to the subject."""
    assert (await listed(api, provider.token(**VIEWER))).status == 200
    job = {"type": "echo"}
    refused = await api.post("/jobs", job, headers=bearer(provider.token(**VIEWER)))
    assert (refused.status, refused.code) == (403, "operator_not_authorized")
    strong = provider.token(sub="bob", sluicegate_role=["viewer", "x", "operator"])
    made = await api.post("/jobs", job, headers=bearer(strong))
    assert (made.status, made.json["createdByUserId"]) == (201, "bob")
    for role in (None, "root", 3, [], {"a": 1}):
        assert (await listed(api, provider.token(sluicegate_role=role))).code == "operator_auth_failed"


async def test_a_token_that_names_a_worker_is_one(api: Api, provider: IdentityProvider) -> None:
    """Q-1, Q-3: with its repositories, types and capabilities; another workerId is a 403."""
    operator = bearer(provider.token(sluicegate_role="operator"))
    made = await api.post("/jobs", {"type": "echo", "payload": {"repository": "acme/a"}}, headers=operator)
    worker = {"sub": "svc", "sluicegate_worker": WORKER}
    for allowed, count in (
        ({"sluicegate_types": ["other"]}, 0),
        ({"sluicegate_repositories": ["acme/b"]}, 0),
        ({"sluicegate_types": ["echo"], "sluicegate_repositories": ["Acme/A"]}, 1),
    ):
        answer = await api.post("/jobs/claim", CLAIM, headers=bearer(provider.token(**worker, **allowed)))
        assert len(answer.json["jobs"]) == count, allowed
    other = {**CLAIM, "workerId": "other"}
    assert (await api.post("/jobs/claim", other, headers=bearer(provider.token(**worker)))).status == 403
    assert (await api.post("/jobs/claim", CLAIM, headers=operator)).code == "worker_auth_failed"
    for wrong in ({"sluicegate_types": "echo"}, {"sluicegate_repositories": [1]}, {"sluicegate_worker": ""}):
        token = provider.token(**{**worker, **wrong})
        assert (await api.post("/jobs/claim", CLAIM, headers=bearer(token))).status == 401, wrong
    assert made.status == 201


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


async def test_what_is_not_signed_by_the_provider_is_refused(api: Api, provider: IdentityProvider) -> None:
    """Algorithm none, a public key used as an HMAC secret, another key under a known id, a changed body."""
    good = provider.token(**VIEWER)
    head, body, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    public = provider.keys[-1].private.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    unsigned = encoded({"alg": "HS256", "typ": "JWT", "kid": "first"}) + "." + body
    forged = Key("first", "RS256")
    wrong = {
        "algorithm none": jwt.encode(claims, None, algorithm="none", headers={"kid": "first"}),
        "none, by hand": f"{encoded({'alg': 'none', 'kid': 'first'})}.{body}.",
        "HMAC with the public key": f"{unsigned}.{_hmac(pem, unsigned)}",
        "another key, a known id": provider.token(key=forged, **VIEWER),
        "an unknown key": provider.token(key=Key("nobody", "RS256"), **VIEWER),
        "another body": f"{head}.{encoded({**claims, 'sluicegate_role': 'admin'})}.{signature}",
        "no signature": f"{head}.{body}.",
        "an algorithm beside the list": provider.token(key=Key("first", "PS256"), **VIEWER),
        "no JSON": "a.b.c",
        "long": f"{head}.{body}.{'A' * 5_000}",
    }
    assert (await listed(api, good)).status == 200
    for name, token in wrong.items():
        answer = await listed(api, token)
        assert (answer.status, answer.code) == (401, "operator_auth_failed"), name
        assert token not in answer.text


def _hmac(key: bytes, text: str) -> str:
    digest = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


async def test_claims_are_checked(api: Api, provider: IdentityProvider) -> None:
    """Issuer, audience, expiry, not-before: each must be right; clocks may differ by the leeway."""
    now = int(time.time())
    for claims in (
        {"aud": "another"}, {"aud": None}, {"iss": "https://another.test"}, {"iss": None}, {"exp": None},
        {"exp": now - 60}, {"nbf": now + 60}, {"sub": None}, {"sub": ""}, {"sub": "a\nb"}, {"sub": 7},
        {"sub": "x" * 200},
    ):  # fmt: skip
        answer = await listed(api, provider.token(**VIEWER, **claims))
        assert (answer.status, answer.code) == (401, "operator_auth_failed"), claims
    for claims in ({"exp": now - 2}, {"nbf": now + 2}, {"aud": ["x", AUDIENCE]}):
        assert (await listed(api, provider.token(**VIEWER, **claims))).status == 200, claims


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_rotated_key_works_at_once(
    api: Api, provider: IdentityProvider, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Key rotation: an unknown key id fetches the keys again, and a withdrawn key no longer works."""
    old = provider.token(**VIEWER)
    assert (await listed(api, old)).status == 200
    monkeypatch.setattr(jwks, "MIN_SECONDS", 0.0)
    provider.rotate(algorithm, keep=True)
    assert (await listed(api, provider.token(**VIEWER))).status == 200
    assert (await listed(api, old)).status == 200
    provider.rotate(algorithm)
    assert (await listed(api, provider.token(**VIEWER))).status == 200
    assert (await listed(api, old)).status == 401


async def test_invented_key_ids_do_not_make_us_ask(api: Api, provider: IdentityProvider) -> None:
    """The provider is asked at most every two seconds, however many unknown keys come."""
    assert (await listed(api, provider.token(**VIEWER))).status == 200
    for number in range(20):
        token = provider.token(headers={"kid": f"invented-{number}"}, **VIEWER)
        assert (await listed(api, token)).status == 401
    assert provider.fetches <= 2


async def test_known_keys_outlive_a_provider_that_is_away(
    api: Api, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And when they are too old nobody is let in: 503, for it is not the caller's fault."""
    token = provider.token(**VIEWER)
    provider.status = 500
    away = await listed(api, token)
    assert (away.status, away.code) == (503, "identity_unavailable")
    assert away.headers["Retry-After"]
    provider.status = 200
    assert (await listed(api, token)).status == 200
    provider.status = 500
    monkeypatch.setattr(jwks, "MIN_SECONDS", 0.0)
    assert (await listed(api, token)).status == 200
    monkeypatch.setattr(jwks, "MAX_SECONDS", 0.0)
    assert (await listed(api, token)).status == 503


async def test_a_provider_without_issuer_or_audience_is_refused_at_start(store: Store) -> None:
    """A token that was meant for somebody else would be accepted."""
    for settings in (
        {"oidc_jwks_url": "http://127.0.0.1/jwks"},
        {"oidc_jwks_url": "http://127.0.0.1/jwks", "oidc_issuer": ISSUER},
        {"oidc_audience": AUDIENCE},
    ):
        with pytest.raises(ConfigurationError, match="go together"):
            Identities(QueueApiSettings(**settings), store)  # type: ignore[arg-type]
