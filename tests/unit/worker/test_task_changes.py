"""A step's diff is what its files were before and after, however it went about it; and it can be replayed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sluicegate.settings import WorkerSettings
from tests.support.origin import Origin, git
from tests.support.tasks import NewTask, failure, run

BRANCH = {"git": {"newBranch": "result"}}

START: dict[str, bytes] = {
    ".gitignore": b"*.log\n/build/\n",
    ".gitattributes": b"*.dos text eol=crlf\n*.mark -text\n*.pic binary\n",
    "README.md": b"one\ntwo\nthree\n",
    "windows.txt": b"a\r\nb\r\n",
    "lines.dos": b"a\nb\n",
    "tracked.log": b"kept although ignored\n",
    "old/name": b"to be moved\n" * 20,
    "picture.pic": bytes(range(256)) * 40,
    "no-newline": b"last line without its end",
}

STEPS = {
    "nothing": "true",
    "binary files": "head -c 100000 /dev/urandom > random.bin; printf '\\0\\1' >> picture.pic; rm no-newline",
    "a rename with a change": "mkdir new; mv old/name new/name; echo more >> new/name",
    "deleted files": "rm -r README.md old picture.pic",
    "everything deleted": "git rm -rqf .; rm -rf ./*",
    "the whole tree deleted": "rm -rf $PWD",
    "commits of its own": (
        "echo x > x; git add x; git commit -qm x; echo y > y; git checkout -qb other; git add y; "
        "git commit -qm y; echo z > z; git stash -qu; echo w > w; git reset -q --hard HEAD~1"
    ),
    "history thrown away": (
        "echo x > x; git checkout -q --orphan none; git rm -rqf --cached .; git add x; git commit -qm x"
    ),
    "its repository removed": "rm -rf .git; echo x > x",
    "its repository broken": "echo garbage > .git/HEAD; echo garbage > .git/index; echo x > x",
    "its repository reconfigured": (
        "git config core.excludesFile $PWD/.git/all; echo '*' > .git/all; echo x > x; "
        "git config core.worktree /; git config core.hooksPath .; echo '*' > .git/info/exclude; "
        "git config core.autocrlf true; git config filter.f.clean false; "
        "echo '* filter=f' > .git/info/attributes"
    ),
    "ignored files": "mkdir build; echo x > build/x; echo x > a.log; echo changed > tracked.log",
    "modes and links": (
        "chmod +x README.md; ln -s README.md link; ln -s /nowhere 'dangling link'; ln -sf x old/up"
    ),
    "a file becomes a folder": (
        "rm no-newline; mkdir no-newline; echo x > no-newline/x; rm -r old; echo x > old"
    ),
    "a file becomes a link": "rm README.md; ln -s windows.txt README.md",
    "line ends": (
        "printf 'a\\r\\nb\\r\\nc\\r\\n' > windows.txt; printf 'x\\r\\n' >> lines.dos; "
        "printf 'a\\rb' > cr.mark"
    ),
    "no newline at the end": "printf 'another end' > no-newline; printf 'x' > README.md; : > empty",
    "unusual names": (
        "touch -- '-rf' ' blank ' 'quote\"s' \"apos'trophe\" 'back\\slash' $'new\\nline' "
        "$'tab\\t' 'ü' $'\\xff\\xfe' '*' '#x' '!x' '[a]' ':(top)x' 'a  b'; mkdir -p 'd d/ü'; "
        "echo x > 'd d/ü/\"x\"'; git add -A"
    ),
    "much text": "seq 200000 > numbers; seq 3 > README.md",
    "only spaces": "printf '  \\n\\t\\n' > blanks; printf 'one \\ntwo\\t\\nthree\\n' > README.md",
}

TELLING = {
    "nothing", "binary files", "a rename with a change", "the whole tree deleted", "commits of its own",
    "ignored files", "modes and links", "a file becomes a folder", "line ends", "unusual names",
}  # fmt: skip
"""Those that differ most: the others are for the slow tests."""


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(script, id=name, marks=[] if name in TELLING else [pytest.mark.slow])
        for name, script in STEPS.items()
    ],
)
async def test_what_a_step_leaves_is_what_is_published(
    tmp_path: Path, worker_settings: WorkerSettings, new_task: NewTask, origin: Origin, script: str
) -> None:
    """H-7, H-8: the same files come out directly and by replaying the patch on another worker."""
    origin.commit(START)
    go, listing = tmp_path / "go", tmp_path / "listing"
    files = "find . -name .git -prune -o ! -type d"
    second = (
        f"test -e {go} || exit 1; {{ {files} -printf '%p %y %m %l\\0' | sort -z; "
        f"{files} -type f -print0 | sort -z | xargs -0r sha256sum -z; }} > {listing}; touch end"
    )
    resumed = new_task(script, second, task=BRANCH | {"publish": {"mode": "none"}})
    await failure(resumed, worker_settings)
    go.touch()
    await run(resumed, worker_settings)
    rebuilt = listing.read_bytes()

    straight = new_task(script, second, task=BRANCH)
    await run(straight, worker_settings)
    assert git("rev-parse", "result^{tree}", cwd=origin.path) == straight.steps[1].tree_hash
    if "urandom" not in script:
        assert resumed.steps[1].tree_hash == straight.steps[1].tree_hash
        assert resumed.steps[0].diff_hash == straight.steps[0].diff_hash
        if script != STEPS["ignored files"]:  # those are on no other worker
            assert rebuilt == listing.read_bytes()


EXPECTED = {
    "commits of its own": {"w", "x"},  # what it stashed, or threw away by a reset, is not there
    "its repository removed": {"x"},
    "its repository broken": {"x"},
    "its repository reconfigured": {"x"},
    "ignored files": set[str](),
}


@pytest.mark.parametrize("name", EXPECTED)
async def test_only_files_that_count_are_published(
    worker_settings: WorkerSettings, new_task: NewTask, origin: Origin, name: str
) -> None:
    """H-7: the tree is what is in the folder, less what is ignored, whatever git was told."""
    origin.commit(START)
    kept = new_task(STEPS[name], task=BRANCH)
    await run(kept, worker_settings)
    assert set(origin.files("result")) - {"README.md", *START} == EXPECTED[name]
    assert {"README.md", *START} <= set(origin.files("result"))
    if name == "ignored files":
        assert origin.file("result", "tracked.log") == b"changed\n"


async def test_repositories_inside_are_left_out(
    worker_settings: WorkerSettings, new_task: NewTask, origin: Origin
) -> None:
    """A clone that an agent made to look at is no change; nor does an empty one stop the step."""
    kept = new_task(
        "git init -q empty; git init -q 'deep/er [x]'; cd 'deep/er [x]'; echo x > x; git add x; "
        "git commit -qm x; cd ../..; echo kept > deep/kept",
        task=BRANCH,
    )
    await run(kept, worker_settings)
    assert origin.files("result") == ["README.md", "deep/kept"]


async def test_a_link_in_place_of_the_tree_is_not_followed(
    tmp_path: Path, worker_settings: WorkerSettings, new_task: NewTask, origin: Origin
) -> None:
    """A step that puts a link where its folder was publishes nothing from behind it."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "private").touch()
    kept = new_task(f"tree=$PWD; cd /; rm -rf $tree; ln -s {tmp_path}/elsewhere $tree", task=BRANCH)
    await run(kept, worker_settings)
    assert origin.files("result") == []
    assert (tmp_path / "elsewhere" / "private").exists()


async def test_a_patch_over_its_limit_fails_the_step(
    worker_settings: WorkerSettings, new_task: NewTask, origin: Origin
) -> None:
    """70-15: patches have a limit of their own; past it the step fails loudly, nothing is stored."""
    small = msgspec.structs.replace(worker_settings, max_patch_bytes=10_000)
    kept = new_task("head -c 20000 /dev/urandom > big", task=BRANCH)
    error = await failure(kept, small)
    assert "over the limit of 10,000" in error.message
    assert (error.retryable, kept.steps) == (False, {})
    assert "patches/steps/step-0001.patch" not in kept.artifacts
    assert "task.step.attempt.failed" in kept.kinds()


async def test_a_long_log_keeps_its_beginning_and_end(
    worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-51: a log over the artifact limit does not fail the job; what is left out is said."""
    small = msgspec.structs.replace(worker_settings, max_artifact_bytes=4000)
    kept = new_task("echo begin; seq 5000; echo end")
    await run(kept, small)
    log = kept.content[kept.artifacts["logs/steps/step-0001.log"].digest]
    assert len(log) <= 4000
    assert log.startswith(b"begin\r\n1\r\n")
    assert log.endswith(b"5000\r\nend\r\n")
    assert b"bytes are left out here" in log
