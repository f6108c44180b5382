"""How settings are shown to people: the effective ones, and all that there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Meta, Struct

from sluicegate.settings.structs import PREFIX, SECRET_FIELDS, STRUCTS


def masked(settings: Struct) -> dict[str, Any]:
    """The effective values, secrets and passwords in URLs replaced."""
    shown: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(settings).items():
        if value is not None and name in SECRET_FIELDS:
            shown[name] = "***"
        elif isinstance(value, str) and "://" in value and "@" in value:
            scheme, _, rest = value.partition("://")
            shown[name] = f"{scheme}://***@{rest.rpartition('@')[2]}"
        else:
            shown[name] = str(value) if isinstance(value, Path) else value
    return shown


def env_example() -> str:
    """The text of `.env.example`: every setting, its default and what it is for."""
    lines = ["# Settings of Sluicegate. Uncomment to change; the values shown are the defaults.", ""]
    for kind in STRUCTS:
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        own = [name for name in kind.__annotations__ if name in fields]
        if not own:
            continue
        lines += [f"# --- {(kind.__doc__ or kind.__name__).strip().splitlines()[0]}", ""]
        for name in own:
            field = fields[name]
            lines += [f"# {description(field)}", f"#{PREFIX}{name.upper()}={as_text(field.default)}", ""]
    return "\n".join(lines).rstrip() + "\n"


def description(field: msgspec.structs.FieldInfo) -> str:
    """What the setting is for, in words; empty where its annotation does not say."""
    for meta in getattr(field.type, "__metadata__", ()):
        if isinstance(meta, Meta) and meta.description:
            return meta.description
    return ""


def as_text(value: Any) -> str:
    """A value as the environment has it; empty for None, and for a setting without a default."""
    if value is None or value is msgspec.NODEFAULT:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)
