"""What an idle worker asks of the store while nothing happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Final

from benchmarks.rig import Rig
from benchmarks.subject import Measure, Reading, Round, Scale, Subject
from benchmarks.wire import Wire

SENT: Final = Measure(name="commands sent by an idle worker", unit="/s", target=3)
EXECUTED: Final = Measure(name="the same, with what its scripts run", unit="/s")
BEGIN: Final = b"bench:begin"
END: Final = b"bench:end"
IN_SCRIPT: Final = b" lua] "
ASKING: Final = b'"INFO" "stats"'
OWN: Final = 1


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    seconds = scale.of(6, quick=2)
    with Rig() as rig, rig.wire() as wire, rig.wire() as monitor:
        async with rig.workers(slots=4) as (worker,):
            monitor.call("MONITOR")
            for _ in scale.rounds:
                wire.call("ECHO", BEGIN)
                started, executed = time.monotonic(), _executed(wire)
                await asyncio.sleep(seconds)
                worker.check()
                executed = _executed(wire) - executed - OWN
                passed = time.monotonic() - started
                wire.call("ECHO", END)
                yield {SENT: Reading(_sent(monitor) / passed), EXECUTED: Reading(executed / passed)}


def _executed(wire: Wire) -> int:
    """Scripts and each command that they run, as the server counts them; not yet the asking itself."""
    return int(wire.info("stats")["total_commands_processed"])


def _sent(monitor: Wire) -> int:
    """Commands that clients sent between the two marks, without our own."""
    while BEGIN not in monitor.reply():
        continue
    number = 0
    while END not in (line := monitor.reply()):
        number += not (IN_SCRIPT in line or ASKING in line)
    return number


SUBJECT: Final = Subject(name="idle", says="commands per second of an idle worker", rounds=rounds)
