"""Where settings come from: flags, the environment, a TOML file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from sluicegate.errors import ConfigurationError
from sluicegate.failure_rules import FailureRules
from sluicegate.sealing import SealingKeys
from sluicegate.settings.secret_files import read_secret
from sluicegate.settings.structs import PREFIX, SECRET_FIELDS, known_fields

OUTSIDE_SETTINGS: Final = frozenset(
    {"SLUICEGATE_CONFIG", "SLUICEGATE_TEST_STRICT", "SLUICEGATE_TEST_REDIS", "SLUICEGATE_TEST_WALK"}
)
"""Variables with the prefix that are read elsewhere: the file's place, and the test suite's switches."""
FROM_FILES: Final = SECRET_FIELDS - {"token"}
"""Secrets that may also come from a file: SLUICEGATE_SESSION_KEY_FILE names the one with `session_key`."""

S = TypeVar("S", bound=Struct)


def load(
    kind: type[S],
    *,
    environ: Mapping[str, str] | None = None,
    config: Path | None = None,
    flags: Mapping[str, Any] | None = None,
) -> S:
    """The settings of one service; flags win over the environment, the environment over the file.

    flags: field -> value; None means not given. config: the TOML file; else SLUICEGATE_CONFIG, else
    ./sluicegate.toml if it is there. Raises ConfigurationError naming the variable, the value and what
    is allowed.
    """
    environ = os.environ if environ is None else environ
    names = msgspec.structs.fields(kind)
    values: dict[str, tuple[str, Any]] = {}
    for name, value in _file_values(config, environ).items():
        values[name] = (f"{name} in the file", value)
    for field in names:
        variable = PREFIX + field.name.upper()
        if environ.get(variable, "") != "":
            values[field.name] = (variable, environ[variable])
        elif field.name in FROM_FILES and environ.get(f"{variable}_FILE", "") != "":
            values[field.name] = (
                variable,
                read_secret(f"{variable}_FILE", Path(environ[f"{variable}_FILE"])),
            )
        if flags and flags.get(field.name) is not None:
            values[field.name] = (f"--{field.name.replace('_', '-')}", flags[field.name])
    hints = get_type_hints(kind, include_extras=True)
    chosen = {
        field.name: _convert(*values[field.name], hints[field.name], secret=field.name in SECRET_FIELDS)
        for field in names
        if field.name in values
    }
    return kind(**chosen)


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """Variables with our prefix that mean nothing: worth a warning, since they are often misspelt."""
    environ = os.environ if environ is None else environ
    known = {PREFIX + name.upper() for name in known_fields()} | OUTSIDE_SETTINGS
    known |= {f"{PREFIX}{name.upper()}_FILE" for name in FROM_FILES}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def _file_values(config: Path | None, environ: Mapping[str, str]) -> dict[str, Any]:
    path = config or (Path(environ["SLUICEGATE_CONFIG"]) if environ.get("SLUICEGATE_CONFIG") else None)
    if path is None:
        path = Path("sluicegate.toml")
        if not path.is_file():
            return {}
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"the settings file {path} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"the settings file {path} is not TOML: {error}") from error
    if unknown := sorted(set(values) - set(known_fields())):
        raise ConfigurationError(f"the settings file {path} has unknown keys: {', '.join(unknown)}")
    return values


def _convert(source: str, value: Any, kind: Any, *, secret: bool) -> Any:
    if isinstance(value, str) and _is_list(kind):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, kind, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        shown = "***" if secret else repr(value)
        raise ConfigurationError(f"{source}={shown} is not allowed: {error}") from error


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(str(value))
    if kind in (FailureRules, SealingKeys):
        return kind.read(value)
    raise NotImplementedError(kind)


def _is_list(kind: Any) -> bool:
    if get_origin(kind) is tuple:
        return True
    return any(_is_list(part) for part in get_args(kind))
