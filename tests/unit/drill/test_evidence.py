"""Evidence outlives its process, and what damaged it is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from sluicegate.drill.evidence import (
    Acknowledged,
    Evidence,
    Notes,
    Returned,
    Started,
    Told,
    in_flight,
    notes_of,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from sluicegate.drill.evidence import Notes, Started
notes = Notes(Path(sys.argv[1]), "killed")
for number in range(100):
    notes.write(Started(f"job-{number}", 1, 1, "killed", float(number)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_process_noted_before_it_was_killed_is_there(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    found = Evidence.read(tmp_path)
    assert (len(found.started), found.damaged) == (100, [])


def test_lines_come_back_by_kind_in_the_order_of_time(tmp_path: Path) -> None:
    first, second = Notes(tmp_path, "first"), Notes(tmp_path, "second")
    late, early = Told("a", 1, True, False, 5.0), Told("b", 1, False, True, 4.0)
    known, begun = Acknowledged("a", "succeeded", 1.0), Started("a", 1, 1, "w-1", 2.0)
    first.write(late)
    second.write(early)
    second.write(begun)
    first.write(known)
    first.close()
    second.close()
    found = Evidence.read(tmp_path)
    assert found.told == [early, late]
    assert (found.acknowledged, found.started, found.returned) == ([known], [begun], [])


def test_half_a_last_line_is_a_killed_process_and_anything_else_is_damage(tmp_path: Path) -> None:
    notes = Notes(tmp_path, "worker")
    notes.write(Started("a", 1, 1, "w-1", 2.0))
    notes.close()
    file = tmp_path / "worker.jsonl"
    with file.open("ab") as more:
        more.write(b'{"type":"told","job":')
    assert Evidence.read(tmp_path).damaged == []
    with file.open("ab") as more:
        more.write(b"\n")
    assert Evidence.read(tmp_path).damaged[0].startswith("worker.jsonl: ")


def test_the_notes_of_a_worker_tell_what_it_runs(tmp_path: Path) -> None:
    notes = Notes(tmp_path, "worker-1-10")
    for token in (1, 2, 3):
        notes.write(Started("a", token, token, "worker-1-10", 1.0))
    notes.write(Returned("a", 1, False, 2.0))
    notes.write(Returned("a", 3, True, 2.0))
    assert in_flight(notes_of(tmp_path, "worker-1-10")) == 1
    notes.close()
