"""Real repositories for tasks: a bare one to clone and push to, whatever this machine's configuration."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Author",
    "GIT_AUTHOR_EMAIL": "author@example.org",
    "GIT_COMMITTER_NAME": "Author",
    "GIT_COMMITTER_EMAIL": "author@example.org",
    "LC_ALL": "C",
}


def git(*args: str, cwd: Path, check: bool = True) -> str:
    done = subprocess.run(["git", *args], cwd=cwd, env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 0 or not check, (args, done.stderr.decode())
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


class Origin:
    """A bare repository with one commit on `main`."""

    def __init__(self, root: Path, files: dict[str, bytes] | None = None) -> None:
        self.path = root / "origin.git"
        self.clone = root / "author"
        root.mkdir(parents=True, exist_ok=True)
        git("init", "--quiet", "--bare", "--initial-branch=main", str(self.path), cwd=root)
        git("clone", "--quiet", str(self.path), str(self.clone), cwd=root)
        git("checkout", "-q", "-b", "main", cwd=self.clone)
        self.first = self.commit(files or {"README.md": b"first line\nsecond line\n"})

    def commit(self, files: dict[str, bytes], message: str = "Change files", branch: str = "main") -> str:
        """Commit these files, and push the branch; its commit."""
        for name, content in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        git("add", "--all", "--force", cwd=self.clone)
        git("commit", "--quiet", "--allow-empty", "-m", message, cwd=self.clone)
        git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}", cwd=self.clone)
        return git("rev-parse", "HEAD", cwd=self.clone)

    def tip(self, branch: str) -> str | None:
        return git("rev-parse", "--verify", "-q", f"refs/heads/{branch}", cwd=self.path, check=False) or None

    def branches(self) -> list[str]:
        return git("for-each-ref", "--format=%(refname:short)", "refs/heads/", cwd=self.path).split()

    def file(self, branch: str, name: str) -> bytes:
        command = ["git", "cat-file", "blob", f"refs/heads/{branch}:{name}"]
        return subprocess.run(command, cwd=self.path, env=ENVIRONMENT, capture_output=True, check=True).stdout

    def files(self, branch: str) -> list[str]:
        listed = git("ls-tree", "-r", "-z", "--name-only", f"refs/heads/{branch}", cwd=self.path)
        return [name for name in listed.split("\0") if name]

    def shown(self, branch: str, format: str) -> str:
        return git("log", "-1", f"--format={format}", f"refs/heads/{branch}", cwd=self.path)

    def hook(self, name: str, script: str) -> None:
        path = self.path / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
