"""What `sluicegate dev` is going to run, settled and checked before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from sluicegate import settings as of
from sluicegate.dev.embedded_store import LOOPBACK

CAPABILITIES: Final = ("git", "shell")
SHUTDOWN_SECONDS: Final = 5.0
"""How long dev's worker lets its jobs run on after SIGTERM, where no setting says otherwise."""


class Plan(Struct, frozen=True, kw_only=True):
    """redis_url: a server that is not ours; None runs the embedded store. environment: for every service."""

    server: of.ServerSettings
    port: int
    data_dir: Path
    redis_url: str | None
    worker: bool
    worker_shutdown_seconds: float
    environment: dict[str, str]

    @property
    def needs_admin(self) -> bool:
        """Tokens are asked for, and nobody has said what the first one is."""
        return self.server.auth == "required" and self.server.bootstrap_admin_token is None

    @property
    def store_config(self) -> dict[str, str]:
        """What the embedded store needs beyond its own defaults."""
        return {"appendfsync": "always"} if self.server.durability == "local" else {}


def make_plan(
    *,
    port: int,
    worker: bool,
    flags: Mapping[str, Any],
    extra: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Plan:
    """flags: settings given on the command line. extra: variables for the services that win over all.

    Loads the settings of every service, so that a bad value is refused here and not by a process that
    restarts again and again. Raises ConfigurationError.
    """
    environ = {**(os.environ if environ is None else environ), **(extra or {})}
    server = of.load(of.ServerSettings, environ=environ, flags=flags)
    of.load(of.QueueApiSettings, environ=environ, flags=flags)
    of.load(of.ControlSettings, environ=environ, flags=flags)
    of.load(of.SweeperSettings, environ=environ, flags=flags)
    runner = of.load(of.WorkerSettings, environ=environ, flags=flags)
    shutdown = runner.worker_shutdown_seconds
    if not _given("worker_shutdown_seconds", environ, shutdown):
        shutdown = SHUTDOWN_SECONDS
    data_dir = server.data_dir.absolute()
    return Plan(
        server=server,
        port=port,
        data_dir=data_dir,
        redis_url=server.redis_url if _given("redis_url", environ, server.redis_url) else None,
        worker=worker,
        worker_shutdown_seconds=shutdown,
        environment={
            **(extra or {}),
            "SLUICEGATE_DATA_DIR": str(data_dir),
            "SLUICEGATE_HOST": LOOPBACK,
            "SLUICEGATE_METRICS_HOST": LOOPBACK,
            "SLUICEGATE_AUTH": server.auth,
            "SLUICEGATE_WORKER_TRANSPORT": "redis",  # whatever SLUICEGATE_URL says to the CLI
            "SLUICEGATE_ALLOW_LOCAL_REPOSITORIES": "1",
            "SLUICEGATE_WORKER_CAPABILITIES": ",".join(runner.worker_capabilities or CAPABILITIES),
            "SLUICEGATE_WORKER_SHUTDOWN_SECONDS": str(shutdown),
        },
    )


def _given(name: str, environ: Mapping[str, str], value: object) -> bool:
    """Whether someone chose it: it is in the environment, or not the default."""
    default = of.known_fields()[name].default
    return bool(environ.get(of.PREFIX + name.upper())) or value != default
