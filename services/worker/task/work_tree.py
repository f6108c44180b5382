"""The files that steps work on, and what a step changed in them: the tree before against the tree after.

The tree after is taken through the worker's own index (`add -A`, ignored files out, `write-tree`), whatever
the step committed, staged or broke in its own repository meanwhile (H-7).
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from services.worker.task.failures import failed
from services.worker.task.git import OWN_CONFIGURATION, Git, GitFailed

SUBMODULE: Final = "160000"


class Change(NamedTuple):
    """One changed path. The blobs are None where there was, or is, no file of this name."""

    path: bytes
    before: str | None
    after: str | None

    @property
    def name(self) -> str:
        return self.path.decode("utf-8", "backslashreplace")


class WorkTree:
    def __init__(self, git: Git) -> None:
        self._git = git
        self._place = git.place

    async def clone(self, *, stage: str) -> None:
        """Bring the repository here. Raises JobFailed when that is not possible."""
        options = [word for name, value in OWN_CONFIGURATION.items() for word in ("-c", f"{name}={value}")]
        await self._git.over_the_network(
            "clone", "--bare", "--no-local", *options,
            "--", self._git.repository.clone_url, str(self._place.git_dir), stage=stage,
        )  # fmt: skip
        self._place.tree.mkdir()

    async def bring(self, commit: str, *, stage: str) -> None:
        """Have this commit here, though no branch may lead to it any more. Raises JobFailed."""
        if not await self._git.has(f"{commit}^{{commit}}"):
            await self._git.over_the_network("fetch", "origin", commit, stage=stage)

    async def replay(self, start_commit: str) -> Replay:
        """Begin to build the files of a later tree from the start commit, in an index of its own."""
        await self._git.own("read-tree", "--reset", start_commit, index=self._place.replayed)
        return Replay(self._git)

    async def fill(self, start_commit: str, branch: str, tree: str) -> None:
        """Lay out the files of `tree`, in a repository for the steps whose branch is at the start commit."""
        git = self._git
        self._place.tree.rmdir()
        await git.lend()
        await git.lent("remote", "set-url", "origin", git.repository.clone_url)
        local = (await git.lent("for-each-ref", "--format=%(refname)", "refs/heads/")).decode().split()
        await git.lent("update-ref", "--no-deref", "HEAD", start_commit)
        for ref in local:
            await git.lent("update-ref", "-d", ref)
        await git.lent("update-ref", f"refs/heads/{branch}", start_commit)
        await git.lent("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        await git.own("read-tree", "--reset", "-u", tree)
        await git.lent("reset", "--quiet", "--mixed")

    async def snapshot(self) -> str:
        """The tree of the files as they are now. Repositories that a step put inside are left out."""
        if self._place.tree.is_symlink() or not self._place.tree.is_dir():
            await asyncio.to_thread(_renew, self._place.tree)
        exclude = self._place.git_dir / "info" / "exclude"
        exclude.parent.mkdir(exist_ok=True)
        exclude.write_bytes(b"")
        try:
            untracked = await self._git.own("ls-files", "-z", "--others", "--exclude-standard")
            nested = [path for path in untracked.split(b"\0") if path.endswith(b"/")]
            exclude.write_bytes(b"".join(b"/" + _literally(path) + b"\n" for path in nested))
            await self._git.own("add", "--all", "--", ".")
            return (await self._git.own("write-tree")).decode().strip()
        except GitFailed as error:
            raise failed(f"the changes cannot be read: {error}", "transient_runtime") from error

    async def changes(self, before: str, after: str) -> list[Change]:
        shown = ("--raw", "--no-abbrev", "--no-renames")
        raw = await self._git.own("diff-tree", "-r", "-z", *shown, before, after)
        fields = raw.split(b"\0")
        return [_change(fields[at].decode(), fields[at + 1]) for at in range(0, len(fields) - 1, 2)]

    async def patch(self, before: str, after: str, target: Path) -> None:
        """Write the difference so that `Replay.apply` makes `after` of `before`, binary files too."""
        await self._git.own(
            "diff-tree", "-r", "-p", "--binary", "--full-index", "--no-renames", "--no-color",
            "--no-ext-diff", "--no-textconv", f"--output={target}", before, after,
        )  # fmt: skip


class Replay:
    """Patches put on the start commit in order, each result checked."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._place = git.place

    async def apply(self, patch: Path) -> None:
        """Raises GitFailed when the patch does not apply; the files are untouched."""
        if patch.stat().st_size:
            await self._git.own(
                "apply", "--cached", "--binary", "--whitespace=nowarn", str(patch), index=self._place.replayed
            )

    async def tree(self) -> str:
        return (await self._git.own("write-tree", index=self._place.replayed)).decode().strip()


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _change(raw: str, path: bytes) -> Change:
    """`:100644 100755 <blob> <blob> M`; a submodule's commit is no blob of ours."""
    old_mode, new_mode, old, new, _ = raw.removeprefix(":").split(" ")
    return Change(path, _blob(old_mode, old), _blob(new_mode, new))


def _blob(mode: str, name: str) -> str | None:
    return None if mode in (SUBMODULE, "000000") else name


def _literally(path: bytes) -> bytes:
    """A path as a pattern that means only itself."""
    special = b"\\*?[]!# "
    return b"".join(b"\\" + byte if byte in special else byte for byte in (bytes([each]) for each in path))


def _renew(tree: Path) -> None:
    """A step that removed the whole tree has deleted every file; one that put a link there means no other."""
    if tree.is_symlink() or tree.is_file():
        tree.unlink()
    elif tree.exists():
        shutil.rmtree(tree)
    tree.mkdir()
