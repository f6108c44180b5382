"""The load goes with the drill: at an even pace, and no faster than its faults are made."""

from __future__ import annotations

import pytest

from sluicegate.drill import load
from sluicegate.drill.load import Pace


def test_a_stage_that_takes_longer_holds_back_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr(load, "now", lambda: clock)
    pace = Pace([4.0, 2.0, 4.0])
    assert pace.share == 0.0
    clock = 102.0
    assert pace.share == 0.2
    clock = 190.0
    assert pace.share == 0.4, "the first stage is not over before it is told so"
    pace.step()
    assert pace.share == 0.4
    clock = 191.0
    assert pace.share == 0.5
    pace.step()
    assert pace.share == 0.6, "a stage may be over sooner"
    pace.step()
    assert pace.share == 1.0
