"""Texts on their way to the queue: without secrets, valid, and no longer than anyone reads."""

from __future__ import annotations

from typing import Final

from sluicegate.redact import Redactor

MAX_CHARACTERS: Final = 8 * 1024
"""Of a summary or an error: what is longer belongs into the log or an artifact."""


def storable(redactor: Redactor, text: str) -> str:
    """Secrets replaced, and lone surrogates too (they stand for bytes of a file name, and cannot be sent)."""
    return redactor.text(text).encode("utf-8", "replace").decode()


def shown(redactor: Redactor, text: str) -> str:
    """A storable text for a job's summary or error; a longer one keeps its beginning and its end."""
    whole = storable(redactor, text)
    if len(whole) <= MAX_CHARACTERS:
        return whole
    half = MAX_CHARACTERS // 2
    return f"{whole[:half]}\n[{len(whole) - 2 * half} characters left out]\n{whole[-half:]}"
