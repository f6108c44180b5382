"""Whether this machine can run a runtime, known before any step: its program, and what lets it in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from typing import Final

from services.worker.runtimes.catalogue import RUNTIMES
from services.worker.runtimes.runtime import Runtime

VERSION_SECONDS: Final = 20.0
"""Some of them start an interpreter first, on a cold disk."""


def lacking(runtime: Runtime, environ: Mapping[str, str], signed_in: Collection[str]) -> str | None:
    """What is missing and how to provide it; None when nothing is. environ: that of the step."""
    if program(runtime, environ) is None:
        return (
            f"runtime {runtime.name!r} needs the program {runtime.program!r}, which is not on this worker's "
            "PATH: install it there, or do not offer the capability"
        )
    if credentials(runtime, environ, signed_in) is None:
        files = ", ".join(str(login.path(environ)) for login in runtime.logins)
        return (
            f"runtime {runtime.name!r} has no key: give one of {', '.join(runtime.keys)} in the task's "
            f"auth.env or in this worker's environment, or sign in there (no {files}); where it finds its "
            f"credentials by itself, say so with SLUICEGATE_RUNTIMES_SIGNED_IN={runtime.name}"
        )
    return None


def program(runtime: Runtime, environ: Mapping[str, str]) -> str | None:
    return shutil.which(runtime.program, path=environ.get("PATH", ""))


def credentials(runtime: Runtime, environ: Mapping[str, str], signed_in: Collection[str]) -> str | None:
    """What lets it in, in a word or two, never the secret; empty when none is needed, None when it lacks."""
    if not runtime.keys:
        return ""
    for name in (*runtime.keys, *runtime.elsewhere):
        if environ.get(name):
            return name
    for login in runtime.logins:
        if login.path(environ).is_file():
            return str(login.path(environ))
    if runtime.name in signed_in:
        return "SLUICEGATE_RUNTIMES_SIGNED_IN"
    return "keychain" if runtime.keychain and sys.platform == "darwin" else None


def version(runtime: Runtime, environ: Mapping[str, str]) -> str | None:
    """What the program says of itself, one line; None when it says nothing in time."""
    found = program(runtime, environ)
    if found is None:
        return None
    try:
        done = subprocess.run(
            [found, *runtime.version], env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=VERSION_SECONDS, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return lines[0].strip()[:100] if lines else None


def secrets(environ: Mapping[str, str]) -> list[str]:
    """The values of all runtimes' keys: whichever runs, none of them is to be stored."""
    return [environ[name] for each in RUNTIMES.values() for name in each.keys if environ.get(name)]
