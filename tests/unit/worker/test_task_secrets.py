"""Secrets reach the steps and git, and nothing else: no event, no artifact, no log, no branch."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.worker.task.git import Git
from services.worker.task.place import Place
from sluicegate.repositories import parse
from sluicegate.settings import WorkerSettings
from tests.support.origin import Origin, git
from tests.support.recorded_context import attempt
from tests.support.tasks import NewTask, failure, run

SECRET = "planted-secret-4711"
REFERENCED = "referenced-secret-0815"


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_SECRET", SECRET)
    monkeypatch.setenv("AGENT_KEY", REFERENCED)


async def test_references_reach_the_steps_only(
    tmp_path: Path, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-31, 70-59, H-13: env: and file: references become variables of the steps; output is redacted."""
    (tmp_path / "token").write_text("from-a-file-2342\n")
    kept = new_task(
        'echo "$API_KEY and $TOKEN and $PLANTED_SECRET"; printf "%s" "${API_KEY:0:9}"; sleep 0.3; '
        'echo "${API_KEY:9}"; '
        '[ "$API_KEY" = referenced-secret-0815 ] && [ "$TOKEN" = from-a-file-2342 ] && echo right',
        "echo $API_KEY is wrong; exit 1",
        auth={"env": {"API_KEY": "env:AGENT_KEY", "TOKEN": f"file:{tmp_path}/token"}},
        task={"publish": {"mode": "none"}},
    )
    error = await failure(kept, worker_settings)
    said = kept.output("execute")
    assert "[redacted] and [redacted] and [redacted]\r\n[redacted]\r\nright\r\n" in said
    assert error.message == "exit code 1: [redacted] is wrong"
    for secret in (SECRET, REFERENCED, "from-a-file-2342"):
        assert secret.encode() not in kept.everything()


@pytest.mark.parametrize(
    "script",
    [
        "echo $PLANTED_SECRET > .env",
        "mkdir -p a/b; (seq 9; echo \"key='$KEY'\"; seq 9) > a/b/config",
        "(head -c 300000 /dev/zero; echo $KEY; head -c 300000 /dev/urandom) > binary",
        "ln -s /x/$KEY link",
        "touch name-$KEY",
        "echo $KEY > committed; git add -A; git commit -qm own",
    ],
)
async def test_a_secret_in_a_change_ends_the_task(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask, script: str
) -> None:
    """70-31: deterministic_policy, the file is named, nothing of the step is stored or published."""
    kept = new_task(script, auth={"env": {"KEY": "env:AGENT_KEY"}})
    error = await failure(kept, worker_settings)
    assert error.message.startswith("secret in changes: ")
    file = error.message.removeprefix("secret in changes: ")
    assert file in (".env", "a/b/config", "binary", "link", "committed", "a file whose name is one")
    assert (error.retryable, error.failure_class) == (False, "deterministic_policy")
    assert kept.steps == {}
    assert [name for name in kept.artifacts if not name.startswith("logs/")] == []
    assert origin.branches() == ["main"]
    for secret in (SECRET, REFERENCED):
        assert secret.encode() not in kept.everything()


@pytest.mark.parametrize("script", ["sed -i /planted/d config", "echo more >> config", "rm config"])
async def test_a_patch_that_shows_a_secret_is_not_stored(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask, script: str
) -> None:
    """H-13: one that the repository had before would stand in the patch as a removed line or as context."""
    origin.commit({"config": f"a\nkey={SECRET}\n".encode()})
    kept = new_task(script)
    error = await failure(kept, worker_settings)
    assert error.message == "secret in changes: config"
    assert SECRET.encode() not in kept.everything()


async def test_a_change_far_from_an_old_secret_is_no_leak(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """A secret that was in the file before, and is not in the patch, is not this step's doing."""
    origin.commit({"config": f"key={SECRET}\n".encode() + b"line\n" * 20})
    await run(new_task("echo more >> config", task={"git": {"newBranch": "result"}}), worker_settings)
    assert origin.file("result", "config").endswith(b"more\n")


TOKEN = "ghp_" + "q1W2" * 9


@pytest.mark.parametrize(
    ("script", "allowed", "fails"),
    [
        (f"echo 'a = {TOKEN}' >> config", False, True),
        (f"echo 'a = {TOKEN}' >> config", True, False),
        (f"touch x-{TOKEN}", False, True),
        ("echo 'postgres://me:pass@localhost/db' >> config", False, False),
        ("sed -i 's/old/new/' examples", False, False),
        ("cp examples more", False, True),
    ],
)
async def test_tokens_that_a_step_brings_in(
    origin: Origin,
    worker_settings: WorkerSettings,
    new_task: NewTask,
    script: str,
    allowed: bool,
    fails: bool,
) -> None:
    """H-13: what only looks like a token counts when the step brought it in; a setting admits it."""
    origin.commit({"examples": f"old {TOKEN[:-4]}zzzz\n".encode(), "config": b"a\n"})
    settings = msgspec.structs.replace(worker_settings, allow_tokens_in_changes=allowed)
    kept = new_task(script, task={"git": {"newBranch": "result"}})
    if not fails:
        await run(kept, settings)
        assert "result" in origin.branches()
        return
    error = await failure(kept, settings)
    assert error.message.startswith("secret in changes: ")
    assert (error.retryable, error.failure_class) == (False, "deterministic_policy")
    assert origin.branches() == ["main"]
    assert TOKEN.encode() not in b"".join(kept.content.values())


async def test_ignored_files_may_hold_secrets(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-31 is about tracked changes: an ignored .env is where secrets belong."""
    origin.commit({".gitignore": b".env\n"})
    await run(
        new_task("echo $PLANTED_SECRET > .env; touch x", task={"git": {"newBranch": "r"}}), worker_settings
    )
    assert origin.files("r") == [".gitignore", "README.md", "x"]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("env:NOT_SET_ANYWHERE", "has no value"),
        ("env:SLUICEGATE_TOKEN", "cannot be resolved"),
        ("vault:kv/x#y", "cannot be resolved"),
        ("file:/nowhere/at/all", "is no file"),
        ("file:/dev/zero", "is no file"),
    ],
)
async def test_references_that_give_nothing(
    worker_settings: WorkerSettings,
    new_task: NewTask,
    monkeypatch: pytest.MonkeyPatch,
    reference: str,
    said: str,
) -> None:
    """70-31: a reference that this worker cannot resolve is deterministic_policy, and is named."""
    monkeypatch.setenv("SLUICEGATE_TOKEN", "sgwt_of-the-worker")
    error = await failure(new_task("true", auth={"env": {"KEY": reference}}), worker_settings)
    assert (error.retryable, error.failure_class) == (False, "deterministic_policy")
    assert reference in error.message
    assert said in error.message


@contextlib.asynccontextmanager
async def served(origin: Origin, credentials: str) -> AsyncIterator[str]:
    """The repository over HTTP, for those who know the credentials; its address."""
    expected = "Basic " + base64.b64encode(credentials.encode()).decode()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != expected:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        path = origin.path / request.match_info["path"]
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)

    git("update-server-info", cwd=origin.path)
    app = web.Application()
    app.router.add_get("/acme/a.git/{path:.*}", answer)
    async with TestServer(app) as server:
        yield f"http://localhost:{server.port}/acme/a.git"


@pytest.mark.parametrize(
    ("secret", "credentials"),
    [("t0ken-0815", "x-access-token:t0ken-0815"), ("us:p:w/ü", "us:p:w/ü")],
    ids=["token", "user and password"],
)
async def test_git_is_given_the_credentials(
    origin: Origin,
    worker_settings: WorkerSettings,
    new_task: NewTask,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    secret: str,
    credentials: str,
) -> None:
    """70-31: auth.git opens the repository, from a private file: never in argv, a URL or the environment."""
    seen = tmp_path / "seen"
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\n(echo "$@"; env) >> {seen}\nexec {shutil.which("git")} "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
    (tmp_path / "secret").write_text(secret + "\n")
    async with served(origin, credentials) as url:
        kept = new_task(
            "git remote get-url origin; stat -c %a ../credentials",
            repository=url,
            auth={"git": f"file:{tmp_path}/secret"},
            task={"publish": {"mode": "none"}},
        )
        await run(kept, worker_settings)
    assert f"{url}\r\n600\r\n" in kept.output("execute")
    assert secret.encode() not in kept.everything()
    assert b"clone --bare" in seen.read_bytes()
    assert secret.encode() not in seen.read_bytes()


async def test_wrong_or_no_credentials_fail_at_once(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """H-3: authentication is deterministic_policy; nobody is asked for a password."""
    async with served(origin, "user:right") as url:
        none = await failure(new_task("true", repository=url), worker_settings)
        wrong = await failure(
            new_task("true", repository=url, auth={"git": "env:AGENT_KEY"}), worker_settings
        )
    assert "could not read Username" in none.message
    assert "Authentication failed" in wrong.message
    for error in (none, wrong):
        assert (error.retryable, error.failure_class) == (False, "deterministic_policy")


async def test_credentials_are_for_one_host(
    worker_settings: WorkerSettings, new_task: NewTask, tmp_path: Path
) -> None:
    """70-31: a redirect or a submodule elsewhere gets no answer."""
    async with attempt(new_task("true"), worker_settings) as recorded:
        place = Place(recorded.context.workspace)
        git_runner = Git(
            recorded.context, place, parse("https://git.example.org:8443/acme/a", worker_settings)
        )
        git_runner.give_credentials("t0ken-0815")
        answers = {}
        for host in ("git.example.org:8443", "git.example.org", "evil.example.org:8443"):
            asked = subprocess.run(
                ["git", *git_runner.options, "credential", "fill"],
                cwd=tmp_path,
                env=git_runner.environment,
                input=f"protocol=https\nhost={host}\n\n".encode(),
                capture_output=True,
                check=False,
            )
            answers[host] = b"t0ken-0815" in asked.stdout
        told = [*git_runner.options, *git_runner.environment.values()]
    assert answers == {"git.example.org:8443": True, "git.example.org": False, "evil.example.org:8443": False}
    assert "t0ken-0815" not in " ".join(told)
