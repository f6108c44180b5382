"""A command's own cgroup: what it counts, what it kills, what is left of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.worker.process.guard import cgroup, libc
from sluicegate.worker.process.guard.cgroup import Cgroup
from tests.support import cgroups
from tests.support.wait import until_sync


@pytest.fixture
def made() -> Iterator[Cgroup]:
    made = cgroup.make(cgroups.require())
    assert made is not None
    yield made
    made.end()
    made.close()


def inside(made: Cgroup, code: str = "import time; time.sleep(600)") -> subprocess.Popen[bytes]:
    """A process that was put into it."""
    started = subprocess.Popen([sys.executable, "-I", "-S", "-c", code])
    cgroup.write(f"{made.path}/cgroup.procs", str(started.pid).encode())
    return started


def test_it_knows_what_is_in_it_and_kills_all_of_it(made: Cgroup) -> None:
    """C-12: also in a session of its own, and in a cgroup that was made within."""
    assert (made.populated, made.processes(), made.kill()) == (False, [], [])
    with inside(made) as first, inside(made) as second:
        inner = Path(made.path, "inner")
        inner.mkdir()
        cgroup.write(f"{inner}/cgroup.procs", str(second.pid).encode())
        assert made.populated
        assert sorted(made.processes()) == sorted([first.pid, second.pid])
        made.remove()
        assert inner.is_dir(), "what is populated stays"
        assert sorted(made.kill()) == sorted([first.pid, second.pid])
    until_sync(lambda: not made.populated, "it is empty")
    made.remove()
    assert not Path(made.path).exists()
    made.remove()  # harmless when it is gone
    assert (made.populated, made.processes(), made.kill()) == (False, [], [])


def test_a_child_can_be_in_it_from_its_beginning(made: Cgroup) -> None:
    told, tell = os.pipe()
    pid = libc.fork_into(made.folder, 17)
    if not pid:
        os.write(tell, cgroup.read("/proc/self/cgroup"))
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert f"/{made.name}\n".encode() in os.read(told, 4096)
    os.close(told)
    os.close(tell)


def test_what_a_killed_guard_left_is_ended_and_what_a_living_one_has_is_not(made: Cgroup) -> None:
    """C-12: worker and guards killed all at once. The kernel drops a lock with its last holder."""
    home = str(Path(made.path).parent)
    code = f"import os, sys, time; sys.path.append({str(Path(cgroup.__file__).parents[1])!r})\n"
    code += f"from guard import cgroup; print(cgroup.make({home!r}).path, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        left = Cgroup(owner.stdout.readline().strip())
        with inside(made) as mine, inside(left) as lost:
            assert cgroup.end_abandoned(home) == 0
            assert mine.poll() is lost.poll() is None
            owner.kill()
            owner.wait()
            assert cgroup.end_abandoned(home) == 1
            assert lost.wait(10) == -9
            assert mine.poll() is None
            mine.kill()
    assert not Path(left.path).exists()
    left.close()


V1 = "29 1 0:25 / /m rw - cgroup c rw,memory\n"


@pytest.mark.parametrize(
    ("groups", "mounts", "expected"),
    [
        ("0::/a/b\n", "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/a/b"),
        ("0::/\n", "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup"),
        ("0::/a/b\n", "30 1 0:26 /a /mnt rw - cgroup2 cgroup2 rw\n", "/mnt/b"),
        ("0::/a/b\n", "30 1 0:26 /c /mnt rw - cgroup2 cgroup2 rw\n", None),
        ("0::/ab\n", "30 1 0:26 /a /mnt rw - cgroup2 cgroup2 rw\n", None),
        ("4:memory:/a\n0::/\n", V1 + "30 1 0:26 / /u rw - cgroup2 c rw\n", "/u"),
        ("4:memory:/a\n", V1, None),
        ("", "", None),
    ],
)  # fmt: skip
def test_where_this_process_is(
    monkeypatch: pytest.MonkeyPatch, groups: str, mounts: str, expected: str | None
) -> None:
    files = {"/proc/self/cgroup": groups, "/proc/self/mountinfo": mounts}
    monkeypatch.setattr(cgroup, "read", lambda path: files[path].encode())
    assert cgroup._own() == expected


@pytest.mark.parametrize(("delegated", "expected"), [(True, True), (False, False)])
def test_where_systemd_is_the_only_writer_nothing_is_made(
    monkeypatch: pytest.MonkeyPatch, delegated: bool, expected: bool
) -> None:
    home = cgroups.require()
    monkeypatch.setattr(cgroup, "_managed", lambda: True)
    monkeypatch.setattr(cgroup, "_delegation", lambda folder: [b"1"] if delegated else [])
    assert cgroup.home() == (home if expected else "-")


def test_where_none_can_be_made_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder that is no cgroup has no cgroup.kill, as kernels before 5.14 have none."""
    monkeypatch.setattr(cgroup, "_own", lambda: str(tmp_path))
    monkeypatch.setattr(cgroup, "_managed", lambda: False)
    assert cgroup.home() == "-"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(cgroup, "_own", lambda: str(tmp_path / "absent"))
    assert cgroup.home() == "-"
    assert (cgroup.make("-"), cgroup.end_abandoned("-")) == (None, 0)
