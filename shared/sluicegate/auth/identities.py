"""Who calls: every request is judged here, by what it presents and by what its endpoint asks for.

With auth disabled everybody is the default user with the role admin, and a worker is who its body says; a
credential that is presented all the same is checked and narrows (70-18).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from functools import partial
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final

from sluicegate.auth.identity import Access, Identity, Role, Session
from sluicegate.auth.sessions import COOKIE, Sessions
from sluicegate.auth.tokens import Presented, parse
from sluicegate.errors import Forbidden, Unauthenticated
from sluicegate.gathering import Gathering
from sluicegate.settings import ServerSettings
from sluicegate.store import Store, tokens
from sluicegate.store.tokens import Found

if TYPE_CHECKING:
    from sluicegate.auth.bearer import Bearer

WORKER_HEADERS: Final = ("X-Worker-Token", "X-MoonMind-Worker-Token")
BOOTSTRAP_USER: Final = "bootstrap-admin"


class Identities:
    """One per app. Tokens are read from the store for each request, concurrent ones in one call."""

    def __init__(self, settings: ServerSettings, store: Store) -> None:
        self._settings = settings
        self._open = settings.auth == "disabled"
        self._anybody = Identity(user_id=settings.default_user_id, role="admin")
        self._bearer = _verifier(settings)
        self.sessions = Sessions(settings.session_key)
        self._records: Gathering[str, Found] = Gathering(partial(tokens.find, store))

    async def admit(self, headers: Mapping[str, str], may: Access, also: Sequence[Role] = ()) -> Identity:
        """The caller, if an endpoint that asks for `may` (or for a role of `also`) lets it in.

        Raises Unauthenticated (401), Forbidden (403), StoreUnavailable, ProviderUnavailable.
        """
        if may == "worker":
            return await self._worker(headers)
        identity = await self._operator(headers)
        if may == "open" or identity.at_least(may) or identity.role in also:
            return identity
        needed = " or ".join((may, *also))
        raise Forbidden(f"this needs the role {needed}; the credential has the role {identity.role}")

    async def of_token(self, text: str) -> Identity:
        """Whom a token stands for that somebody logs in with. Raises Unauthenticated.

        A JWT is not one: it comes with each request, from a proxy, and a session would outlive it.
        """
        presented = parse(text.strip())
        if presented is not None:
            return await self._issued(presented)
        if self._is_bootstrap(text.strip()):
            return Identity(user_id=BOOTSTRAP_USER, role="admin")
        raise Unauthenticated("that is no token of this deployment")

    async def close(self) -> None:
        await self._records.close()
        if self._bearer is not None:
            await self._bearer.close()

    async def _operator(self, headers: Mapping[str, str]) -> Identity:
        text = _bearer(headers) or _worker_token(headers)
        if text is not None:
            return await self._identity(text)
        if self._open:
            return self._anybody
        cookie = _cookie(headers)
        if cookie is None:
            raise Unauthenticated("an operator's token is needed: Authorization: Bearer sgop_...")
        return await self._of_session(self.sessions.read(cookie))

    async def _of_session(self, session: Session) -> Identity:
        """Its token is looked at again: one that was revoked has no sessions."""
        role = session.role
        if session.tok is not None:
            record, now_ms = await self._records.one(session.tok)
            if record is None or record.role is None or not record.usable(now_ms):
                raise Unauthenticated("the session's token was revoked or has expired")
            role = record.role
        return Identity(user_id=session.sub, role=role, session=session)

    async def _worker(self, headers: Mapping[str, str]) -> Identity:
        text = _worker_token(headers) or _bearer(headers)
        optional = self._open and not self._settings.require_worker_token
        if text is None:
            if optional:
                return self._anybody
            raise Unauthenticated(
                "a worker's token is needed: X-Worker-Token: sgwt_...", code="worker_auth_failed"
            )
        try:
            identity = await self._identity(text)
        except Unauthenticated as error:
            raise Unauthenticated(error.detail, code="worker_auth_failed") from error
        if identity.grant is None and not optional:
            raise Unauthenticated("the credential names no worker", code="worker_auth_failed")
        return identity

    async def _identity(self, text: str) -> Identity:
        presented = parse(text)
        if presented is not None:
            return await self._issued(presented)
        if self._is_bootstrap(text):
            return Identity(user_id=BOOTSTRAP_USER, role="admin")
        if self._bearer is not None:
            return await self._bearer.identity(text)
        raise Unauthenticated("the credential is not one that this deployment takes")

    def _is_bootstrap(self, text: str) -> bool:
        expected = self._settings.bootstrap_admin_token
        return expected is not None and hmac.compare_digest(
            text.encode("utf-8", "surrogatepass"), expected.encode()
        )

    async def _issued(self, presented: Presented) -> Identity:
        record, now_ms = await self._records.one(presented.id)
        if record is None or record.kind != presented.kind or not record.proved_by(presented.secret, now_ms):
            raise Unauthenticated("the token is wrong, was revoked or has expired")
        if record.grant is not None:
            return Identity(user_id=record.grant.worker_id, role="worker", grant=record.grant)
        return Identity(user_id=record.user_id or record.id, role=record.role or "viewer", token_id=record.id)


def _verifier(settings: ServerSettings) -> Bearer | None:
    """Of an identity provider's tokens, where one is set."""
    if not (settings.oidc_jwks_url or settings.oidc_issuer or settings.oidc_audience):
        return None
    from sluicegate.auth.bearer import Bearer  # with its cryptography a fifth of a service's start

    return Bearer(settings)


def _worker_token(headers: Mapping[str, str]) -> str | None:
    return next((headers[name] for name in WORKER_HEADERS if headers.get(name)), None)


def _cookie(headers: Mapping[str, str]) -> str | None:
    try:
        found = SimpleCookie(headers.get("Cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None else None


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, text = headers.get("Authorization", "").partition(" ")
    return text.strip() or None if scheme.lower() == "bearer" else None
