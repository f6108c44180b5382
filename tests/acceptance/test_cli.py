"""Jobs on the command line: enqueued, listed, shown, watched; what it prints and how it ends."""

from __future__ import annotations

import json
import select
import subprocess
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import multipart
from tests.support.command_line import UNKNOWN, WORKER, Deployment
from tests.support.terminal import terminal
from tests.support.wait import until_sync

pytestmark = pytest.mark.xdist_group("command line")


def test_a_task_comes_from_flags(deployment: Deployment) -> None:
    """70-27: enough for a task of one step; a wish that its runtime cannot fulfil is refused by its field."""
    words = (
        "enqueue",
        "--repo",
        "acme/web",
        "--runtime",
        "claude",
        "--instructions",
        "Fix it",
        "--delay",
        "1h",
    )
    job = deployment.job(deployment.out(*words, "--model", "opus", "--effort", "high").strip())
    assert (job["type"], job["requiredCapabilities"]) == ("task", ["claude", "git"])
    assert job["payload"]["task"]["runtime"] == {"mode": "claude", "model": "opus", "effort": "high"}
    done = deployment.run(*words, "--effort", "enormous")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: payload.task.runtime.effort: claude takes one of low, medium, ")


def test_a_job_comes_from_flags_files_or_stdin_alike(
    deployment: Deployment, kind: str, tmp_path: Path
) -> None:
    """70-40: FILE, - or --type and --payload; flags win."""
    payload = {"n": 1, "list": [], "deep": {"x": "ä"}}
    text = json.dumps({"type": kind, "payload": payload, "priority": 5, "delaySeconds": 3600})
    (tmp_path / "job.json").write_text(text)
    (tmp_path / "payload.json").write_text(json.dumps(payload))
    toml = (
        f'type = "{kind}"\npriority = 1\ndelaySeconds = 3600\n'
        '[payload]\nn = 1\nlist = []\ndeep.x = "ä"\n'
    )  # fmt: skip
    (tmp_path / "job.toml").write_text(toml)
    flags = ("--type", kind, "--priority", "5", "--delay", "1h")
    ids = [
        deployment.out("enqueue", *flags, "--payload", json.dumps(payload)),
        deployment.out("enqueue", *flags, "--payload", f"@{tmp_path / 'payload.json'}"),
        deployment.out("enqueue", *flags, "--payload", "@-", stdin=json.dumps(payload)),
        deployment.out("enqueue", str(tmp_path / "job.json")),
        deployment.out("enqueue", "-", stdin=text),
        deployment.out("enqueue", "-", "--priority", "5", stdin=toml),
        deployment.out("enqueue", str(tmp_path / "job.toml"), "--priority", "5"),
    ]
    jobs = [deployment.job(job_id.strip()) for job_id in ids]
    assert len({job["id"] for job in jobs}) == 7
    for job in jobs:
        assert (job["type"], job["payload"], job["priority"]) == (kind, payload, 5)
        assert job["nextAttemptAt"] > job["createdAt"]


def test_every_flag_reaches_the_job(deployment: Deployment, kind: str) -> None:
    job_id = "01890000-0000-7000-8000-0000000000aa"
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="milliseconds")
    printed = deployment.out(
        "enqueue", "--type", kind, "--id", job_id, "--capability", "git", "--capability", "gh", "--affinity",
        "k", "--max-attempts", "7", "--max-run", "2m", "--not-before", tomorrow, "--json",
    )  # fmt: skip
    job = json.loads(printed)
    assert job == deployment.job(job_id)
    assert job["requiredCapabilities"] == ["gh", "git"]
    assert (job["affinityKey"], job["maxAttempts"], job["maxRunSeconds"]) == ("k", 7, 120)
    assert job["nextAttemptAt"] == tomorrow.replace("+00:00", "Z")


def test_a_key_makes_a_repeat_safe(deployment: Deployment, kind: str) -> None:
    """Q-13."""
    words = ("enqueue", "--type", kind, "--key", "nightly")
    assert deployment.out(*words) == deployment.out(*words)
    done = deployment.run(*words, "--priority", "1")
    assert done.returncode == 1 and "names another job" in done.stderr


def test_a_list_of_jobs_is_judged_one_by_one(deployment: Deployment, kind: str) -> None:
    """70-9: ids on stdout, each refusal on stderr, exit status 1 when there was one."""
    text = json.dumps([{"type": kind}, {"type": "No"}, {"type": kind, "payload": {"n": 2}}])
    done = deployment.run("enqueue", "-", stdin=text)
    first, second = done.stdout.split()
    assert deployment.job(first)["payload"] == {} and deployment.job(second)["payload"] == {"n": 2}
    assert done.returncode == 1 and done.stderr.startswith("Error: [1] type: ")

    items = json.loads(deployment.run("enqueue", "-", "--json", stdin=text).stdout)["items"]
    assert [(item["index"], item["status"]) for item in items] == [(0, 201), (1, 422), (2, 201)]
    assert items[1]["error"]["code"] == "validation_failed"


def test_wrong_fields_are_listed(deployment: Deployment) -> None:
    done = deployment.run("enqueue", "-", stdin='{"type": "No", "payload": [], "prio": 1}')
    assert done.returncode == 1 and done.stdout == ""
    head, *lines = done.stderr.splitlines()
    assert head == "Error: some fields are wrong:"
    assert [line.split(":")[0] for line in lines] == ["  prio", "  type", "  payload"]


@pytest.mark.parametrize(("verb", "status", "code"), [("complete", "succeeded", 0), ("fail", "failed", 1)])
def test_enqueue_waits_for_the_end(
    deployment: Deployment, kind: str, verb: str, status: str, code: int
) -> None:
    fields = {
        "complete": {"resultSummary": "all fine"}, "fail": {"errorMessage": "all broken", "retryable": False},
    }[verb]  # fmt: skip
    with deployment.start("enqueue", "--type", kind, "--wait") as waiting:
        job = deployment.claimed(kind)
        deployment.report(job, verb, **fields)
        out, err = waiting.communicate(timeout=20)
    assert out == f"{job['id']} {status}: {next(iter(fields.values()))}\n"
    assert (waiting.returncode, err) == (code, "")


def test_waiting_gives_up_in_time(deployment: Deployment, kind: str) -> None:
    for words in (["--wait"], ["--follow"]):
        done = deployment.run("enqueue", "--type", kind, *words, "--timeout", "0.3")
        assert done.returncode == 1 and "has not ended in time; it goes on" in done.stderr


def test_enqueue_follows_the_output(deployment: Deployment, kind: str) -> None:
    with deployment.start("enqueue", "--type", kind, "--follow") as following:
        job = deployment.claimed(kind)
        assert following.stdout
        assert following.stdout.readline().endswith("  Enqueued\n")
        assert following.stdout.readline().endswith(f"Attempt 1 claimed by {WORKER}\n")
        for text in ("one\ntw", "o\n", "no line end"):
            deployment.says(job, text)
        # Seen while the job still runs.
        assert [following.stdout.readline() for _ in range(2)] == ["one\n", "two\n"]
        deployment.report(job, "complete")
        line, end, last = following.stdout.read().splitlines()
    assert line == "no line end" and end.endswith("Succeeded")
    assert last == f"{job['id']} succeeded" and following.returncode == 0


def test_logs_are_the_output_and_nothing_else(deployment: Deployment, kind: str) -> None:
    """Q-6: byte for byte when it goes to a file; -f goes on until the end."""
    job_id = deployment.out("enqueue", "--type", kind).strip()
    job = deployment.claimed(kind)
    deployment.says(job, "\x1b[31mred\x1b[0m\r\n")
    logs = deployment.command("jobs", "logs", job_id)
    assert subprocess.check_output(logs, env=deployment.env, timeout=30) == b"\x1b[31mred\x1b[0m\r\n"
    with deployment.start("jobs", "logs", "-f", "--after", "now", job_id) as following:
        assert following.stdout
        # `now` is when it asks, and nothing tells when that was: say more until it is seen.
        while not select.select([following.stdout], [], [], 0.1)[0]:
            deployment.says(job, "more\n")
        deployment.report(job, "complete")
        assert set(following.stdout.read().split()) <= {"more"}
    assert following.returncode == 0
    events = [json.loads(line) for line in deployment.out("jobs", "logs", "--json", job_id).splitlines()]
    everything = deployment.call(f"/api/queue/jobs/{job_id}/events?limit=500")["items"]
    assert events == [event for event in everything if event["payload"]["kind"] == "log"]


def test_watch_ends_with_the_job(deployment: Deployment, kind: str) -> None:
    job_id = deployment.out("enqueue", "--type", kind).strip()
    deployment.out("jobs", "cancel", job_id, "--reason", "not needed")
    done = deployment.run("jobs", "watch", job_id)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == f"{job_id} cancelled: not needed"
    *events, job = deployment.run("jobs", "watch", "--json", job_id).stdout.splitlines()
    assert json.loads(events[0])["payload"]["kind"] == "job.enqueued"
    assert json.loads(job) == deployment.job(job_id)


def test_shown_json_is_that_of_the_api(deployment: Deployment, kind: str) -> None:
    ids = [deployment.out("enqueue", "--type", kind).strip() for _ in range(3)]
    assert json.loads(deployment.out("jobs", "show", ids[0], "--json")) == deployment.job(ids[0])
    page = json.loads(deployment.out("jobs", "list", "--type", kind, "--limit", "2", "--json"))
    assert page == deployment.call(f"/api/queue/jobs?type={kind}&limit=2")
    rest = json.loads(
        deployment.out("jobs", "list", "--type", kind, "--cursor", page["nextCursor"], "--json")
    )
    assert [job["id"] for job in page["items"] + rest["items"]] == ids[::-1]
    status = json.loads(deployment.out("status", "--json"))
    assert status["workerPause"] == deployment.call("/api/system/worker-pause")
    assert status["workers"]["items"] == deployment.call("/api/system/workers")["items"]


def test_a_waiting_job_says_why(deployment: Deployment, kind: str) -> None:
    """Q-19: with what would change it; `show` says it too, and of a running job there is nothing to say."""
    words = ["--type", kind, "--payload", "{}", "--affinity", kind]
    first, second = [deployment.out("enqueue", *words).strip() for _ in range(2)]
    running = deployment.claimed(kind)
    assert running["id"] == first
    why = deployment.out("jobs", "why", second)
    assert f"affinity key {kind} may have 1 running, and 1 runs: {first}" in why
    assert "it is number 1 of 1 in its lane" in why
    assert why in deployment.out("jobs", "show", second)
    found = json.loads(deployment.out("jobs", "why", second, "--json"))
    assert found == deployment.call(f"/api/queue/jobs/{second}/why")
    assert deployment.out("jobs", "why", first) == f"{first}: it is running\n"


def test_a_task_shows_what_was_tried(deployment: Deployment, kind: str) -> None:
    """70-29: each attempt of a step, why it failed, what came next; the same as on the job's page."""
    task = {"repository": "acme/a", "targetRuntime": "shell", "task": {"instructions": "Do it"}}
    words = ["--type", "task", "--payload", json.dumps({**task, "requiredCapabilities": [kind]})]
    job_id = deployment.out("enqueue", *words).strip()
    job = deployment.claimed("task", kind)
    assert job["id"] == job_id
    step = {"stepId": "build", "stepIndex": 0, "jobAttempt": 1, "attempt": 1}
    told = [
        {"kind": "task.step.attempt.started"},
        {
            "kind": "task.step.attempt.failed",
            "failureClass": "transient_runtime",
            "summary": "no \x1b[31mdisk",
        },
        {"kind": "task.self_heal.triggered", "strategy": "soft_reset"},
    ]
    events = [{"message": "said", "payload": {**step, **each}} for each in told]
    deployment.report(job, "events", events=events)
    shown = deployment.out("jobs", "show", job_id)
    heading, row = shown.partition("attempts of the steps\n")[2].splitlines()[:2]
    assert heading.split() == ["STEP", "TRY", "TRIED", "OUTCOME", "TOOK", "THEN", "WHY"]
    assert row.split() == [
        "1", "(build)", "1.1", "first", "failed", "0s", "soft", "reset", "transient_runtime:", "no", "disk",
    ]  # fmt: skip
    deployment.report(job, "fail", errorMessage="over", retryable=False)


def test_output_to_a_program_is_plain(deployment: Deployment, kind: str) -> None:
    """Nothing is cut or coloured, and a job's text cannot add lines or columns of its own."""
    deployment.out("enqueue", "--type", kind)
    job = deployment.claimed(kind)
    error = "first\nsecond \x1b[31m" + "x" * 300
    deployment.report(job, "fail", errorMessage=error, retryable=False)
    heading, row = deployment.out("jobs", "list", "--type", kind).splitlines()
    assert heading.split() == ["ID", "TYPE", "STATUS", "TRY", "AGE", "ABOUT"]
    assert row.split()[:4] == [job["id"], kind, "failed", "1/3"]
    assert row.endswith("first second " + "x" * 300)
    shown = deployment.out("jobs", "show", job["id"])
    assert "\x1b" not in shown and "status           failed\n" in shown


@pytest.mark.parametrize("words", [["show"], ["why"], ["watch"], ["logs"], ["logs", "-f"], ["cancel"]])
def test_an_unknown_job_is_one_line(deployment: Deployment, words: Sequence[str]) -> None:
    for job_id in (UNKNOWN, "../../jobs"):
        done = deployment.run("jobs", *words, job_id)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("Error: there is no job") and len(done.stderr.splitlines()) == 1


def test_a_table_at_a_terminal_fits_and_has_colour(deployment: Deployment) -> None:
    """Seen on a screen of 100 columns: one line a job, the status in colour, what is too long cut."""
    kind = "t.table"
    deployment.out("enqueue", "--type", kind)
    job = deployment.claimed(kind)
    deployment.report(job, "fail", errorMessage="\x1b]0;owned\x07broken " * 30, retryable=False)
    waiting = deployment.out("enqueue", "--type", kind).strip()
    with terminal(deployment.command("jobs", "list", "--type", kind), env=deployment.env) as shown:
        assert shown.ended() == 0
        lines = [line.rstrip() for line in shown.screen.display if line.strip()]
        cells = shown.screen.buffer
    assert len(lines) == 3 and lines[0].split() == ["ID", "TYPE", "STATUS", "TRY", "AGE", "ABOUT"]
    assert lines[1].startswith(waiting) and lines[2].startswith(job["id"])
    assert "broken broken" in lines[2] and lines[2].endswith("…")
    column = lines[0].index("STATUS")
    assert (cells[1][column].fg, cells[2][column].fg, cells[0][0].bold) == ("blue", "red", True)
    assert not shown.screen.title


def test_a_narrow_terminal_still_shows_everything(deployment: Deployment) -> None:
    job_id = deployment.out("enqueue", "--type", "t.narrow").strip()
    command = deployment.command("jobs", "list", "--type", "t.narrow")
    with terminal(command, env=deployment.env, columns=30) as shown:
        assert shown.ended() == 0
    text = "".join(shown.screen.display)
    assert job_id in text and "STATUS" in text and "queued" in text


def test_ctrl_c_ends_a_wait_without_a_traceback(deployment: Deployment, kind: str) -> None:
    with terminal(deployment.command("enqueue", "--type", kind, "--follow"), env=deployment.env) as waiting:
        waiting.until("Enqueued")
        waiting.type("\x03")
        assert waiting.ended() == 1
        assert "Traceback" not in waiting.text
    assert until_sync(lambda: deployment.claimed(kind), "the job goes on")


def test_a_reader_that_leaves_is_no_fault(deployment: Deployment, kind: str) -> None:
    """`sluicegate ... | head -1`."""
    job_id = deployment.out("enqueue", "--type", kind).strip()
    job = deployment.claimed(kind)
    for _ in range(20):
        deployment.says(job, "line\n" * 2000)
    with deployment.start("jobs", "logs", job_id) as logs:
        assert logs.stdout and logs.stderr
        assert logs.stdout.readline() == "line\n"
        logs.stdout.close()
        assert "Traceback" not in logs.stderr.read()


def test_artifacts_are_listed_and_fetched(
    deployment: Deployment, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60-3, Q-10: into a file of their name, into a named one, or to a program."""
    job_id = deployment.out("enqueue", "--type", kind, "--json")
    job_id = json.loads(job_id)["id"]
    job = deployment.claimed(kind)
    assert deployment.run("jobs", "artifacts", job_id).stderr == "No artifacts.\n"
    content = bytes(range(256)) * 1000
    fields = {"workerId": WORKER, "leaseToken": job["leaseToken"], "name": "logs/a.bin"}
    parts = [*((name, value.encode()) for name, value in fields.items()), ("file", content)]
    url = f"{deployment.url}/api/queue/jobs/{job_id}/artifacts/upload"
    request = urllib.request.Request(url, multipart.form(parts), multipart.HEADERS)
    with urllib.request.urlopen(request, timeout=10) as answer:
        made = json.load(answer)
    listed = deployment.out("jobs", "artifacts", job_id).splitlines()
    assert listed[0].split() == ["NAME", "BYTES", "TYPE", "AGE"]
    assert listed[1].split()[:3] == ["logs/a.bin", "256,000", "application/octet-stream"]
    assert json.loads(deployment.out("jobs", "artifacts", job_id, "--json"))["items"] == [made]
    get = ("jobs", "artifacts", job_id, "--get", "logs/a.bin")
    piped = deployment.command(*get, "-o", "-")
    assert subprocess.check_output(piped, env=deployment.env, timeout=30) == content
    monkeypatch.chdir(tmp_path)
    assert deployment.run(*get).returncode == 0
    assert (tmp_path / "a.bin").read_bytes() == content
    assert "there already" in deployment.run(*get).stderr
    (tmp_path / "a.bin").write_bytes(b"old")
    assert deployment.run(*get, "-o", "a.bin").returncode == 0
    assert (tmp_path / "a.bin").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert deployment.run(*get, "-o", "none/a").returncode == 2
    missing = deployment.run("jobs", "artifacts", job_id, "--get", "b")
    assert (missing.returncode, missing.stderr) == (1, f"Error: job {job_id} has no artifact 'b'\n")
