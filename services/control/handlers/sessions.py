"""Logging in to the dashboard with a token, and out."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from aiohttp import web
from msgspec import Meta, Struct

from services.control.handlers.pages import html, page
from sluicegate.auth.sessions import COOKIE, SECONDS
from sluicegate.errors import Unauthenticated
from sluicegate.http import IDENTITIES, SETTINGS, form

HOME: Final = "/"


class LoginForm(Struct, forbid_unknown_fields=True, kw_only=True):
    token: Annotated[str, Meta(max_length=8000)]
    after: Annotated[str, Meta(max_length=2000)] = HOME


class LogoutForm(Struct, forbid_unknown_fields=True):
    """Nothing but the session's own token, which `form` looks at."""


@page
async def login_page(request: web.Request) -> web.Response:
    if request.app[SETTINGS].auth == "disabled":
        raise web.HTTPSeeOther(HOME)
    return _login(request, after=request.query.get("after", HOME))


@page
async def login(request: web.Request) -> web.StreamResponse:
    """A session for the token of an operator; 401 on the page itself for any other."""
    given = await form(request, LoginForm)
    identities = request.app[IDENTITIES]
    try:
        who = await identities.of_token(given.token)
    except Unauthenticated as error:
        return _login(request, after=given.after, error=error.detail, status=error.status)
    if who.role == "worker" or not who.at_least("viewer"):
        refusal = f"the token has the role {who.role}, which has no pages"
        return _login(request, after=given.after, error=refusal, status=403)
    text, _ = identities.sessions.begin(who.user_id, who.role, token_id=who.token_id)
    answer = web.HTTPSeeOther(_own(given.after))
    secure = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
    answer.set_cookie(COOKIE, text, max_age=SECONDS, httponly=True, samesite="Lax", secure=secure)
    raise answer


async def logout(request: web.Request) -> web.Response:
    await form(request, LogoutForm)
    answer = web.HTTPSeeOther("/login")
    answer.del_cookie(COOKIE)
    raise answer


def _login(request: web.Request, *, status: int = 200, **values: Any) -> web.Response:
    return html(request, "login.html", status=status, live=None, **{"error": None, **values})


def _own(address: str) -> str:
    """An address of this site, whatever was asked for: a login must not lead elsewhere."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return HOME
    inside = address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.netloc
    return address if inside and address.isprintable() else HOME
