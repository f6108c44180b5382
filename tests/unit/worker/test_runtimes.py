"""The agents' runtimes: what is run, what is refused before, and what their failures are called.

The programs are stand-ins that refuse an argument that the real one's documentation does not have.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import psutil
import pytest

from services.worker import runtimes
from services.worker.__main__ import look_at_runtimes
from services.worker.runtimes import RUNTIMES, Runtime
from services.worker.runtimes.__main__ import look, main
from services.worker.runtimes.output import Reading
from services.worker.task.environment import inherited
from sluicegate.errors import ConfigurationError
from sluicegate.runtimes import RUNTIMES as NAMES
from sluicegate.runtimes import WISHES
from sluicegate.settings import WorkerSettings
from tests.support.agents import AGENTS, FOLDER, KEY, SECRET, StandIns
from tests.support.origin import Origin
from tests.support.recorded_context import Kept
from tests.support.tasks import NewTask, failure, run

ROOT = Path(__file__).parents[3]
ONE_SOON_ALL_SLOW = [AGENTS[0], *(pytest.param(each, marks=pytest.mark.slow) for each in AGENTS[1:])]


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIns:
    return StandIns(monkeypatch, tmp_path)


@pytest.fixture(params=AGENTS)
def agent(request: pytest.FixtureRequest, stand_ins: StandIns) -> str:
    """The name of one whose key this machine has."""
    stand_ins.let_in(request.param)
    return str(request.param)


def asked(new_task: NewTask, agent: str, *prompts: str, **payload: object) -> Kept:
    return new_task(*prompts, targetRuntime=agent, **payload)


def test_every_name_has_its_runtime_its_wishes_and_its_setting() -> None:
    """70-27: one list of names, for whoever enqueues, runs or sets up."""
    assert tuple(RUNTIMES) == NAMES == tuple(WISHES)
    settings = {name.removeprefix("runtime_args_") for name in WorkerSettings.__struct_fields__
                if name.startswith("runtime_args_")}  # fmt: skip
    assert settings == {each.name for each in RUNTIMES.values() if "{args}" in each.argv}
    for runtime in RUNTIMES.values():
        text = str(runtime.argv)
        wishes = WISHES[runtime.name]
        assert ("{model}" in text, "{effort}" in text) == (wishes.model, bool(wishes.efforts))


READ = {
    "codex": "developers.openai.com/codex",
    "gemini": "google-gemini/gemini-cli",
    "claude": "code.claude.com/docs",
}


@pytest.mark.parametrize("agent", AGENTS)
def test_the_documentation_that_was_read_is_named(agent: str) -> None:
    """Where an option comes from stands with the adapter, and again with the stand-in that insists on it."""
    for file in (
        Path(runtimes.__path__[0]) / f"{agent}.py",
        FOLDER / agent,
        ROOT / "docs/reference/runtimes.md",
    ):
        assert READ[agent] in file.read_text(), file


async def test_the_whole_prompt_arrives_whatever_it_is(
    worker_settings: WorkerSettings, new_task: NewTask, stand_ins: StandIns, agent: str
) -> None:
    """Longer than an argument may be, like an option, in quotes, in other alphabets: it comes from stdin."""
    prompt = "--help 'x' \"$HOME\" `id` \u2028 ä€😀\n" + "many words and lines\n" * 8000 + "write one end"
    kept = asked(new_task, agent, prompt)
    await run(kept, worker_settings)
    (seen,) = stand_ins.notes
    assert seen["prompt"].endswith(prompt + "\n")
    assert len(seen["prompt"]) > 160_000
    assert kept.steps[0].changed_files == ["one"]


def test_every_effort_that_is_accepted_is_understood(stand_ins: StandIns, agent: str, tmp_path: Path) -> None:
    """What can be enqueued, the program takes; without model and effort it gets neither."""
    prompt = tmp_path / "prompt"
    prompt.write_text("say yes")

    def start(model: str | None = None, effort: str | None = None) -> None:
        words = WorkerSettings().runtime_arguments(agent)
        command = RUNTIMES[agent].command(
            script=prompt, prompt=prompt, model=model, effort=effort, arguments=words
        )
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    start()
    for effort in (None, *WISHES[agent].efforts):
        start("large-2:latest", effort)
    plain, *chosen = stand_ins.notes
    assert (plain["model"], plain["effort"]) == (None, None)
    assert {each["model"] for each in chosen} == {"large-2:latest"}
    assert len({each["effort"] for each in chosen}) == len(WISHES[agent].efforts) + 1


async def test_the_last_message_is_the_summary(
    worker_settings: WorkerSettings, new_task: NewTask, agent: str
) -> None:
    """One line of at most 300 characters, whatever was said; what it printed is the log, event by event."""
    kept = asked(new_task, agent, "run echo 'error 401'\nsay " + "Done:  all of it, " * 40)
    await run(kept, worker_settings)
    said = kept.steps[0].summary.split(" s: ")[1]
    assert len(said) == 300 and said.startswith("Done: all of it, Done:") and said.endswith("...")
    assert kept.told("task.step.finished")
    lines = [line for line in kept.output("execute").splitlines() if line.startswith("{")]
    assert len([json.loads(line) for line in lines]) >= 4


FAILURES = {
    "rate-limit": ("transient_runtime", {"codex": "429 Too", "gemini": "quota", "claude": "session limit"}),
    "unauthorized": (
        "deterministic_policy",
        {"codex": "401", "gemini": "API key not valid", "claude": "/login"},
    ),
    "lose-the-model": ("deterministic_contract", {"codex": "nosuch", "gemini": "nosuch", "claude": "nosuch"}),
    "fail It went wrong": ("transient_runtime", dict.fromkeys(AGENTS, "It went wrong")),
    "crash Segmentation fault": (
        "transient_runtime",
        dict.fromkeys(AGENTS, "exit code 70: Segmentation fault"),
    ),
}


@pytest.mark.parametrize(
    "directive",
    ["rate-limit", "unauthorized", *(pytest.param(each, marks=pytest.mark.slow) for each in [*FAILURES][2:])],
)
async def test_a_failure_has_its_words_and_its_class(
    worker_settings: WorkerSettings, new_task: NewTask, agent: str, directive: str, origin: Origin
) -> None:
    """H-3, 70-30: a rate limit passes, a refused key or an unknown model does not, with any exit code.

    What the agent's own commands printed before has no say in it.
    """
    noise = "run echo 'HTTP 401 unauthorized, invalid API key, 503, rate limit'"
    error = await failure(asked(new_task, agent, f"{noise}\nwrite one x\n{directive}"), worker_settings)
    failure_class, words = FAILURES[directive]
    assert words[agent] in error.message
    assert (error.failure_class, error.retryable) == (failure_class, failure_class == "transient_runtime")
    assert origin.branches() == ["main"]


@pytest.mark.parametrize("agent", ONE_SOON_ALL_SLOW, indirect=True)
async def test_an_agent_that_hangs_is_ended_with_all_of_it(
    worker_settings: WorkerSettings, new_task: NewTask, stand_ins: StandIns, agent: str
) -> None:
    """H-1: the wall clock of the step, for an agent as for a script; nothing of it stays."""
    kept = asked(new_task, agent, "hang", task={"limits": {"stepWallSeconds": 3}})
    error = await failure(kept, worker_settings)
    assert error.message.startswith("ran longer than 3 s")
    assert error.failure_class == "transient_runtime"
    assert len(stand_ins.notes) == 1
    assert [each for each in psutil.Process().children(recursive=True) if agent in each.name()] == []


async def test_an_option_that_the_program_does_not_know(
    worker_settings: WorkerSettings, new_task: NewTask, agent: str
) -> None:
    """The worker's settings are wrong, and stay wrong however often it is tried."""
    settings = msgspec.structs.replace(worker_settings, **{f"runtime_args_{agent}": "--no-such-option"})
    error = await failure(asked(new_task, agent, "write one x"), settings)
    assert error.message.startswith("exit code 2: ")
    assert "--no-such-option" in error.message
    assert error.failure_class == "deterministic_policy"


NARROWER = {
    "codex": "--sandbox read-only",
    "gemini": "--approval-mode auto_edit",
    "claude": "--permission-mode dontAsk",
}


async def test_what_an_agent_may_do_is_the_workers_to_say(
    worker_settings: WorkerSettings, new_task: NewTask, stand_ins: StandIns, agent: str
) -> None:
    """The options that let it work unattended are a setting, and nothing else brings them in."""
    prompt = "write one x\nrun touch two"
    free, bound = asked(new_task, agent, prompt), asked(new_task, agent, prompt)
    await run(free, worker_settings)
    assert free.steps[0].changed_files == ["one", "two"]
    settings = msgspec.structs.replace(worker_settings, **{f"runtime_args_{agent}": NARROWER[agent]})
    await run(bound, settings)
    left = {"codex": ["two"], "gemini": ["one"], "claude": []}  # a stand-in's sandbox is its word only
    assert bound.steps[0].changed_files == left[agent]
    default, narrow = (set(each["argv"]) for each in stand_ins.notes)
    assert set(NARROWER[agent].split()) <= narrow
    assert narrow ^ default == set(NARROWER[agent].split()) ^ set(
        getattr(WorkerSettings(), f"runtime_args_{agent}").split()
    )


async def test_the_key_of_the_machine_is_never_stored(
    worker_settings: WorkerSettings, new_task: NewTask, agent: str
) -> None:
    """H-13, 70-31: not named as a secret anywhere, and still replaced; in a changed file it ends the step."""
    kept = asked(new_task, agent, f"run echo key is ${KEY[agent]}\nsay it is {SECRET}\nwrite one x")
    await run(kept, worker_settings)
    assert SECRET.encode() not in kept.everything()
    assert kept.steps[0].summary.endswith(" s: Wrote one.")
    assert "key is [redacted]" in kept.output("execute")
    error = await failure(asked(new_task, agent, f"write one {SECRET}"), worker_settings)
    assert (error.message, error.failure_class) == ("secret in changes: one", "deterministic_policy")


@pytest.mark.parametrize("name", [*AGENTS, "shell"])
async def test_a_program_that_is_not_there_is_refused_before_any_step(
    worker_settings: WorkerSettings, new_task: NewTask, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, name: str,
) -> None:  # fmt: skip
    """70-27: deterministic_policy, naming the program; not even the repository was cloned."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(shutil.which("git") or "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    kept = asked(new_task, name, "write one x")
    error = await failure(kept, worker_settings)
    program = RUNTIMES[name].program
    assert error.message.startswith(f"runtime '{name}' needs the program '{program}', which is not on ")
    assert (error.failure_class, error.retryable) == ("deterministic_policy", False)
    assert kept.kinds() == ["task.stage.started", "task.stage.failed"]
    assert kept.facts == {}


@pytest.mark.parametrize("agent", AGENTS)
async def test_credentials_may_come_from_each_of_their_places(
    worker_settings: WorkerSettings, new_task: NewTask, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch,
    agent: str,
) -> None:  # fmt: skip
    """A key of the task or of the worker, a login, a cloud, the setting; with none of them it is refused."""
    runtime = RUNTIMES[agent]
    error = await failure(asked(new_task, agent, "say yes"), worker_settings)
    assert error.failure_class == "deterministic_policy"
    for named in (*runtime.keys, "auth.env", str(stand_ins.home), f"SLUICEGATE_RUNTIMES_SIGNED_IN={agent}"):
        assert named in error.message
    assert stand_ins.notes == []

    monkeypatch.setenv("A_KEY", SECRET)
    await run(asked(new_task, agent, "say yes", auth={"env": {KEY[agent]: "env:A_KEY"}}), worker_settings)
    login = runtime.logins[0]
    for moved in (False, True):
        if moved:
            monkeypatch.setenv(login.variable, str(stand_ins.home / "elsewhere"))
        login.path(os.environ).parent.mkdir(parents=True)
        login.path(os.environ).write_text("{}")
        await run(asked(new_task, agent, "say yes"), worker_settings)
        login.path(os.environ).unlink()
    assert len(stand_ins.notes) == 3


async def test_credentials_out_of_sight_are_believed(
    worker_settings: WorkerSettings, new_task: NewTask, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What says where they are is enough; then the program's own word is the failure."""
    settings = msgspec.structs.replace(worker_settings, runtimes_signed_in=("claude", "codex"))
    for agent, said in (("claude", "Not logged in"), ("codex", "401 Unauthorized")):
        error = await failure(asked(new_task, agent, "say yes"), settings)
        assert said in error.message
        assert error.failure_class == "deterministic_policy"
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")
    await run(asked(new_task, "claude", "say yes"), worker_settings)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    error = await failure(asked(new_task, "gemini", "say yes"), worker_settings)
    assert error.message.startswith("exit code 41: Please set an Auth method")
    assert error.failure_class == "deterministic_policy"


async def test_a_wish_that_cannot_be_fulfilled_ends_a_task_that_slipped_in(
    worker_settings: WorkerSettings, new_task: NewTask, stand_ins: StandIns
) -> None:
    """Enqueue refuses it (422); a job that is there all the same ends as deterministic_contract."""
    kept = asked(new_task, "gemini", "say yes")
    kept.job.payload["task"]["runtime"] = {"effort": "high"}
    error = await failure(kept, worker_settings)
    assert error.message == "the payload is not a task: payload.task.runtime.effort: gemini takes no effort"
    assert error.failure_class == "deterministic_contract"


def lines(*events: object) -> bytes:
    return b"".join(msgspec.json.encode(each) + b"\r\n" for each in events)


CODEX_SAYS = {"type": "item.completed", "item": {"type": "agent_message", "text": "Done"}}
CLAUDE_OK = {"type": "result", "subtype": "success", "is_error": False, "result": "Done"}


@pytest.mark.parametrize(
    ("agent", "output", "expected"),
    [
        ("shell", b"one\r\ntwo\r\n", Reading(words="two")),
        ("codex", b"", Reading()),
        ("codex", lines({"type": "error", "message": "Reconnecting"}, CODEX_SAYS, {"type": "turn.completed"}),
         Reading(message="Done")),
        ("codex", lines(CODEX_SAYS, {"type": "turn.failed", "error": {"message": "no"}}),
         Reading(message="Done", failure="no")),
        ("codex", lines({"type": "error", "message": "why"}, {"type": "turn.failed", "error": {}}),
         Reading(failure="why")),
        ("codex", lines({"type": "error", "message": "again"}, {"type": "item.completed"}) + b"panicked\n",
         Reading(words="panicked")),
        ("codex", b'ed"}}\r\n' + lines(CODEX_SAYS) + b"\x1b[31merror: told\x1b[0m\r\n",
         Reading(message="Done", words="error: told")),
        ("codex", lines({"type": "item.completed", "item": {"type": "reasoning", "text": "Hm"}}, 7, "x", [1]),
         Reading(words="[1]")),
        ("gemini", lines(
            {"type": "message", "role": "user", "content": "do"},
            {"type": "message", "role": "assistant", "content": "I will", "delta": True},
            {"type": "tool_use"},
            {"type": "message", "role": "assistant", "content": "All ", "delta": True},
            {"type": "message", "role": "assistant", "content": "done", "delta": True},
            {"type": "result", "status": "success"}), Reading(message="All done")),
        ("gemini", lines({"type": "error", "severity": "warning", "message": "loop"},
                         {"type": "result", "status": "success"}), Reading()),
        ("gemini", lines({"type": "error", "severity": "error", "message": "blocked"},
                         {"type": "result", "status": "error"}), Reading(failure="blocked")),
        ("gemini", lines({"type": "result", "status": "error"}), Reading(failure="it gave no reason")),
        ("gemini", b"Unknown argument: x\r\n\r\nOptions:\r\n  -h  Show help\r\n",
         Reading(words="Unknown argument: x")),
        ("claude", lines(CLAUDE_OK), Reading(message="Done")),
        ("claude", lines(CLAUDE_OK | {"is_error": True}), Reading(failure="Done")),
        ("claude", lines({"type": "result", "subtype": "error_during_execution", "is_error": False,
                          "errors": ["a", "b"]}), Reading(failure="a; b")),
        ("claude", lines({"type": "result", "subtype": "error_max_turns", "is_error": True, "errors": []}),
         Reading(failure="error_max_turns")),
        ("claude", lines({"type": "result", "subtype": "error_max_turns"}, CLAUDE_OK),
         Reading(message="Done")),
        ("claude", lines({"type": "assistant", "message": {"text": "x\u2028y"}}) + b"Error: told\r\n",
         Reading(words="Error: told")),
        ("claude", b'{"type": "result", "result": "cut', Reading(words='{"type": "result", "result": "cut')),
    ],
)  # fmt: skip
def test_what_the_output_says(agent: str, output: bytes, expected: Reading) -> None:
    """The last message, the failure that was not overcome, and the last line that is no event."""
    found = RUNTIMES[agent].read(output)
    assert (found.message, found.failure, found.words) == (
        expected.message,
        expected.failure,
        expected.words,
    )


def test_a_failure_is_judged_by_what_is_the_agents_own() -> None:
    """H-3, H-14: its report and its complaints, not the output of what it ran; of a script, everything."""
    ran = {"type": "item.completed", "item": {"type": "command_execution", "aggregated_output": "HTTP 401"}}
    output = b"error: odd\r\n" + lines(ran, {"type": "turn.failed", "error": {"message": "why"}})
    report = RUNTIMES["codex"].read(output).report
    assert isinstance(report, str) and report.split() == ["error:", "odd", "why"]
    assert RUNTIMES["shell"].read(output).report == output


def test_a_runtime_is_data(tmp_path: Path) -> None:
    """Another one is a row: its template, where the prompt goes, what may be left out."""
    made = Runtime(
        name="other",
        program="other",
        argv=("run", ("--model", "{model}"), ("-e", "{effort}", "x"), "{args}", "{prompt}"),
    )
    told = made.command(script=tmp_path / "s", prompt=tmp_path / "p", effort="{model}", arguments=["{x}"])
    assert told == ["other", "run", "-e", "{model}", "x", "{x}", str(tmp_path / "p")]


def test_arguments_are_words_as_in_a_shell(stand_ins: StandIns) -> None:
    """00-7: a bad value ends the worker at its start, by its name."""
    settings = WorkerSettings(runtime_args_claude="--settings '{\"a\": 1}' --bare")
    assert settings.runtime_arguments("claude") == ["--settings", '{"a": 1}', "--bare"]
    assert settings.runtime_arguments("shell") == []
    with pytest.raises(ConfigurationError, match='SLUICEGATE_RUNTIME_ARGS_CODEX="-c \'x" is not allowed'):
        look_at_runtimes(WorkerSettings(runtime_args_codex="-c 'x"))


def test_a_worker_tells_at_its_start_what_it_offers_in_vain(
    stand_ins: StandIns, caplog: pytest.LogCaptureFixture
) -> None:
    """One line for each; a key that a task brings may still make it work, so it starts all the same."""
    stand_ins.let_in("codex")
    look_at_runtimes(WorkerSettings(worker_capabilities=("git", "shell", "codex", "claude")))
    (line,) = caplog.records
    assert (line.getMessage(), line.fields["runtime"]) == ("worker.runtime_not_ready", "claude")  # type: ignore[attr-defined]
    assert "ANTHROPIC_API_KEY" in line.fields["lacking"]  # type: ignore[attr-defined]


def test_this_machines_runtimes(stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `sluicegate runtimes` tells: program, version, key (its name only), offered or not."""
    stand_ins.let_in("claude")
    settings = WorkerSettings(worker_capabilities=("git", "claude"), runtimes_signed_in=("gemini",))
    found = {each.name: each for each in look(settings, inherited(os.environ))}
    assert [each.version for each in found.values()][1:] == [
        "codex-cli 0.134.0",
        "0.56.0",
        "2.1.240 (Claude Code)",
    ]
    assert {name: each.credentials for name, each in found.items()} == {
        "shell": "", "codex": None, "gemini": "SLUICEGATE_RUNTIMES_SIGNED_IN", "claude": "ANTHROPIC_API_KEY",
    }  # fmt: skip
    assert [name for name, each in found.items() if each.offered] == ["claude"]
    assert [name for name, each in found.items() if each.lacking] == ["codex"]
    assert found["codex"].path == str(FOLDER / "codex")
    assert SECRET not in str(found)


@pytest.mark.parametrize(("offered", "status"), [("git,shell,claude", 0), ("codex,claude", 1)])
def test_the_page_of_runtimes(
    stand_ins: StandIns,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    offered: str,
    status: int,
) -> None:
    """A table for people, an object for programs; 1 when one is offered that cannot run."""
    stand_ins.let_in("claude")
    monkeypatch.setenv("SLUICEGATE_WORKER_CAPABILITIES", offered)
    assert main(["--json"]) == status
    items = json.loads(capsys.readouterr().out)["items"]
    assert [each["name"] for each in items] == list(RUNTIMES)
    assert main([]) == status
    shown = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1:3] for line in shown.out.splitlines()}
    assert rows["claude"] == ["yes", "yes"]
    assert rows["codex"] == ["no", "yes" if status else "no"]
    assert ("runtime 'codex' has no key" in shown.err) == bool(status)
    monkeypatch.setenv("SLUICEGATE_WORKER_CONCURRENCY", "none")
    assert main([]) == 1
    assert "SLUICEGATE_WORKER_CONCURRENCY='none'" in capsys.readouterr().err
