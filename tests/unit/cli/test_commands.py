"""What commands do before any server is asked: usage, files, flags, settings, exit status."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from sluicegate.cli import output
from sluicegate.cli.durations import PAST, SECONDS
from sluicegate.cli.main import COMMANDS, main
from sluicegate.dev.embedded_store import free_port
from sluicegate.settings import known_fields
from sluicegate.times import from_rfc3339, now_ms
from tests.support.terminal import terminal


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, words, input=stdin)


@pytest.mark.parametrize("words", [[name] for name in COMMANDS] + [
    ["jobs", name] for name in (
        "list", "show", "watch", "logs", "cancel", "retry", "pause", "takeover", "resume", "retry-step",
        "hard-reset-step", "resume-from-step",
    )
] + [["dlq", name] for name in ("list", "show", "redrive", "purge")], ids=" ".join)  # fmt: skip
def test_every_command_explains_itself(words: list[str]) -> None:
    done = run(*words, "--help")
    assert done.exit_code == 0
    assert words in (["version"], ["jobs"], ["tokens"]) or "Example" in done.output


@pytest.mark.parametrize(
    "words",
    [
        ["nosuch"],
        ["enqueue"],
        ["enqueue", "--payload", "{}"],
        ["enqueue", "--type", "noop", "--payload", "{"],
        ["enqueue", "--type", "noop", "--delay", "soon"],
        ["enqueue", "--type", "noop", "--priority", "high"],
        ["enqueue", "--type", "noop", "--timeout", "5"],
        ["jobs", "list", "--status", "done"],
        ["jobs", "list", "--limit", "0"],
        ["jobs", "cancel"],
        ["jobs", "cancel", "--dry-run", "--yes"],
        ["jobs", "retry", "--status", "succeeded"],
        ["jobs", "pause"],
        ["jobs", "takeover", "--hard", "x"],
        ["jobs", "retry-step", "x"],
        ["jobs", "retry-step", "--strategy", "magic", "x", "build"],
        ["jobs", "hard-reset-step", "x"],
        ["jobs", "resume-from-step", "x"],
        ["dlq", "redrive"],
        ["dlq", "purge", "--reason", "x"],
        ["dlq", "list", "--limit", "201"],
        ["pause"],
        ["pause", "--reason", "x", "--mode", "sleep"],
        ["pause", "--reason", "x", "--type", "a", "--worker", "w"],
        ["pause", "--reason", "x", "--type", "a", "--type", "b"],
        ["resume", "--type", "a", "--force"],
        ["pause", "--reason", "x", "--for", "soon"],
        ["pause", "--reason", "x", "--for", "999999999d"],
        ["pause", "--reason", "x", "--for", "1h", "--until", "2026-01-31T12:00:00Z"],
        ["audit", "--control", "everything"],
        ["audit", "--limit", "0"],
        ["audit", "--force"],
        ["audit", "--export", "-", "--json"],
        ["audit", "--export", "/no/such/folder/audit"],
        ["audit", "--export", "/dev/null", "--force"],
        ["worker", "--concurrency", "0"],
        ["api", "--port", "65536"],
        ["config", "--config", "/no/such/file"],
    ],
    ids=" ".join,
)
def test_wrong_use_ends_with_2_and_no_traceback(words: list[str]) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert "Error:" in done.stderr and "Traceback" not in done.output
    assert done.stdout == ""


@pytest.mark.parametrize("words", [["dlq", "redrive"], ["dlq", "purge"], ["jobs", "retry"]], ids=" ".join)
def test_a_mistyped_id_changes_nothing(words: list[str]) -> None:
    """70-42: not even of the others; nothing is asked of a server."""
    done = run(*words, "01890000-0000-7000-8000-000000000000", "../jobs", "--url", "http://127.0.0.1:1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: there is no job '../jobs'\n"


def test_nobody_there_ends_with_1_and_says_what_to_do() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    for words in (["status"], ["jobs", "list"], ["enqueue", "--type", "noop"], ["pause", "--reason", "x"]):
        done = run(*words, "--url", address)
        assert done.exit_code == 1
        assert done.stdout == ""
        first, second = done.stderr.splitlines()
        assert first == f"Error: {address} cannot be reached: Connection refused"
        assert "sluicegate dev" in second and "--url" in second


def test_an_address_that_is_none_is_one_line() -> None:
    done = run("status", "--url", "localhost:8080")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: 'localhost:8080' is not the address of a server")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("job.json", "{", "is neither JSON"),
        ("job.toml", "type = ", "is not TOML"),
        ("job.json", "7", "holds neither a job nor a list of jobs"),
        ("job.json", "[1]", "holds neither a job nor a list of jobs"),
        ("job.json", b"\xff\xfe", "is not text in UTF-8"),
        ("job.json", None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_no_job_is_one_line(
    tmp_path: Path, name: str, content: str | bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = run("enqueue", str(path))
    assert done.exit_code == 1
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("1.5s", 1.5), ("250ms", 0.25), ("30m", 1800.0), ("2 h", 7200.0), ("1d", 86400.0)],
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert SECONDS.convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1", "5x", "1m30s", "nan", "1e3"])
def test_other_texts_are_no_length_of_time(text: str) -> None:
    with pytest.raises(click.BadParameter):
        SECONDS.convert(text, None, None)


def test_a_time_may_be_told_by_how_long_ago_it_was() -> None:
    """What is no length of time is for the deployment to judge: a bare number too."""
    before = now_ms()
    found = from_rfc3339(PAST.convert("2h", None, None))
    assert before - 7_200_000 <= found <= now_ms() - 7_200_000
    assert PAST.convert("9" * 400 + "d", None, None).startswith("1970-01-01T00:00:00")
    for other in ("2026-01-31T12:00:00Z", "2026", "soon", ""):
        assert PAST.convert(other, None, None) == other


def test_work_of_unknown_length_is_counted(tmp_path: Path) -> None:
    """On a terminal, and gone when it is done."""
    program = (
        "import pathlib, sys, time\n"
        "from sluicegate.cli import output\n"
        "with output.progress('Audit entries', None, shown=True) as advance:\n"
        "    advance(1200)\n"
        "    while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
        "print('done')"
    )
    seen = tmp_path / "seen"
    with terminal([sys.executable, "-c", program, str(seen)], env=os.environ) as watched:
        watched.until("Audit entries: 1,200")
        seen.touch()
        assert watched.ended() == 0
        assert "done" in watched.text and "Audit entries" not in watched.text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0s"), (0, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (200_000, "2d")],
)
def test_spans_are_short(seconds: float, text: str) -> None:
    assert output.span(seconds) == text


@pytest.mark.parametrize(
    ("words", "service", "expected"),
    [
        (["api", "--port", "0", "--host", "::1"], "queue_api", {"QUEUE_API_PORT": "0", "HOST": "::1"}),
        (["control", "--port", "9", "--log-level", "debug"], "control",
         {"CONTROL_PORT": "9", "LOG_LEVEL": "debug"}),
        (["worker", "--concurrency", "8", "--capabilities", "git,shell", "--types", "task", "--worker-id",
          "w", "--lease-seconds", "2.5", "--metrics-port", "0"], "worker",
         {"WORKER_CONCURRENCY": "8", "WORKER_CAPABILITIES": "git,shell", "WORKER_TYPES": "task",
          "WORKER_ID": "w", "WORKER_LEASE_SECONDS": "2.5", "METRICS_PORT": "0"}),
        (["sweeper", "--interval-ms", "50", "--redis-url", "redis://x", "--data-dir", "/d"], "sweeper",
         {"SWEEPER_INTERVAL_MS": "50", "REDIS_URL": "redis://x", "DATA_DIR": "/d"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_service_command_becomes_the_service(
    monkeypatch: pytest.MonkeyPatch, words: list[str], service: str, expected: dict[str, str]
) -> None:
    """Flags win over the environment; each is a setting that exists; what is not given stays as it is."""
    became: list[tuple[str, list[str], dict[str, str]]] = []

    def execve(path: str, arguments: list[str], environment: dict[str, str]) -> None:
        became.append((path, arguments, environment))
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setenv("SLUICEGATE_HOST", "127.0.0.2")
    monkeypatch.setenv("SLUICEGATE_WORKER_CONCURRENCY", "3")
    run(*words)
    ((path, arguments, environment),) = became
    assert (path, arguments) == (sys.executable, [sys.executable, "-P", "-m", f"services.{service}"])
    settings = {
        name.removeprefix("SLUICEGATE_"): value
        for name, value in environment.items()
        if name.startswith("SLUICEGATE_") and not name.startswith("SLUICEGATE_TEST_")
    }
    assert settings == {"HOST": "127.0.0.2", "WORKER_CONCURRENCY": "3"} | expected
    assert {name.lower() for name in settings} <= known_fields().keys()


@pytest.mark.parametrize(
    ("words", "given"), [((), ()), (("--json", "--capabilities", "git,codex"), ("--json",))], ids=str
)
def test_the_runtimes_are_the_workers_to_tell(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], given: tuple[str, ...]
) -> None:
    """The library knows no worker: its module takes over, with the worker's settings."""
    became: list[tuple[list[str], str | None]] = []

    def execve(path: str, arguments: list[str], environment: dict[str, str]) -> None:
        became.append((arguments, environment.get("SLUICEGATE_WORKER_CAPABILITIES")))
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.delenv("SLUICEGATE_WORKER_CAPABILITIES", raising=False)
    run("runtimes", *words)
    command = [sys.executable, "-P", "-m", "services.worker.runtimes", *given]
    assert became == [(command, "git,codex" if words else None)]


def test_config_shows_what_takes_effect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """00-contract 7: environment over file over default; secrets masked; misspelt variables warned about."""
    file = tmp_path / "sluicegate.toml"
    file.write_text('max_queued = 7\nworker_concurrency = 9\nredis_url = "redis://user:pw@store:6379/1"\n')
    monkeypatch.setenv("SLUICEGATE_WORKER_CONCURRENCY", "2")
    monkeypatch.setenv("SLUICEGATE_TOKEN", "sgop_secret")
    monkeypatch.setenv("SLUICEGATE_REDIS_ULR", "x")
    done = run("config", "--json", "--config", str(file))
    assert done.exit_code == 0
    shown: dict[str, Any] = msgspec.json.decode(done.stdout)
    assert shown.keys() == known_fields().keys()
    assert (shown["max_queued"], shown["worker_concurrency"], shown["token"]) == (7, 2, "***")
    assert shown["redis_url"] == "redis://***@store:6379/1"
    assert done.stderr == "Warning: SLUICEGATE_REDIS_ULR is no setting; is it misspelt?\n"

    lines = run("config", "--config", str(file)).stdout.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["SLUICEGATE_MAX_QUEUED"] == ["7", "changed"]
    assert rows["SLUICEGATE_HOST"] == ["127.0.0.1"]
    assert "secret" not in str(lines) and "pw" not in str(lines)


def test_config_refuses_a_wrong_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICEGATE_MAX_QUEUED", "many")
    done = run("config")
    assert done.exit_code == 1 and "SLUICEGATE_MAX_QUEUED" in done.stderr and "many" in done.stderr


def test_version_starts_fast() -> None:
    """Under 150 ms of processor time where nothing else runs; the best of five, since here something does."""
    best = 9.0
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "sluicegate", "version"],
            check=True, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.stdout.startswith("sluicegate ")
    assert best < 0.3


def test_a_payload_that_is_no_text_is_a_usage_error() -> None:
    """70-40: bytes on the command line that are no UTF-8."""
    done = run("enqueue", "--type", "x", "--payload", '{"a": "\udcff"}')
    assert done.exit_code == 2
    assert "is not JSON" in done.output
