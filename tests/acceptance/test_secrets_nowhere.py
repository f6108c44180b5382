"""Secrets are planted wherever a task can put them, and searched for wherever anything is kept (H-13)."""

from __future__ import annotations

import codecs
import json
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
import pytest

from sluicegate.model import Job, NewJob
from sluicegate.operations import jobs as job_operations
from sluicegate.store import Store, jobs
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder
from tests.support.origin import Origin
from tests.support.programs import Programs, Way, programs
from tests.support.wait import until

VALUES = {
    "PLANTED": "planted-4711-secret-of-the-environment",
    "ODD": 'odd "chars"+and/ümläute\\are~secret%too',
    "LINES": "first-line-of-the-secret\nsecond-line-of-the-secret",
}
REFERENCED = "referenced-0815-secret-of-the-task"
FROM_FILE = "filed-2342-secret-in-a-file"
TOKENS = ["ghp_Zq8Wx7Vy6Tu5Sr4Qp3On2Ml1Kj0Ih9Gf8Ed7", "sk-proj-9f8e7d6c5b4a39281706f5e4d3c2b1a0"]
TITLE = "glpat-Tt1Ii2Tt3Ll4Ee5Xx6Yy7"
"""In the payload, which is the producer's: it stays there, and goes nowhere else."""
PART = 12
"""Not even so much of a secret may be anywhere."""


def hidden(token: str) -> str:
    """A shell's words for a token that does not stand in the script."""
    return f"$(echo {codecs.encode(token, 'rot13')} | tr 'A-Za-z' 'N-ZA-Mn-za-m')"


EVERYTHING = " ".join([
    '"$PLANTED"', '"$ODD"', '"$LINES"', '"$KEY"', '"$FILED"', *(f'"{hidden(token)}"' for token in TOKENS),
])  # fmt: skip
SAYS = f"""
say() {{ for each in {EVERYTHING}; do printf '%s\\n' "$each"; done; }}
say; say >&2; env; set
for each in {EVERYTHING}; do printf '%s' "${{each:0:7}}"; sleep 0.05; printf '%s\\r\\n' "${{each:7}}"; done
for each in {EVERYTHING}; do printf '%s' "$each" | base64 -w 0; echo; done
for each in {EVERYTHING}; do python3 -c 'import json, sys, urllib.parse as u
it = sys.argv[1]
print(json.dumps(dict(x=it)), json.dumps(it, ensure_ascii=False))
print(u.quote(it), u.urlencode(dict(x=it)))' "$each"; done
printf '\\033[31m%s\\033[0m\\n' "$PLANTED"; echo "git clone https://user:$KEY@example.org/x"
mkdir -p $OUT/$SLUICEGATE_STEP_ATTEMPT; cp -r ../logs $OUT/$SLUICEGATE_STEP_ATTEMPT/
[ ! -e "$SLUICEGATE_RETRY_CONTEXT" ] || cp "$SLUICEGATE_RETRY_CONTEXT" $OUT/$SLUICEGATE_STEP_ATTEMPT/
"""
WRITES_JSON = """python3 -c 'import json, os; json.dump(os.environ["ODD"], open("x.json", "w"))'"""
LONG = "head -c 65500 /dev/zero | tr '\\0' x;"
"""So that what a worker keeps of the output, its last 64 KiB, begins within what comes before."""

STORIES: dict[str, tuple[list[str], str]] = {
    "says it and goes on": ([SAYS, "echo fine > fine; echo $PLANTED > ignored"], "succeeded"),
    "fails over it": ([SAYS + 'echo "Error: cannot use $KEY as a key: $ODD" >&2; exit 3'], "dead_letter"),
    "fails over a token": ([f'echo "fatal: bad token {hidden(TOKENS[0])}" >&2; exit 1'], "dead_letter"),
    "fails at length": (
        [f'printf "%s" "$PLANTED $KEY {hidden(TOKENS[1])}"; {LONG} exit 1'], "dead_letter",
    ),
    "names a file so": (['mkdir "d-$KEY"; echo x > "d-$KEY/name-$PLANTED"'], "failed"),
    "names a file by a token": ([f'echo x > "name-{hidden(TOKENS[0])}.txt"'], "failed"),
    "writes it": (["echo fine > fine", 'echo "key=$PLANTED" > config'], "failed"),
    "writes it as JSON": ([WRITES_JSON], "failed"),
    "writes a token": ([f'echo "token = {hidden(TOKENS[1])}" > config.toml'], "failed"),
    "commits it": (['echo "$FILED" > a; git add a; git commit -qm "use $KEY"; echo > a'], "succeeded"),
    "links to it": (['ln -s "/x/$KEY" link'], "failed"),
}  # fmt: skip


@pytest.fixture
def started(store_url: str, tmp_path: Path, way: Way, monkeypatch: pytest.MonkeyPatch) -> Iterator[Programs]:
    for name, value in {**VALUES, "REFERENCED": REFERENCED, "OUT": str(tmp_path / "out")}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "reference").write_text(FROM_FILE + "\n")
    with programs(store_url, tmp_path, way) as running:
        running.settings |= {
            "ALLOW_LOCAL_REPOSITORIES": "1", "WORKER_CAPABILITIES": "git,shell", "WORKER_CONCURRENCY": "6",
            "SECRET_ENV": ",".join(VALUES), "WORKER_LEASE_SECONDS": "30", "LOG_LEVEL": "debug",
        }  # fmt: skip
        yield running


def task(origin: Origin, tmp_path: Path, name: str, scripts: list[str]) -> dict[str, Any]:
    return {
        "repository": str(origin.path),
        "targetRuntime": "shell",
        "auth": {"env": {"KEY": "env:REFERENCED", "FILED": f"file:{tmp_path}/reference"}},
        "task": {
            "instructions": f"Story: {name}\n\nNever print {TITLE}",
            "git": {"newBranch": name.replace(" ", "-")},
            "steps": [{"title": f"{name} {TITLE}", "instructions": script} for script in scripts],
        },
    }


@pytest.mark.slow
@pytest.mark.needs("git")
@pytest.mark.timeout(300)
async def test_no_secret_is_anywhere(store: Store, started: Programs, tmp_path: Path) -> None:
    """H-13, 70-31: not in a key of the store, an artifact, a log, a retry's prompt, a branch, a workspace.

    Not a part of one either, however it was printed, split or encoded.
    """
    origin = Origin(tmp_path / "remote", {".gitignore": b"ignored\n", "README.md": b"first line\n"})
    local = msgspec.structs.replace(store.settings, allow_local_repositories=True)
    prepared = {
        name: job_operations.prepare(
            NewJob(type="task", payload=task(origin, tmp_path, name, scripts), max_attempts=2),
            actor="someone", settings=local,
        )
        for name, (scripts, _) in STORIES.items()
    }  # fmt: skip
    ids = dict(zip(prepared, await JobBuilder(store).enqueued(*prepared.values()), strict=True))
    worker = started.start("services.worker", WORKER_ID="worker-1", **await started.reach())
    found = {name: await _ended(store, id) for name, id in ids.items()}
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0

    assert {name: job.status for name, job in found.items()} == {
        name: status for name, (_, status) in STORIES.items()
    }
    for name in ("names a file so", "writes it", "writes it as JSON", "writes a token", "links to it"):
        assert (found[name].failure_class, found[name].error_message or "")[0] == "deterministic_policy"
        assert "secret in changes: " in (found[name].error_message or "")

    everywhere = {**await _keys(store), **_files(tmp_path), **_objects(origin)}
    assert any(b"says it and goes on" in content for content in everywhere.values())
    assert any(b"[redacted]" in content for content in everywhere.values())
    assert any(path.endswith("retry-context.json") for path in everywhere)
    for secret in [*VALUES.values(), REFERENCED, FROM_FILE, *TOKENS]:
        assert _places(everywhere, secret) == []
    payloads = {f"key job:{id} spec" for id in ids.values()}
    assert set(_places(everywhere, TITLE)) == payloads


def _places(everywhere: Mapping[str, bytes], secret: str) -> list[str]:
    """Where a secret, or a part of it, or it in another dress, can be found."""
    forms = {
        form for line in [secret, *secret.splitlines()]
        for form in (line.encode(), quote(line).encode(), quote_plus(line).encode(),
                     quote(line, safe="").encode(), json.dumps(line)[1:-1].encode(),
                     json.dumps(line, ensure_ascii=False)[1:-1].encode(), shlex.quote(line)[1:-1].encode())
    }  # fmt: skip
    parts = {form[at : at + PART] for form in forms for at in range(max(1, len(form) - PART + 1))}
    return [place for place, content in everywhere.items() if any(part in content for part in parts)]


async def _keys(store: Store) -> dict[str, bytes]:
    """Each key, and each field of a hash on its own."""
    found = {}
    for name, value in (await contents(store)).items():
        fields = value if isinstance(value, dict) else {"": value}
        for field, each in fields.items():
            found[f"key {name} {field}".rstrip()] = json.dumps(
                [name, field, each], ensure_ascii=False
            ).encode()
    return found


def _files(folder: Path) -> dict[str, bytes]:
    """Each file with its name and content, but for the one that a secret was taken from."""
    found = {}
    for path in folder.rglob("*"):
        if path == folder / "reference":
            continue
        name = str(path.relative_to(folder))
        content = path.readlink().name.encode() if path.is_symlink() else b""
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
        found[f"file {name}"] = name.encode() + b"\n" + content
    return found


def _objects(origin: Origin) -> dict[str, bytes]:
    """What was pushed: git keeps it compressed."""
    command = ["git", "cat-file", "--batch-all-objects", "--batch"]
    return {"objects": subprocess.run(command, cwd=origin.path, capture_output=True, check=True).stdout}


async def _ended(store: Store, job_id: str) -> Job:
    async def look() -> Job | None:
        job = await jobs.get(store, job_id)
        return job if job.terminal else None

    return await until(look, f"the end of {job_id}", timeout=250, pause=0.05)
