"""The processes."""

import sys

if "opentelemetry" not in sys.modules:
    # redis-py brings in OpenTelemetry wherever it is installed, traced or not: 75 ms and 3 MB of each process
    # that starts, for figures that nobody asks it for. Only in our own processes is it kept from that.
    sys.modules["opentelemetry"] = None  # type: ignore[assignment]
    import sluicegate.store  # noqa: F401

    del sys.modules["opentelemetry"]
