"""Texts on their way to the queue: without secrets, valid, and no longer than anyone reads."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote, urlsplit

from sluicegate.redact import Redactor
from sluicegate.settings import WorkerSettings

MAX_CHARACTERS: Final = 8 * 1024
"""Of a summary or an error: what is longer belongs into the log or an artifact."""


def redactor_of(settings: WorkerSettings) -> Redactor:
    """Knows what is secret whatever the job: the variables that `secret_env` names, and the worker's own
    credentials. Raises ConfigurationError when the file of its token cannot be read."""
    redactor = Redactor.from_environment(settings.secret_env)
    own = (settings.credential(), urlsplit(settings.redis_url).password)
    redactor.add(*(form for each in own if each for form in (each, unquote(each))))
    return redactor


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


def storable_all(redactor: Redactor, value: Any) -> Any:
    """The value with each of its texts storable, so that a match never crosses two of them."""
    if isinstance(value, str):
        return storable(redactor, value)
    if isinstance(value, dict):
        return {storable(redactor, str(name)): storable_all(redactor, each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable_all(redactor, each) for each in value]
    return value
