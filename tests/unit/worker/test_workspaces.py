"""Workspaces: one folder per process, kept while it lives, removed by the next if it was killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sluicegate.errors import ConfigurationError
from sluicegate.worker.workspaces import Workspaces

OTHER_WORKER = """
import sys
from pathlib import Path
from sluicegate.worker.workspaces import Workspaces
workspaces = Workspaces(Path(sys.argv[1]))
print(workspaces.make("job-1", 1), flush=True)
sys.stdin.read()
"""


@contextmanager
def other_worker(root: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process with an attempt under way, and that attempt's folder."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_WORKER, str(root)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_a_killed_workers_folder_is_removed_by_the_next(tmp_path: Path) -> None:
    with other_worker(tmp_path) as (process, folder):
        (folder / "clone").mkdir()
        process.kill()
        process.wait()
        assert folder.is_dir()
    Workspaces(tmp_path).close()
    assert not folder.parent.exists()


def test_a_live_workers_folder_is_not(tmp_path: Path) -> None:
    with other_worker(tmp_path) as (_, folder):
        Workspaces(tmp_path).close()
        assert folder.is_dir()


def test_a_removal_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    """Its lock had gone first; nobody ever touched the rest again."""
    (tmp_path / "worker-1-abc" / "job-1-1" / "clone").mkdir(parents=True)
    Workspaces(tmp_path).close()
    assert not (tmp_path / "worker-1-abc").exists()


def test_only_folders_of_workers_are_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    Workspaces(tmp_path).close()
    assert (tmp_path / "mine").is_dir()


def test_two_with_the_same_process_id(tmp_path: Path) -> None:
    """Containers that share a folder: every one of them is process 1."""
    one, two = Workspaces(tmp_path), Workspaces(tmp_path)
    first, second = one.make("job-1", 1), two.make("job-1", 1)
    assert first != second
    one.close()
    assert second.is_dir()
    two.close()


def test_many_that_start_at_once_keep_their_folders(tmp_path: Path) -> None:
    """One that had made its folder and not locked it yet was taken for dead by the next."""
    argv = [sys.executable, "-c", OTHER_WORKER, str(tmp_path)]
    started = [
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    try:
        folders = [Path(each.stdout.readline().strip()) for each in started if each.stdout]
        assert len(set(folders)) == 4
        assert all(folder.is_dir() for folder in folders)
    finally:
        for each in started:
            each.kill()
            each.communicate()


def test_each_attempt_has_a_folder_of_its_own_and_it_goes_with_it(tmp_path: Path) -> None:
    workspaces = Workspaces(tmp_path)
    first, second = workspaces.make("job-1", 1), workspaces.make("job-1", 2)
    assert first != second
    locked = first / "cache" / "module"
    locked.mkdir(parents=True)
    (locked / "file").write_text("read-only, as Go's module cache is")
    locked.chmod(0o555)
    locked.parent.chmod(0o555)
    (first / "way out").symlink_to(second)
    workspaces.remove(first)
    workspaces.close()
    assert list(tmp_path.iterdir()) == [tmp_path / "lock"]


def test_a_root_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="SLUICEGATE_WORKER_DIR"):
        Workspaces(tmp_path / "file")
