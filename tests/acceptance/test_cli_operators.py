"""What operators do on the command line: cancel, pause, control a run, redrive, purge; who is there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.command_line import UNKNOWN, WORKER, Deployment
from tests.support.terminal import terminal

pytestmark = pytest.mark.xdist_group("command line")


def test_cancelling_several_tells_of_each(deployment: Deployment, kind: str) -> None:
    """A program is not asked, not even about a running job."""
    waiting = deployment.out("enqueue", "--type", kind + ".w").strip()
    running = deployment.out("enqueue", "--type", kind).strip()
    deployment.claimed(kind)
    done = deployment.run("jobs", "cancel", waiting, UNKNOWN, running)
    assert done.stdout.splitlines() == [f"{waiting} cancelled", f"{running} running (cancel requested)"]
    assert done.returncode == 1 and UNKNOWN in done.stderr


def test_cancelling_a_running_job_asks_a_person(deployment: Deployment, kind: str) -> None:
    job_id = deployment.out("enqueue", "--type", kind).strip()
    deployment.claimed(kind)
    cancel = deployment.command("jobs", "cancel", job_id)
    with terminal(cancel, env=deployment.env) as asking:
        asking.until(f"is running on {WORKER}. Cancel it? [y/N]")
        asking.type("n\n")
        assert asking.ended() == 1
    assert "cancelRequestedAt" not in deployment.job(job_id)
    with terminal([*cancel, "--yes"], env=deployment.env) as sure:
        assert sure.ended() == 0
    assert deployment.job(job_id)["cancelRequestedAt"]


def test_pause_drain_resume(deployment: Deployment, kind: str) -> None:
    """P-6, P-9: from the command line, as the upgrade runbook has it."""
    job_id = deployment.out("enqueue", "--type", kind).strip()
    job = deployment.claimed(kind)
    blocked = deployment.out("pause", "--reason", "upgrade")
    assert blocked.splitlines()[0] == "Workers: paused (drain), 'upgrade'"
    assert "Not drained: " in blocked
    try:
        assert deployment.run("pause", "--reason", "upgrade").returncode == 1
        refused = deployment.run("resume")
        assert refused.returncode == 1 and "force" in refused.stderr
        with terminal(deployment.command("resume", "--force"), env=deployment.env) as asking:
            asking.until("Resume all the same? [y/N]")
            asking.type("\n")
            assert asking.ended() == 1
        quiesced = json.loads(deployment.out("pause", "--mode", "quiesce", "--reason", "upgrade", "--json"))
        assert quiesced == deployment.call("/api/system/worker-pause")
        deployment.report(job, "complete")
        assert deployment.job(job_id)["status"] == "succeeded"
        assert "paused (quiesce)" in deployment.out("status")
        ends = json.loads(deployment.out("pause", "--reason", "disk", "--for", "2h", "--json"))["system"][
            "until"
        ]
        left = datetime.fromisoformat(ends) - datetime.now(UTC)
        assert timedelta(hours=1, minutes=50) < left <= timedelta(hours=2)
        assert f"until {ends}" in deployment.out("status")
        later = "2126-01-31T12:00:00.000Z"
        assert "365 days" in deployment.run("pause", "--reason", "disk", "--until", later).stderr
    finally:
        deployment.run("resume", "--force", "--reason", "done")
    assert deployment.out("status").startswith("Workers: running\n")


def test_one_run_is_paused_taken_over_and_given_back(deployment: Deployment, kind: str) -> None:
    """L-5, L-9, H-10: what holds is shown with the job; with --json the job of the API."""
    job_id = deployment.out("enqueue", "--type", kind).strip()
    deployment.claimed(kind)
    assert deployment.out("jobs", "pause", job_id, "--reason", "look") == f"{job_id} running (paused)\n"
    shown = json.loads(deployment.out("jobs", "pause", "--hard", job_id, "--json"))
    assert shown == deployment.job(job_id)
    assert deployment.out("jobs", "takeover", job_id) == f"{job_id} running (taken over and stopped)\n"
    pairs = deployment.pairs(job_id)
    assert pairs["status"] == "running (taken over and stopped)"
    assert pairs["held"].startswith("taken over and stopped by local-operator at ")
    assert "running (taken over and stopped)" in deployment.out("jobs", "list", "--type", kind)
    assert deployment.out("jobs", "resume", "--summary", "did it", job_id) == f"{job_id} running\n"
    assert deployment.pairs(job_id)["summary"].startswith("to be told by local-operator at ")
    wrong = deployment.run("jobs", "retry-step", job_id, "build")
    assert wrong.returncode == 1 and "retry_step is for tasks" in wrong.stderr


def test_a_step_is_run_again_after_a_question(deployment: Deployment) -> None:
    """H-10: a person is asked, since an attempt is interrupted or what is finished is dropped."""
    steps = [{"id": "build", "instructions": "make"}, {"instructions": "make test"}]
    payload = {
        "repository": "acme/controlled", "targetRuntime": "shell", "requiredCapabilities": [],
        "task": {"instructions": "Improve it", "steps": steps, "publish": {"mode": "none"}},
    }  # fmt: skip
    job_id = deployment.out("enqueue", "--type", "task", "--payload", json.dumps(payload)).strip()
    deployment.claimed("task")
    for command, step, shown in (
        (["retry-step", "--strategy", "hard_reset"], "build", "retry step build (hard_reset)"),
        (["hard-reset-step"], "step-2", "hard reset step step-2 (hard_reset)"),
        (["resume-from-step", "--reason", "wrong turn"], "step-1", "resume from step build"),
    ):
        asked = deployment.command("jobs", *command, job_id, step)
        before = deployment.job(job_id)
        with terminal(asked, env=deployment.env) as asking:
            asking.until("[y/N]")
            asking.type("n\n")
            assert asking.ended() == 1
        assert deployment.job(job_id) == before
        done = json.loads(deployment.out(*asked[3:], "--json"))
        assert done == deployment.job(job_id)
        assert deployment.pairs(job_id)["asked"].startswith(f"{shown} by local-operator at ")
    assert deployment.pairs(job_id)["asked"].endswith(": wrong turn")
    unknown = deployment.run("jobs", "resume-from-step", job_id, "step-3")
    assert unknown.returncode == 1 and "no step of this task; it has build, step-2" in unknown.stderr


def test_a_part_is_paused_listed_and_resumed(deployment: Deployment, kind: str) -> None:
    """P-12, P-13: from the command line; every form of a repository is the same."""
    paused = deployment.out("pause", "--type", kind, "--reason", "bad release", "--for", "2h")
    assert paused.splitlines()[0] == f"Paused (drain): type {kind}, 'bad release'"
    assert "until 2" in paused
    repository = ("--repository", "git@github.com:acme/a.git")
    shown = json.loads(deployment.out("pause", *repository, "--mode", "quiesce", "--reason", "x", "--json"))
    try:
        assert shown == deployment.call("/api/system/pauses")
        assert shown == json.loads(deployment.out("pauses", "--json"))
        assert shown == json.loads(deployment.out("status", "--json"))["pauses"]
        table = deployment.out("pauses").splitlines()
        assert table[0].split() == ["SCOPE", "VALUE", "MODE", "SINCE", "BY", "UNTIL", "REASON"]
        assert [line.split()[:3] for line in table[1:]] == [
            ["repository", "github.com/acme/a", "quiesce"], ["type", kind, "drain"],
        ]  # fmt: skip
        status = deployment.out("status")
        assert status.startswith("Workers: running\n") and f"Paused (drain): type {kind}" in status
        unchanged = deployment.run("pause", *repository, "--mode", "quiesce", "--reason", "x")
        assert unchanged.returncode == 1 and "nothing would change" in unchanged.stderr
    finally:
        deployment.out("resume", "--repository", "acme/a")
        left = deployment.out("resume", "--type", kind, "--reason", "done")
    assert left == "Nothing is paused by itself.\n"
    assert deployment.run("pauses").stderr == "Nothing is paused by itself.\n"


def test_dead_letters_are_found_and_explained(deployment: Deployment, kind: str) -> None:
    """Q-8: listed by what they have in common; one shows why it died."""
    assert deployment.run("dlq", "list", "--type", kind).stderr == "No dead letters.\n"
    first = deployment.dead(kind, "no such host\n\x1b[31m" + "x" * 300, failureClass="network")
    second = deployment.dead(kind)
    heading, *rows = deployment.out("dlq", "list", "--type", kind).splitlines()
    assert heading.split() == ["JOB", "TYPE", "CLASS", "TRIES", "AGE", "LAST", "ERROR"]
    assert [row.split()[:4] for row in rows] == [
        [second, kind, "unclassified", "1"], [first, kind, "network", "1"],
    ]  # fmt: skip
    assert rows[1].endswith("no such host " + "x" * 300)
    page = json.loads(deployment.out("dlq", "list", "--type", kind, "--failure-class", "network", "--json"))
    assert page == deployment.call(f"/api/queue/dead-letters?type={kind}&failureClass=network")
    assert [letter["jobId"] for letter in page["items"]] == [first]
    shown = deployment.out("dlq", "show", second)
    assert "class     unclassified\n" in shown and "error     broken\n" in shown
    assert "Enqueued\n" in shown and "Attempts used up: broken\n" in shown
    assert json.loads(deployment.out("dlq", "show", second, "--json")) == deployment.job(second)
    alive = deployment.out("enqueue", "--type", kind).strip()
    for job_id in (alive, UNKNOWN):
        done = deployment.run("dlq", "show", job_id)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)


def test_dead_letters_are_redriven_by_name_or_by_choice(deployment: Deployment, kind: str) -> None:
    """Q-8, 70-10: counted first; each refusal on stderr; a program is not asked."""
    ids = [deployment.dead(kind) for _ in range(3)]
    dry = deployment.out("dlq", "redrive", "--type", kind, "--dry-run")
    assert dry == "3 dead letters would be redriven.\n"
    assert json.loads(deployment.out("dlq", "redrive", *ids, "--dry-run", "--json")) == {
        "matched": 3, "changed": 0, "dryRun": True, "items": [],
    }  # fmt: skip
    done = deployment.run("dlq", "redrive", ids[1], UNKNOWN, "--reason", "repaired")
    assert (done.returncode, done.stdout) == (1, f"{ids[1]} redriven\n")
    assert done.stderr == f"Error: {UNKNOWN}: there is no job {UNKNOWN}\n"
    assert deployment.job(ids[1])["status"] == "queued"
    audited = deployment.call("/api/system/audit")["items"][0]
    assert (audited["target"], audited["reason"]) == (ids[1], "repaired")
    assert deployment.out("dlq", "redrive", "--type", kind) == "2 dead letters redriven.\n"
    assert deployment.out("dlq", "redrive", "--type", kind) == "0 dead letters redriven.\n"
    assert [deployment.claimed(kind)["id"] for _ in ids] == [ids[1], ids[0], ids[2]]


def test_a_purge_asks_a_person(deployment: Deployment, kind: str) -> None:
    """Q-8: with the number; --yes, and a program, have decided."""
    ids = [deployment.dead(kind) for _ in range(3)]
    purge = deployment.command("dlq", "purge", "--type", kind)
    with terminal(purge, env=deployment.env) as asking:
        asking.until("Purge 3 dead letters, with history and files, for good? [y/N]")
        asking.type("n\n")
        assert asking.ended() == 1
    with terminal(deployment.command("dlq", "purge", ids[0]), env=deployment.env) as asking:
        asking.until("Purge 1 dead letter,")
        asking.type("y\n")
        assert asking.ended() == 0
    assert deployment.run("jobs", "show", ids[0]).returncode == 1
    with terminal([*purge, "--yes"], env=deployment.env) as sure:
        assert sure.ended() == 0
        assert "2 dead letters purged." in sure.text
    assert deployment.run("jobs", "show", ids[1]).returncode == 1


def test_failures_are_run_again(deployment: Deployment, kind: str) -> None:
    """70-11: as a new job, whose id is printed; asked again it is the same one."""
    job_id = deployment.out("enqueue", "--type", kind).strip()
    deployment.report(deployment.claimed(kind), "fail", errorMessage="no", retryable=False)
    words = deployment.out("jobs", "retry", job_id).split()
    assert words[:3] == [job_id, "retried", "as"]
    assert deployment.job(words[3])["retryOf"] == job_id
    assert deployment.out("jobs", "retry", job_id).split() == words
    dead = deployment.dead(kind + ".dead")
    assert deployment.out("jobs", "retry", "--type", kind + ".dead", "--status", "failed").startswith("0 ")
    assert deployment.out("jobs", "retry", "--type", kind + ".dead") == "1 job retried.\n"
    assert deployment.job(dead)["status"] == "queued"
    done = deployment.run("jobs", "retry", words[3])
    assert done.returncode == 1 and "is queued" in done.stderr


def test_a_choice_of_jobs_is_cancelled_after_a_question(deployment: Deployment, kind: str) -> None:
    """C-1, C-2, 70-10: more than a thousand too, with a bar while it lasts."""
    text = json.dumps([{"type": kind}] * 1_050)
    assert len(deployment.out("enqueue", "-", stdin=text).split()) == 1_050
    running = deployment.claimed(kind)
    dry = deployment.out("jobs", "cancel", "--type", kind, "--dry-run")
    assert dry == "1,050 jobs would be cancelled.\n"
    cancel = deployment.command("jobs", "cancel", "--type", kind, "--reason", "enough")
    with terminal(cancel, env=deployment.env) as asking:
        asking.until("Cancel 1,050 jobs? [y/N]")
        asking.type("y\n")
        asking.until("%")
        assert asking.ended() == 0
        assert "1,050 jobs cancelled." in asking.text and "%" not in asking.text
    assert deployment.job(running["id"])["cancelReason"] == "enough"
    assert deployment.out("jobs", "cancel", "--type", kind, "--status", "queued") == "0 jobs cancelled.\n"


def test_workers_are_listed(deployment: Deployment) -> None:
    """60-3: who is there; as REST has it for programs."""
    listed = deployment.out("workers", "--json")
    assert json.loads(listed)["items"] == deployment.call("/api/system/workers")["items"]
    done = deployment.run("workers")
    assert (done.returncode, "WORKER" in done.stdout or "No workers." in done.stderr) == (0, True)


def test_a_live_session_on_the_command_line(deployment: Deployment) -> None:
    """L-4, L-6: opened, spoken to and revoked; a grant that is not possible says why."""
    payload = json.dumps({"repository": "acme/a", "targetRuntime": "codex", "task": {"instructions": "x"}})
    job_id = deployment.out("enqueue", "--type", "task", "--payload", payload).strip()
    assert "never had a live session" in deployment.run("live", job_id).stderr
    opened = deployment.out("live", "--open", "--provider", "tmux", job_id)
    assert opened == f"{job_id} tmux starting\n"
    shown = json.loads(deployment.out("live", job_id, "--json"))
    assert shown == deployment.call(f"/api/task-runs/{job_id}/live-session")["session"]
    refused = deployment.run("grant", "--minutes", "30", job_id)
    assert refused.returncode == 1 and "is starting" in refused.stderr
    assert deployment.run("grant", "--minutes", "241", job_id).returncode == 2
    assert deployment.out("message", job_id, "mind the gap").startswith(f"{job_id} message ")
    assert "is empty" in deployment.run("message", job_id, " ").stderr
    assert deployment.out("revoke", "--reason", "enough", job_id) == f"{job_id} tmux revoked\n"
    events = deployment.call(f"/api/task-runs/{job_id}/control-events")["items"]
    assert [each["action"] for each in events] == ["create", "message", "revoke"]
    deployment.run("jobs", "cancel", job_id)
