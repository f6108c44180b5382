"""Off, a process of ours pays nothing for what it does not use."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext

import pytest
from opentelemetry import trace

from sluicegate.tracing.producer import enqueueing

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


def test_a_producer_that_has_set_up_no_tracing_opens_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry is loaded in it nevertheless: redis-py sees to that."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    assert isinstance(enqueueing("noop"), nullcontext)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", trace.NoOpTracerProvider())
    assert not isinstance(enqueueing("noop"), nullcontext)
