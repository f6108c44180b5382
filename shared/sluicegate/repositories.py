"""Repositories in one form: what policies, pauses, filters and limits compare (70-17).

`acme/a`, `https://github.com/Acme/a.git`, `git@github.com:acme/a` and `ssh://git@github.com/acme/a` are all
`github.com/acme/a`. A local repository (only where the settings allow them) is its absolute path.
A port that is not the scheme's own stays: it may be another server.
"""

from __future__ import annotations

import os.path
import re
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from sluicegate.errors import Invalid
from sluicegate.settings import Settings

MAX_LENGTH: Final = 1024
PORTS: Final = {"https": 443, "http": 80, "ssh": 22, "git": 9418}
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
)
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_.~][A-Za-z0-9_.~-]{0,127}")
_SCP: Final = re.compile(r"(?:(?P<user>[A-Za-z0-9_.-]+)@)?(?P<host>[A-Za-z0-9.-]+):(?P<path>[^:]+)")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f]")


class Repository(NamedTuple):
    """A repository as it was named: where it is cloned from, and the form in which it is compared."""

    canonical: str
    clone_url: str
    scheme: Literal["https", "http", "ssh", "git", "file"]


def parse(text: str, settings: Settings, *, path: str = "payload.repository") -> Repository:
    """What `text` names. Raises Invalid, with `path` as the wrong field, for what is no repository."""
    problem = None
    if not text or len(text) > MAX_LENGTH:
        problem = f"must have 1 to {MAX_LENGTH} characters"
    elif text.startswith(("/", "file:")):
        return _local(text, settings, path)
    elif _UNPRINTABLE.search(text) or "\\" in text or "%" in text:
        problem = "must have no blanks, backslashes or percent signs"
    elif text.startswith((".", "~", "-")):
        problem = "is neither owner/name nor a URL; a local path must be absolute"
    if problem:
        raise Invalid.field(path, problem)
    try:
        if "://" in text:
            return _from_url(text)
        if (scp := _SCP.fullmatch(text)) and not _has_port(text):
            host, name = _host(scp["host"]), _name(scp["path"])
            return Repository(f"{host}/{name}".lower(), text, "ssh")
        return _from_short(text, settings)
    except ValueError as error:
        raise Invalid.field(path, str(error)) from error


def canonical(text: str, settings: Settings, *, path: str = "payload.repository") -> str:
    """The form in which repositories are compared; the canonical form of a canonical form is itself."""
    return parse(text, settings, path=path).canonical


def _from_url(text: str) -> Repository:
    parts = urlsplit(text)
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise ValueError(f"has the scheme {scheme!r}; use {', '.join(PORTS)}, or owner/name")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("must have no query and no fragment")
    if parts.password is not None or (parts.username is not None and scheme != "ssh"):
        raise ValueError("must not carry credentials; give a reference in auth.git")
    if parts.username is not None and not re.fullmatch(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*", parts.username):
        raise ValueError("has a user name that is not one")
    host, port, name = _host(parts.hostname or ""), parts.port, _name(parts.path)
    place = host if port in (None, PORTS[scheme]) else f"{host}:{port}"
    return Repository(f"{place}/{name}".lower(), text, scheme)  # type: ignore[arg-type]


def _from_short(text: str, settings: Settings) -> Repository:
    """`owner/name` on the default host, or a canonical form `host[:port]/owner/name`."""
    first, _, rest = text.partition("/")
    default = settings.default_repository_host
    place, name = default, text
    if "/" in rest.strip("/"):
        place, name = first, rest
        if "." not in first and ":" not in first and first.lower() not in ("localhost", default.lower()):
            raise ValueError("must be owner/name, host/owner/name or a URL")
    host, _, port = place.partition(":")
    place = _host(host)
    if port:
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"has the port {port!r}")
        place = place if int(port) == PORTS["https"] else f"{place}:{int(port)}"
    name = _name(name)
    return Repository(f"{place}/{name}".lower(), f"https://{place}/{name}.git", "https")


def _local(text: str, settings: Settings, path: str) -> Repository:
    place = text
    if text.startswith("file:"):
        try:
            parts = urlsplit(text)
        except ValueError as error:
            raise Invalid.field(path, str(error)) from error
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            raise Invalid.field(path, "a file: URL must be file:///<absolute path>")
        place = unquote(parts.path)
    if not place.startswith("/") or re.search(r"[\x00-\x1f\x7f]", place):
        raise Invalid.field(path, "a local path must be absolute and printable")
    if not settings.allow_local_repositories:
        raise Invalid.field(
            path, "local repositories are not allowed here (SLUICEGATE_ALLOW_LOCAL_REPOSITORIES)"
        )
    place = os.path.normpath("/" + place.lstrip("/"))
    if place == "/":
        raise Invalid.field(path, "is not a repository")
    return Repository(place, place, "file")


def _has_port(text: str) -> bool:
    """`host:8443/owner/name` is a canonical form with a port, no scp-like path that begins with digits."""
    return re.match(r"[A-Za-z0-9.-]+:[0-9]+/[^/]+/", text) is not None


def _host(text: str) -> str:
    host = text.lower()
    if not _HOST.fullmatch(host):
        raise ValueError(f"has the host {text!r}, which is not a host name")
    return host


def _name(text: str) -> str:
    """owner/name, or with groups between them; without the `.git` and slashes that URLs carry."""
    text = text.strip("/")
    if text.lower().endswith(".git"):
        text = text[: -len(".git")]
    segments = text.split("/")
    if len(segments) < 2:
        raise ValueError("must name an owner and a repository")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
            raise ValueError(f"has the part {segment!r}, which no repository has")
    return "/".join(segments)
