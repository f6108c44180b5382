"""What it costs the server to count the flow: the same jobs on two stores, one of which does not count."""

from __future__ import annotations

import contextlib
import hashlib
import re
import statistics
from collections.abc import AsyncGenerator, Iterator
from typing import Final
from unittest import mock

import uuid_utils

from benchmarks.rig import Rig, accepted, fill
from benchmarks.subject import Measure, Reading, Round, Scale, Subject
from benchmarks.wire import Wire
from sluicegate.model import Policy
from sluicegate.store import Store, claims, connection, endings, scripts
from sluicegate.store.endings import Complete

POLICY: Final = Policy(types=("noop",))
WORKER: Final = "bench-flow"
UNCOUNTED: Final = "the same, uncounted"
BATCHES: Final = (1, 100)
CALL: Final = re.compile(r"^ +flow\(.*\)$", re.MULTILINE)


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    """A cycle is one enqueue, one claim and one complete, of one job or of a hundred; the two take turns."""
    cycles = scale.of(300, quick=20)
    with Rig() as rig, Rig() as bare_rig, rig.wire() as wire, bare_rig.wire() as bare_wire:
        async with rig.store() as store, bare_rig.store() as bare:
            for _ in scale.rounds:
                found: Round = {}
                for batch in BATCHES:
                    costs, without = [], []
                    for _ in range(cycles if batch == 1 else cycles // 10):
                        costs.append(await _cycle(store, wire, batch))
                        with _uncounted():
                            without.append(await _cycle(bare, bare_wire, batch))
                    name = f"enqueue, claim and complete by {batch}"
                    cost, bare_cost = statistics.median(costs), statistics.median(without)
                    cycle = Measure(name=name, unit="µs/job", ceiling=UNCOUNTED)
                    found[cycle] = Reading(cost / batch, bare_cost / batch)
                    rate = Measure(
                        name=f"jobs of one server core, by {batch}", unit="/s", more_is_better=True,
                        ceiling=UNCOUNTED,
                    )  # fmt: skip
                    found[rate] = Reading(batch * 1e6 / cost, batch * 1e6 / bare_cost)
                yield found


async def _cycle(store: Store, wire: Wire, batch: int) -> int:
    """µs in scripts, by the server's own account; nothing else runs scripts there."""
    before = wire.commandstat("evalsha")[1]
    await fill(store, batch)
    opened = await claims.open_attempts(
        store, POLICY, worker_id=WORKER, lease_ms=60_000, limit=batch, request_id=str(uuid_utils.uuid4())
    )
    ended = [Complete(attempt.job_id, attempt.token) for attempt in opened.attempts]
    accepted([each for each in await endings.settle(store, WORKER, ended) if each is not None])
    return wire.commandstat("evalsha")[1] - before


@contextlib.contextmanager
def _uncounted() -> Iterator[None]:
    """The scripts of this process without their calls that count the flow."""
    with mock.patch.object(connection, "script", _plain):
        yield


_PLAIN: Final[dict[str, scripts.Script]] = {}


def _plain(name: str) -> scripts.Script:
    if name not in _PLAIN:
        chosen = scripts.script(name)
        text = CALL.sub("", chosen.text)
        sha = hashlib.sha1(text.encode()).hexdigest()
        _PLAIN[name] = chosen._replace(text=text, sha=sha)
    return _PLAIN[name]


SUBJECT: Final = Subject(
    name="flow", says="what counting for the charts costs the store", rounds=rounds,
    limit_seconds=60, long=True,
)  # fmt: skip
