"""References to secrets become values here, at the worker, and nowhere else (70-31, 70-59)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from services.worker.task.failures import failed
from sluicegate.operations.task_payload import Auth
from sluicegate.settings import PREFIX

MAX_FILE_BYTES: Final = 64 * 1024


class Secrets(Struct, frozen=True, kw_only=True):
    """git: password or token for the repository's host. env: variables of the steps."""

    git: str | None = None
    env: dict[str, str] = {}

    @property
    def values(self) -> list[str]:
        return [*([self.git] if self.git else []), *self.env.values()]


def resolve(auth: Auth, environ: Mapping[str, str]) -> Secrets:
    """The values. A reference that gives none ends the task as deterministic_policy, naming the reference."""
    return Secrets(
        git=None if auth.git is None else _value(auth.git, environ),
        env={name: _value(reference, environ) for name, reference in auth.env.items()},
    )


def _value(reference: str, environ: Mapping[str, str]) -> str:
    scheme, _, name = reference.partition(":")
    if scheme == "env" and not name.startswith(PREFIX):  # the worker's own settings are nobody's to read
        value = environ.get(name, "")
    elif scheme == "file":
        value = _content(Path(name), reference)
    else:
        raise failed(f"the reference {reference!r} cannot be resolved by this worker", "deterministic_policy")
    if not value or "\0" in value:
        raise failed(f"the reference {reference!r} has no value at this worker", "deterministic_policy")
    return value


def _content(path: Path, reference: str) -> str:
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            raise failed(f"the reference {reference!r} is no file of a secret", "deterministic_policy")
        return path.read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise failed(
            f"the reference {reference!r} cannot be read: {reason}", "deterministic_policy"
        ) from error
