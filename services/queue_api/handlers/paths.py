"""The job that a call names."""

from __future__ import annotations

from aiohttp import web

from sluicegate.errors import NotFound
from sluicegate.model import ID_PATTERN


def job_id(request: web.Request) -> str:
    """Ask for it after the body was decoded (70-3). Raises NotFound for what cannot be an id (70-42)."""
    return known_form(request.match_info["id"])


def known_form(text: str) -> str:
    """The same for an id that stands elsewhere."""
    if not ID_PATTERN.match(text):
        raise NotFound(f"there is no job {text[:64]}", code="job_not_found")
    return text
