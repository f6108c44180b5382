"""The environments of git and of steps: the worker's own, less what is none of their business.

Neither sees the worker's settings (its token, its store), nor what would point git at another repository.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sluicegate.settings import PREFIX, WorkerSettings

SILENT_SECONDS: Final = 120
"""A remote that says nothing for so long has gone; live ones send keepalives."""

OWN_TRACING: Final = re.compile("TRACEPARENT|TRACESTATE|OTEL_SERVICE_NAME|OTEL_EXPORTER_OTLP_.*HEADERS")
"""What is the worker's alone of its tracing: the trace it was started in, its name, its credential."""
GIT_MAY_KEEP: Final = ("GIT_SSL_", "GIT_SSH", "GIT_HTTP_", "GIT_PROXY_")


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(PREFIX)
        and (not name.startswith("GIT_") or name.startswith(GIT_MAY_KEEP))
        and not OWN_TRACING.fullmatch(name)
    }


def for_git(environ: Mapping[str, str], settings: WorkerSettings) -> dict[str, str]:
    """Git asks nobody, speaks English, knows no configuration but its repository's, and no odd transport."""
    protocols = "https:http:ssh:git" + (":file" if settings.allow_local_repositories else "")
    return {
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=30",
        "GIT_HTTP_LOW_SPEED_LIMIT": "1",
        "GIT_HTTP_LOW_SPEED_TIME": str(SILENT_SECONDS),
        **inherited(environ),
        **identity(settings),
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",  # set and empty: also no SSH_ASKPASS
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": protocols,
        "GIT_OPTIONAL_LOCKS": "0",
    }


def for_step(
    environ: Mapping[str, str], settings: WorkerSettings, secrets: Mapping[str, str], own: Mapping[str, str]
) -> dict[str, str]:
    """own: the step's variables without their prefix, as in `JOB_ID` (70-27)."""
    return {
        **inherited(environ),
        **identity(settings),
        "GIT_TERMINAL_PROMPT": "0",
        "TERM": "xterm-256color",
        **secrets,
        **{PREFIX + name: value for name, value in own.items()},
    }


def identity(settings: WorkerSettings) -> dict[str, str]:
    name, email = settings.git_author_name, settings.git_author_email
    return {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": email,
    }
