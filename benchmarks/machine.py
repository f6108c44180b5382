"""Where the figures were taken: without it they mean nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from msgspec import Struct

import sluicegate
from benchmarks.rig import Rig

BUSY_SHARE = 0.5
"""Waiting or running processes per core, before anything is measured, from which on figures say little."""


class Machine(Struct, frozen=True, kw_only=True):
    processor: str
    cores: int
    memory_gb: float
    system: str
    python: str
    server: str
    sluicegate: str
    load: float

    @property
    def busy(self) -> bool:
        return self.load > self.cores * BUSY_SHARE


def look() -> Machine:
    """load: of the last minute."""
    with Rig() as rig, rig.wire() as wire:
        info = wire.info("server")
    name = info.get("server_name", "redis")
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        server=f"{name} {info.get(f'{name}_version', info['redis_version'])}",
        sluicegate=sluicegate.__version__,
        load=round(os.getloadavg()[0], 2),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
