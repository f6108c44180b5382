"""A machine of its own, as far as the network goes: a namespace with one cable to this one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.support import tools


class Elsewhere(NamedTuple):
    """argv: what stands before a command that is to run there. here: this machine as seen from there."""

    argv: tuple[str, ...]
    here: str


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    """Skips its test (fails, where every tool must be there) for lack of `ip` or of the right to use it."""
    ip = tools.require("ip")
    number = os.getpid() % 16_000
    name, cable = f"sluicegate-{number}", f"sg{number}"
    here, there = (f"10.213.{number // 64}.{number % 64 * 4 + host}" for host in (1, 2))
    inside = (ip, "netns", "exec", name)
    made = subprocess.run([ip, "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        tools.lacking(f"the right to make a network namespace ({made.stderr.strip()})")
    try:
        for argv in (
            (ip, "link", "add", f"{cable}a", "type", "veth", "peer", "name", f"{cable}b", "netns", name),
            (ip, "address", "add", f"{here}/30", "dev", f"{cable}a"),
            (ip, "link", "set", f"{cable}a", "up"),
            (*inside, ip, "address", "add", f"{there}/30", "dev", f"{cable}b"),
            (*inside, ip, "link", "set", f"{cable}b", "up"),
            (*inside, ip, "link", "set", "lo", "up"),
        ):
            subprocess.run(argv, check=True)
        yield Elsewhere(inside, here)
    finally:
        subprocess.run([ip, "netns", "delete", name], check=True)
