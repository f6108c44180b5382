"""`claude`: Anthropic's Claude Code in print mode.

Checked against its documentation (code.claude.com/docs/en, pages of August 2026, version 2.1):
- headless: `-p` runs without a terminal interface and reads stdin; `--output-format stream-json` with
  `--verbose` prints JSON lines, the last of type `result`; exit code 0 on success, another on failure; what
  fails inside the run is told as the result.
- cli-reference: `--print`, `--output-format`, `--verbose`, `--no-session-persistence`, `--model`, `--effort`
  (`low` to `max`, what a model does not have becomes the next lower) and `--permission-mode`.
- permission-modes: `bypassPermissions` asks nothing and is for isolated machines; it refuses to run as root
  outside of a sandbox that it recognises. `acceptEdits`, `dontAsk` and `auto` are the narrower ones.
- authentication: `ANTHROPIC_API_KEY`, `ANTHROPIC_AUTH_TOKEN`, `CLAUDE_CODE_OAUTH_TOKEN`; variables that
  choose Bedrock, Vertex AI, Foundry, a profile or a federation; a login is `.credentials.json` in
  `CLAUDE_CONFIG_DIR` (`~/.claude`), on macOS in the keychain.
- agent-sdk/typescript, `SDKResultMessage`: the fields of `result`; its subtype is `success` or an error's
  name with a list `errors`, and `is_error` may be true with the subtype `success`.
- errors: the sentences that the rules look for.

That such a run may end with exit code 0: anthropics/claude-code, issue 79500.
"""

from __future__ import annotations

from typing import Final

from services.worker.runtimes.output import Sign
from services.worker.runtimes.runtime import LoginFile, Runtime
from sluicegate.failure_rules import FailureRule

CLAUDE: Final = Runtime(
    name="claude",
    program="claude",
    argv=(
        "--print", "--output-format", "stream-json", "--verbose", "--no-session-persistence",
        "{args}",
        ("--model", "{model}"),
        ("--effort", "{effort}"),
    ),
    prompt="stdin",
    keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
    elsewhere=(
        "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY", "ANTHROPIC_PROFILE",
        "ANTHROPIC_FEDERATION_RULE_ID",
    ),
    logins=(LoginFile(variable="CLAUDE_CONFIG_DIR", folder=".claude", name=".credentials.json"),),
    keychain=True,
    signs=(
        Sign(
            means="says",
            where={"type": "result", "subtype": "success", "is_error": False},
            text=("result",),
        ),
        Sign(means="fails", where={"type": "result"}, text=("result", "errors", "subtype")),
    ),
    rules=(
        FailureRule(
            name="claude-limit",
            failure_class="transient_runtime",
            pattern=r"hit your [\w ]+ limit|limiting requests",
        ),
        FailureRule(
            name="claude-login",
            failure_class="deterministic_policy",
            pattern=r"\brun /login\b|\binvalid api key\b|organization has (?:been )?disabled",
        ),
        FailureRule(
            name="claude-arguments",
            failure_class="deterministic_policy",
            pattern=r"^error: (?:unknown option|option )|root/sudo privileges",
        ),
        FailureRule(
            name="claude-model",
            failure_class="deterministic_contract",
            pattern=r"issue with the selected model|not a recognized model",
        ),
    ),
)  # fmt: skip
