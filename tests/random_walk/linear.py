"""Looks for an order of concurrent calls in which the model would have answered each as the store did.

A call took effect at some moment between its beginning and its end; two that did not overlap are in the order
of time. Where no order fits, the store did something that whole calls, one after another, do not explain.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from tests.random_walk import promises
from tests.random_walk.calls import Call
from tests.random_walk.judging import judge, time_of
from tests.random_walk.model import Model


class Run(NamedTuple):
    """A call that reached the store. began, ended: ticks of one clock."""

    call: Call
    answer: list[Any]
    began: int
    ended: int


class Search(NamedTuple):
    """order: all runs when one was found, else as many as could be explained; model: as it is after them."""

    order: list[Run]
    model: Model
    found: bool
    looked_at: int


def explain(model: Model, runs: Sequence[Run], fits: Callable[[Model], bool]) -> Search:
    """Depth first, the call that ended first tried first. fits: whether the store has ended as this model."""
    runs = sorted(runs, key=lambda run: run.ended)
    everything = frozenset(range(len(runs)))
    best: list[Run] = []
    best_model = model
    been: set[Hashable] = set()
    looked_at = 0
    stack: list[tuple[frozenset[int], Model, tuple[int, ...]]] = [(everything, model, ())]
    while stack:
        left, now, order = stack.pop()
        looked_at += 1
        if len(order) > len(best):
            best, best_model = [runs[at] for at in order], now
        if not left:
            if fits(now):
                return Search([runs[at] for at in order], now, True, looked_at)
            continue
        for at in reversed(_next(runs, left)):
            after = _after(now, runs[at])
            if after is None:
                continue
            mark = (left - {at}, repr(after))
            if mark not in been:
                been.add(mark)
                stack.append((left - {at}, after, (*order, at)))
    return Search(best, best_model, False, looked_at)


def _next(runs: Sequence[Run], left: frozenset[int]) -> list[int]:
    """Those that may have been the first of what is left: none of the others had ended when they began."""
    first_end = min(runs[at].ended for at in left)
    return sorted(at for at in left if runs[at].began < first_end)


def _after(model: Model, run: Run) -> Model | None:
    """The model after the call; None when it would have answered otherwise.

    A broken promise is raised: no other order makes it good.
    """
    after = model.copy()
    try:
        judge(after, run.call, run.answer)
    except AssertionError:
        return None
    promises.kept(model, run.call, after)
    after.clock = max(after.clock, time_of(run.call, run.answer))
    after.settle_times()
    return after
