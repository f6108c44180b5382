"""Settings: one frozen struct per service, from flags, the environment and a TOML file, in that order.

A field `redis_url` is `SLUICEGATE_REDIS_URL` in the environment and `redis_url` in the file. Each default
exists once, in `structs`; `.env.example` and the reference are generated from them.
"""

from sluicegate.settings.secret_files import read_secret
from sluicegate.settings.showing import as_text, description, env_example, masked
from sluicegate.settings.sources import FROM_FILES, load, unknown_variables
from sluicegate.settings.structs import (
    DEFAULT_URL,
    PREFIX,
    SECRET_FIELDS,
    STRUCTS,
    ClientSettings,
    ControlSettings,
    QueueApiSettings,
    ServerSettings,
    Settings,
    SweeperSettings,
    WorkerSettings,
    known_fields,
)

__all__ = [
    "DEFAULT_URL", "FROM_FILES", "PREFIX", "SECRET_FIELDS", "STRUCTS", "ClientSettings", "ControlSettings",
    "QueueApiSettings", "ServerSettings", "Settings", "SweeperSettings", "WorkerSettings", "as_text",
    "description", "env_example", "known_fields", "load", "masked", "read_secret", "unknown_variables",
]  # fmt: skip
