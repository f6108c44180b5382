"""Off, a process of ours pays nothing for what it does not use."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import sys
import services.control.__main__, services.queue_api.__main__
import services.sweeper.__main__, services.worker.__main__
import services.worker.task.handler, sluicegate.client.http, sluicegate.client.trusted
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


def test_no_service_loads_opentelemetry_unless_it_is_asked_to() -> None:
    """Nor does a library do it for us: redis-py would, wherever it is installed."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", done.stdout
