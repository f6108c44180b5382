"""The public keys of an identity provider, fetched when they are needed and never older than some minutes.

A key id that is not known fetches them again, so that a rotated key works at once; but not more often than
every MIN_SECONDS, or anybody could make us ask by inventing ids.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
import jwt

from sluicegate.errors import SluicegateError
from sluicegate.log import log

MAX_SECONDS: Final = 300.0
"""A key that the provider has withdrawn works no longer than this."""
MIN_SECONDS: Final = 2.0
TIMEOUT_SECONDS: Final = 5.0
MAX_BYTES: Final = 1 << 20


class ProviderUnavailable(SluicegateError):
    """The identity provider's keys cannot be had: nobody can be told apart, and nobody is let in."""

    status = 503
    default_code = "identity_unavailable"


class KeySet:
    """The keys behind one address. Belongs to one event loop; `close` it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched = float("-inf")
        self._session: aiohttp.ClientSession | None = None
        self._fetching = asyncio.Lock()

    async def key(self, key_id: str | None) -> jwt.PyJWK | None:
        """The key of that id; the only one when a token names none. None when the provider has no such key.

        Raises ProviderUnavailable when the keys are too old and cannot be fetched.
        """
        if self._age() > MAX_SECONDS or (self._chosen(key_id) is None and self._age() > MIN_SECONDS):
            seen = self._fetched
            async with self._fetching:
                if self._fetched == seen:  # nobody else fetched while we waited
                    await self._fetch()
        return self._chosen(key_id)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _chosen(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _age(self) -> float:
        return asyncio.get_running_loop().time() - self._fetched

    async def _fetch(self) -> None:
        try:
            document = await self._document()
            found = jwt.PyJWKSet.from_json(document)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, jwt.PyJWTError) as error:
            log.warning("jwks_unavailable", url=self._url, error=error)
            if self._age() > MAX_SECONDS:
                raise ProviderUnavailable(
                    "the keys of the identity provider cannot be fetched (SLUICEGATE_OIDC_JWKS_URL)"
                ) from error
            return
        self._keys = {key.key_id: key for key in found.keys if key.public_key_use in (None, "sig")}
        self._fetched = asyncio.get_running_loop().time()

    async def _document(self) -> str:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        async with self._session.get(self._url, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            content = await response.content.read(MAX_BYTES + 1)
            while len(content) <= MAX_BYTES and (more := await response.content.read(MAX_BYTES)):
                content += more
            if len(content) > MAX_BYTES:
                raise ValueError("the document is larger than 1 MiB")
            return content.decode()
