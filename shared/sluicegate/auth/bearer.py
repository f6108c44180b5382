"""JSON web tokens of an identity provider, as identities (RFC 7519; spec 00-6).

Accepted is what names the issuer and the audience that are set, has not expired (within the leeway), is
signed by one of the provider's keys, and with an algorithm of the allow-list, which knows public keys only.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import jwt
import msgspec
from msgspec import Struct

from sluicegate.auth.identity import Grant, Identity, OperatorRole
from sluicegate.auth.jwks import KeySet
from sluicegate.errors import ConfigurationError, Invalid, Unauthenticated
from sluicegate.model import PRINTABLE_PATTERN
from sluicegate.repositories import canonical
from sluicegate.settings import ServerSettings

ROLES: Final[tuple[OperatorRole, ...]] = ("admin", "operator", "viewer", "producer")
"""The strongest first: a token that names several has the first of these."""
_WorkerId = Annotated[str, msgspec.Meta(pattern=PRINTABLE_PATTERN)]


class _Allowed(Struct):
    repositories: list[str] | None = None
    types: list[str] | None = None
    capabilities: list[str] | None = None


class Bearer:
    """Verifies the tokens of one provider."""

    def __init__(self, settings: ServerSettings) -> None:
        url = settings.oidc_jwks_url
        if url is None or settings.oidc_issuer is None or settings.oidc_audience is None:
            raise ConfigurationError(
                "SLUICEGATE_OIDC_JWKS_URL, SLUICEGATE_OIDC_ISSUER and SLUICEGATE_OIDC_AUDIENCE go together: "
                "without all three a token that was meant for somebody else would be accepted"
            )
        if not settings.oidc_algorithms:
            raise ConfigurationError("SLUICEGATE_OIDC_ALGORITHMS is empty: name at least one, like RS256")
        self._settings = settings
        self._keys = KeySet(url)

    async def identity(self, token: str) -> Identity:
        """Who the token stands for. Raises Unauthenticated, ProviderUnavailable."""
        claims = await self._claims(token)
        user = claims.get(self._settings.oidc_user_claim)
        if not isinstance(user, str) or not 0 < len(user) <= 128 or not user.isprintable():
            raise Unauthenticated(f"the token's claim {self._settings.oidc_user_claim} names nobody")
        worker_id = claims.get(self._settings.oidc_worker_claim)
        grant = None if worker_id is None else self._grant(worker_id, claims)
        named = claims.get(self._settings.oidc_role_claim)
        roles = {named} if isinstance(named, str) else set(named) if isinstance(named, list) else set()
        role = next((each for each in ROLES if each in roles), None)
        if role is None and grant is None:
            raise Unauthenticated(
                f"the token has neither a role ({self._settings.oidc_role_claim}) nor a worker "
                f"({self._settings.oidc_worker_claim})"
            )
        return Identity(user_id=user, role=role or "worker", grant=grant)

    async def close(self) -> None:
        await self._keys.close()

    async def _claims(self, token: str) -> dict[str, Any]:
        settings = self._settings
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in settings.oidc_algorithms:
                raise jwt.InvalidAlgorithmError("not on the list of algorithms")
            key = await self._keys.key(header.get("kid"))
            if key is None:
                raise jwt.InvalidKeyError("signed by no key of the provider")
            return jwt.decode(
                token,
                key,
                algorithms=list(settings.oidc_algorithms),
                audience=settings.oidc_audience,
                issuer=settings.oidc_issuer,
                leeway=settings.oidc_leeway_seconds,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Unauthenticated(f"the bearer token is not accepted: {_why(error)}") from error

    def _grant(self, worker_id: Any, claims: dict[str, Any]) -> Grant:
        """What the token allows its worker: the claims next to the one that names it, absent for anything."""
        prefix = self._settings.oidc_policy_prefix
        try:
            allowed = msgspec.convert(
                {name: claims.get(prefix + name) for name in _Allowed.__struct_fields__}, _Allowed
            )
            msgspec.convert(worker_id, type=_WorkerId)
            repositories = allowed.repositories
            if repositories is not None:
                repositories = [canonical(each, self._settings, path="repositories") for each in repositories]
        except (msgspec.ValidationError, Invalid) as error:
            raise Unauthenticated("the token's claims about its worker are malformed") from error
        return Grant(
            worker_id=worker_id,
            repositories=_tuple(repositories),
            types=_tuple(allowed.types),
            capabilities=_tuple(allowed.capabilities),
        )


def _tuple(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _why(error: Exception) -> str:
    """For people, and without a word of the token."""
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired"
        case jwt.InvalidAudienceError():
            return "it is meant for another audience"
        case jwt.InvalidIssuerError():
            return "it comes from another issuer"
        case jwt.ImmatureSignatureError():
            return "it is not valid yet"
        case jwt.InvalidAlgorithmError() | jwt.InvalidKeyError():
            return str(error)
        case jwt.MissingRequiredClaimError():
            return f"it lacks the claim {error.claim}"
    return "it is malformed or its signature is wrong"
