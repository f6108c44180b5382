"""What the benchmarks make of their readings."""

from __future__ import annotations

import pytest

from benchmarks.subject import Measure, Reading, Scale, figures, percentile

RATE = Measure(name="rate", unit="/s", more_is_better=True, target=100, ceiling="top")
TIME = Measure(name="time", unit="ms", target=2)


def test_a_figure_is_the_median_of_its_runs() -> None:
    rates = [Reading(90, 900), Reading(300, 1000), Reading(110, 220)]
    rate, time = figures([{RATE: each, TIME: Reading(at)} for at, each in enumerate(rates, 1)])
    assert (rate.value, rate.values, rate.ceiling, rate.met) == (110, [90, 300, 110], 900, True)
    assert (time.value, time.ceiling, time.ratio, time.met) == (2, None, None, True)


def test_each_run_is_set_beside_its_own_ceiling() -> None:
    """The ratio of the medians would be 110 / 900."""
    rates = [Reading(90, 900), Reading(300, 1000), Reading(110, 220)]
    assert figures([{RATE: each} for each in rates])[0].ratio == pytest.approx(0.3)


@pytest.mark.parametrize(("measure", "value"), [(RATE, 99.0), (TIME, 2.1)])
def test_a_missed_target_is_called_so(measure: Measure, value: float) -> None:
    assert figures([{measure: Reading(value)}])[0].met is False


def test_nothing_measured_has_no_figures() -> None:
    assert figures([]) == []


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)], ids=["p50", "p99", "max", "min"]
)
def test_a_percentile_is_one_of_the_values(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_the_warm_up_is_beside_the_runs() -> None:
    """None when it is quick: then nobody asks how fast it is."""
    scale, quick = Scale(5), Scale(5, quick=True)
    assert (len(scale.rounds), scale.of(1000, quick=10)) == (6, 1000)
    assert (len(quick.rounds), quick.of(1000, quick=10)) == (5, 10)
