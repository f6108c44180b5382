"""What may be kept: safe names, media types, digests, and how large it may be."""

from __future__ import annotations

import re
from typing import Final

from sluicegate.errors import Invalid
from sluicegate.settings import Settings

MAX_NAME: Final = 255
PATCHES: Final = "patches/"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_WORD: Final = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_CONTENT_TYPE: Final = re.compile(rf"{_WORD}/{_WORD}(; ?[\x20-\x7e]{{1,127}})?")


def checked_name(name: str) -> str:
    """The name, if it is a relative path that is safe on every system; else Invalid."""
    parts = name.split("/")
    if not name or len(name.encode("utf-8", "replace")) > MAX_NAME:
        problem = f"must have 1 to {MAX_NAME} bytes"
    elif not name.isprintable() or "\\" in name or ":" in name:
        problem = "must be printable, with no backslash and no colon"
    elif any(part in ("", ".", "..") for part in parts) or parts[0].startswith("~"):
        problem = "must be a relative path that stays in its folder"
    else:
        return name
    raise Invalid.field("name", problem)


def checked_content_type(content_type: str) -> str:
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise Invalid.field("contentType", "must be a media type, like text/plain")
    return content_type


def checked_digest(digest: str | None) -> str | None:
    if digest is not None and not _DIGEST.fullmatch(digest):
        raise Invalid.field("digest", "must be sha256:<64 hexadecimal digits>")
    return digest


def limit_of(name: str | None, settings: Settings) -> int:
    """The most bytes that an artifact of this name may have; for a name not known yet, that any may have."""
    if name is None:
        return max(settings.max_artifact_bytes, settings.max_patch_bytes)
    return settings.max_patch_bytes if name.startswith(PATCHES) else settings.max_artifact_bytes
