"""An identity provider: a real HTTP server with a key set, keys that rotate, and tokens signed by them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.test"
AUDIENCE = "sluicegate"


class Key:
    def __init__(self, key_id: str, algorithm: str) -> None:
        self.id, self.algorithm = key_id, algorithm
        match algorithm:
            case "ES256":
                self.private: Any = ec.generate_private_key(ec.SECP256R1())
                self._public = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
            case "EdDSA":
                self.private = ed25519.Ed25519PrivateKey.generate()
                self._public = OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
            case _:
                self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
                self._public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)

    @property
    def public(self) -> dict[str, Any]:
        return {**self._public, "kid": self.id, "alg": self.algorithm, "use": "sig"}


class IdentityProvider:
    """keys: those that it serves; the last one signs. fetches: how often it was asked for them."""

    def __init__(self) -> None:
        self.keys = [Key("first", "RS256")]
        self.status = 200
        self.fetches = 0
        self.url = ""

    def rotate(self, algorithm: str = "RS256", *, keep: bool = False) -> None:
        """Sign with a new key; without `keep` the old ones are withdrawn."""
        fresh = Key(f"key-{len(self.keys)}-{algorithm}", algorithm)
        self.keys = [*(self.keys if keep else []), fresh]

    def token(self, *, key: Key | None = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token for ten minutes; a claim that is None is left out."""
        now = int(time.time())
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 600, **claims}
        signer = key or self.keys[-1]
        return jwt.encode(
            {name: value for name, value in said.items() if value is not None},
            signer.private,
            algorithm=signer.algorithm,
            headers={"kid": signer.id, **(headers or {})},
        )

    async def _serve(self, _: web.Request) -> web.Response:
        self.fetches += 1
        if self.status != 200:
            return web.Response(status=self.status)
        return web.json_response({"keys": [key.public for key in self.keys]})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[IdentityProvider]:
        app = web.Application()
        app.router.add_get("/jwks", self._serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
            yield self
        finally:
            await runner.cleanup()
