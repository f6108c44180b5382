"""Sealing what only a grant may tell: AES-GCM under named keys, so that keys can change (L-2).

A sealed text is `<key id>:<base64>` of nonce, ciphertext and tag. What it belongs to is authenticated with
it: a sealed text that somebody puts into another record does not open there.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from typing import Any, Final

from sluicegate.errors import ConfigurationError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class SealingKeys(tuple[tuple[str, bytes], ...]):
    """Keys by their ids, the newest first: it seals, all open. To rotate: put a new one before the old.

    An old key can go once no session is left that was opened before the new one came: after the longest life
    of a session.
    """

    __slots__ = ()

    @classmethod
    def read(cls, value: Any) -> SealingKeys:
        """From `<id>:<base64>,...`, or a list of them. Raises ValueError, which never shows a key."""
        entries = value.split(",") if isinstance(value, str) else value
        if not isinstance(entries, list) or not all(isinstance(each, str) for each in entries):
            raise ValueError("keys are `<id>:<base64>`, parted by commas")
        keys = cls(_read_one(number, each.strip()) for number, each in enumerate(entries, 1) if each.strip())
        names = [name for name, _ in keys]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"more than one key is called {', '.join(doubled)}")
        return keys

    def seal(self, text: bytes, *, belongs_to: str) -> str:
        """Raises ConfigurationError when there is no key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not self:
            raise ConfigurationError("SLUICEGATE_LIVE_KEYS is not set: there is no key to seal with")
        name, key = self[0]
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, text, belongs_to.encode())
        return f"{name}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *, belongs_to: str) -> bytes:
        """Raises ConfigurationError when its key is not here, or another one is called the same."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        name, _, encoded = sealed.partition(":")
        key = dict(self).get(name)
        if key is None:
            raise ConfigurationError(f"SLUICEGATE_LIVE_KEYS has no key {name!r}, with which this was sealed")
        try:
            raw = base64.b64decode(encoded, validate=True)
            return AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], belongs_to.encode())
        except (InvalidTag, ValueError) as error:
            raise ConfigurationError(
                f"key {name!r} of SLUICEGATE_LIVE_KEYS does not open what was sealed with a key of that name"
            ) from error


def new_key(name: str) -> str:
    """A key as the setting takes it."""
    return f"{name}:{base64.b64encode(os.urandom(KEY_BYTES)).decode()}"


def _read_one(number: int, text: str) -> tuple[str, bytes]:
    name, colon, encoded = text.partition(":")
    if not colon or not _KEY_ID.fullmatch(name):
        raise ValueError(
            f"key {number} is not `<id>:<base64>` with an id of letters, digits, `.`, `_` or `-`"
        )
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"key {name!r} is not {KEY_BYTES} bytes as base64")
    return name, key
