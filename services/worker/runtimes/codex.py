"""`codex exec`: OpenAI's Codex CLI without its terminal interface.

Checked against OpenAI's documentation (developers.openai.com/codex, pages of May 2026, CLI 0.134):
- noninteractive: `codex exec -` takes the whole prompt from stdin; nothing is asked in this mode; the
  sandbox is read-only unless `--sandbox` widens it; `--json` prints events as JSON lines, of the types
  `thread.started`, `turn.started`, `turn.completed`, `turn.failed`, `item.*` and `error`, the answer being
  an item `agent_message`; `--ephemeral` keeps no session files; outside a git repository it runs only with
  `--skip-git-repo-check`; it reuses a saved login, or takes `CODEX_API_KEY`.
- cli/reference, `codex exec`: these options, `--model`, and `-c key=value`.
- config-reference (March 2026): `model_reasoning_effort` and its five values.
- environment-variables: `CODEX_API_KEY`, `CODEX_ACCESS_TOKEN`, `CODEX_HOME`; `OPENAI_API_KEY` is not read.
- auth: a login is `auth.json` in `CODEX_HOME` (`~/.codex`), or in the system's keyring when set so.

Of the program itself (openai/codex, codex-rs/exec: cli.rs, exec_events.rs): the fields of the events, and
that an `error` may be followed by a reconnect, further items and a completed turn.
"""

from __future__ import annotations

from typing import Final

from services.worker.runtimes.output import Sign
from services.worker.runtimes.runtime import LoginFile, Runtime
from sluicegate.failure_rules import FailureRule

CODEX: Final = Runtime(
    name="codex",
    program="codex",
    argv=(
        "exec", "--json", "--ephemeral", "--skip-git-repo-check",
        "{args}",
        ("--model", "{model}"),
        ("-c", 'model_reasoning_effort="{effort}"'),
        "-",
    ),
    prompt="stdin",
    keys=("CODEX_API_KEY", "CODEX_ACCESS_TOKEN"),
    logins=(LoginFile(variable="CODEX_HOME", folder=".codex", name="auth.json"),),
    signs=(
        Sign(
            means="says",
            where={"type": "item.completed", "item.type": "agent_message"},
            text=("item.text",),
        ),
        Sign(means="goes on", where={"type": "item.completed"}),
        Sign(means="goes on", where={"type": "turn.completed"}),
        Sign(means="fails", where={"type": "turn.failed"}, text=("error.message",)),
        Sign(means="fails", where={"type": "error"}, text=("message",)),
    ),
    rules=(
        FailureRule(
            name="codex-arguments",
            failure_class="deterministic_policy",
            pattern=r"^error: (?:unexpected argument|invalid value|the argument)|error loading config",
        ),
        FailureRule(
            name="codex-model",
            failure_class="deterministic_contract",
            pattern=r"\bmodel\b.* (?:is not supported|does not exist)",
        ),
    ),
)  # fmt: skip
