"""What `import sluicegate` offers."""

from __future__ import annotations

from importlib import metadata
from unittest import mock

import pytest

import sluicegate


def test_the_version_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in a file, which was read and parsed for each enqueue where OpenTelemetry is loaded."""
    monkeypatch.delitem(vars(sluicegate), "__version__", raising=False)
    with mock.patch.object(metadata, "version", side_effect=metadata.version) as reads:
        assert sluicegate.__version__ == sluicegate.__version__
    assert reads.call_count == 1


def test_what_is_offered_is_there() -> None:
    for name in sluicegate.__all__:
        assert getattr(sluicegate, name)
    with pytest.raises(AttributeError, match="no attribute 'Job_'"):
        _ = sluicegate.Job_  # type: ignore[attr-defined]
