"""The command line against a whole deployment; the test itself plays the worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from typing import Any, NamedTuple

from click.testing import CliRunner

from sluicegate.cli.main import main

UNKNOWN = "01890000-0000-7000-8000-000000000000"
"""The id of no job."""
WORKER = "test-worker"


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Deployment:
    """Where it is, the command line at it, and its worker."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.env = {**os.environ, "SLUICEGATE_URL": url}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "sluicegate", *words]

    def run(self, *words: str, stdin: str = "") -> Done:
        """In this process: one of its own takes longer to start than all that most commands do."""
        done = CliRunner().invoke(main, words, input=stdin, env={"SLUICEGATE_URL": self.url})
        if done.exc_info and not isinstance(done.exception, SystemExit | None):
            raise AssertionError(f"{words} ended with a traceback") from done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    def out(self, *words: str, stdin: str = "") -> str:
        """What it prints when it works."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pairs(self, job_id: str) -> dict[str, str]:
        """The names and values that `jobs show` prints."""
        lines = self.out("jobs", "show", job_id).splitlines()
        return dict(line.split(maxsplit=1) for line in lines[: lines.index("payload")])

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words), env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def job(self, job_id: str) -> Any:
        return self.call(f"/api/queue/jobs/{job_id}")

    def claimed(self, job_type: str, *capabilities: str) -> Any:
        """The next job of a type, now running on the test's worker."""
        body = {
            "workerId": WORKER, "leaseSeconds": 600, "allowedTypes": [job_type], "waitSeconds": 10,
            "workerCapabilities": list(capabilities),
        }  # fmt: skip
        job = self.call("/api/queue/jobs/claim", body)["job"]
        assert job, f"no job of type {job_type} came"
        return job

    def report(self, job: Any, verb: str, **fields: Any) -> None:
        held = {"workerId": WORKER, "leaseToken": job["leaseToken"]}
        self.call(f"/api/queue/jobs/{job['id']}/{verb}", {**held, **fields})

    def says(self, job: Any, text: str) -> None:
        payload = {"kind": "log", "stream": "stdout", "stage": "execute", "text": text, "seq": 1}
        self.report(job, "events", level="info", message="output", payload=payload)

    def dead(self, job_type: str, error: str = "broken", **fields: str) -> str:
        """The id of a job that has used up its only attempt."""
        job_id = self.out("enqueue", "--type", job_type, "--max-attempts", "1").strip()
        self.report(self.claimed(job_type), "fail", errorMessage=error, **fields)
        return job_id
