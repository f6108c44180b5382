"""Git commands of one attempt, in the worker's own repository beside the work tree.

Steps have a repository of their own, which borrows its objects: whatever they commit, configure or break
there, the worker's view of the files stays true, and its credentials never meet their hooks or settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote, urlsplit

from services.worker.heal.classify import classify
from services.worker.task import environment
from services.worker.task.failures import failed, git_says
from services.worker.task.place import Place
from services.worker.task.spoken_to import Process, spoken_to
from sluicegate.repositories import Repository

if TYPE_CHECKING:
    from sluicegate.worker.context import JobContext
    from sluicegate.worker.process import CommandResult

T = TypeVar("T")
QUIET_SECONDS: Final = 900.0
"""No local command takes this long on a disk that works."""

OWN_CONFIGURATION: Final = {
    "core.hooksPath": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.attributesFile": "/dev/null",
    "core.quotePath": "false",
    "core.fsmonitor": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
}


class GitFailed(Exception):
    """A local command ended with another code than 0: what it was, and what it said."""

    def __init__(self, args: tuple[str, ...], code: int, said: str) -> None:
        super().__init__(f"git {args[0]} failed with exit code {code}: {said}")
        self.code = code


class Git:
    def __init__(self, ctx: JobContext, place: Place, repository: Repository) -> None:
        self._ctx = ctx
        self.place = place
        self.options: list[str] = []
        self.repository = repository
        self.environment = environment.for_git(os.environ, ctx.settings)

    def at(self, place: Place) -> Git:
        """The same repository of the same attempt in another place."""
        other = Git(self._ctx, place, self.repository)
        other.options = self.options
        return other

    def give_credentials(self, secret: str) -> None:
        """From now on answer this repository's host, and no other, with this `token` or `user:password`.

        It stands in a file of ours that only this user reads: never in argv, a URL or the environment.
        """
        if self.repository.scheme not in ("https", "http"):
            return
        user, password = secret.split(":", 1) if ":" in secret else ("x-access-token", secret)
        parts = urlsplit(self.repository.clone_url)
        userinfo = f"{quote(user, safe='')}:{quote(password, safe='')}"
        with open(self.place.credentials, "w", opener=_private) as file:
            file.write(f"{parts.scheme}://{userinfo}@{parts.netloc}\n")
        helper = f"store --file={shlex.quote(str(self.place.credentials))}"
        self.options = ["-c", "credential.helper=", "-c", f"credential.helper={helper}"]

    async def over_the_network(self, *args: str, stage: str) -> CommandResult:
        """A command that talks to the remote: watched, killable, its output in the stage's log.

        Raises JobFailed with git's own words and the class of its failure.
        """
        log = self.place.stage_log(stage)
        with log.open("a") as file:
            file.write(f"$ git {self._ctx.redactor.text(shlex.join(args))}\n")
        result = await self._ctx.run(
            ["git", *self.options, *args],
            cwd=self.place.root,
            env=self.environment | ({} if args[0] == "clone" else {"GIT_DIR": str(self.place.git_dir)}),
            pty=False,
            stage=stage,
            log_path=log,
        )
        if result.exit_code != 0:
            said = git_says(result.output) or _ending(result)
            meant = classify(
                result.output,
                self._ctx.settings.failure_rules,
                exit_code=result.exit_code,
                signal=result.signal,
            )
            raise failed(f"git {args[0]} failed: {said}", meant.failure_class)
        return result

    async def own(self, *args: str, stdin: bytes = b"", index: Path | None = None) -> bytes:
        """A local command on the worker's repository, and the files of the work tree. Returns its output."""
        place = self.place
        return await self._quietly(
            *args,
            cwd=place.tree,
            stdin=stdin,
            env={
                "GIT_DIR": str(place.git_dir),
                "GIT_WORK_TREE": str(place.tree),
                "GIT_INDEX_FILE": str(index or place.index),
            },
        )

    async def lend(self) -> None:
        """Make the repository that the steps see, without files yet; it borrows the objects of ours."""
        place = self.place
        await self._quietly(
            "clone", "--quiet", "--shared", "--no-checkout", "--", str(place.git_dir), str(place.tree),
            cwd=place.root, env={"GIT_ALLOW_PROTOCOL": "file"},
        )  # fmt: skip

    async def lent(self, *args: str) -> bytes:
        """A local command on the repository that the steps see; before the first of them only."""
        return await self._quietly(*args, cwd=self.place.tree, env={})

    async def with_blobs(self, talk: Callable[[Process], T]) -> T:
        """What `talk` makes, in a thread, of a `git cat-file --batch` on the worker's repository."""
        env = {**self.environment, "GIT_DIR": str(self.place.git_dir)}
        argv = ["git", "cat-file", "--batch"]
        return await spoken_to(
            argv, talk, cwd=self.place.git_dir, env=env, stdin=True, stderr=subprocess.DEVNULL
        )

    async def has(self, revision: str) -> bool:
        with contextlib.suppress(GitFailed):
            await self.own("cat-file", "-e", revision)
            return True
        return False

    async def commit_of(self, ref: str) -> str | None:
        """The commit that a name means; None when nothing has it."""
        with contextlib.suppress(GitFailed):
            return (await self.own("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")).decode().strip()
        return None

    async def tree_of(self, commit: str) -> str:
        return (await self.own("rev-parse", "--verify", f"{commit}^{{tree}}")).decode().strip()

    async def default_branch(self) -> str:
        """The branch that the remote's HEAD names; empty when it names none."""
        with contextlib.suppress(GitFailed):
            return (await self.own("symbolic-ref", "--short", "HEAD")).decode().strip()
        return ""

    async def is_ancestor(self, commit: str, of: str) -> bool:
        with contextlib.suppress(GitFailed):
            await self.own("merge-base", "--is-ancestor", commit, of)
            return True
        return False

    async def _quietly(self, *args: str, cwd: Path, env: Mapping[str, str], stdin: bytes = b"") -> bytes:
        def said(process: Process) -> tuple[bytes, bytes, int]:
            out, err = process.communicate(stdin or None)
            return out, err, process.returncode

        env = {**self.environment, **env}
        async with asyncio.timeout(QUIET_SECONDS):
            out, err, code = await spoken_to(["git", *args], said, cwd=cwd, env=env, stdin=bool(stdin))
        if code:
            raise GitFailed(args, code, git_says(self._ctx.redactor.data(err)))
        return out


def _ending(result: CommandResult) -> str:
    return f"exit code {result.exit_code}" if result.signal is None else f"ended by signal {result.signal}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
