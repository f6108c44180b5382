"""`gemini`: Google's Gemini CLI in headless mode.

Checked against the documentation in its repository (google-gemini/gemini-cli, docs/, August 2026, 0.56):
- cli/headless.md: headless whenever stdin is no terminal; `--output-format stream-json` prints JSON lines
  of the types `init`, `message`, `tool_use`, `tool_result`, `error` and `result`; exit codes 0, 1, 42, 53.
- resources/troubleshooting.md: exit codes 41 (authentication), 42 (input), 44 (sandbox), 52 (settings).
- cli/cli-reference.md: `cat file | gemini` takes the prompt from stdin; `--model`, `--output-format`,
  `--approval-mode` (`default`, `auto_edit`, `yolo`, `plan`), `--skip-trust`. There is no option for effort.
- cli/trusted-folders.md: where trust of folders is on, a folder that nobody trusted ends a headless run;
  `--skip-trust` is the way around it for one session.
- get-started/authentication.mdx: `GEMINI_API_KEY`; Vertex AI by `GOOGLE_API_KEY`, or by a project and
  application default credentials; headless mode reuses a cached login; `.env` files in `~/.gemini`.
- reference/configuration.md: `GEMINI_CLI_HOME` moves `~/.gemini`.

Of the program itself (packages/core/src/output/types.ts, packages/cli/src/validateNonInterActiveAuth.ts,
packages/core/src/config/storage.ts): the fields of the events, that a run can end with status `error` and
exit code 0, which variables choose Vertex AI or a Google login, and the name of the file with that login.
"""

from __future__ import annotations

from typing import Final

from services.worker.runtimes.output import Sign
from services.worker.runtimes.runtime import LoginFile, Runtime
from sluicegate.failure_rules import FailureRule

GEMINI: Final = Runtime(
    name="gemini",
    program="gemini",
    argv=("--output-format", "stream-json", "--skip-trust", "{args}", ("--model", "{model}")),
    prompt="stdin",
    keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    elsewhere=("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA", "GOOGLE_APPLICATION_CREDENTIALS"),
    logins=(
        LoginFile(variable="GEMINI_CLI_HOME", folder="", name=".gemini/oauth_creds.json"),
        LoginFile(variable="GEMINI_CLI_HOME", folder="", name=".gemini/.env"),
    ),
    signs=(
        Sign(means="says", where={"type": "message", "role": "assistant"}, text=("content",), joined=True),
        Sign(means="goes on", where={"type": "result", "status": "success"}),
        Sign(means="fails", where={"type": "result"}, text=("error.message",)),
        Sign(means="fails", where={"type": "error", "severity": "error"}, text=("message",)),
    ),
    rules=(
        FailureRule(name="gemini-exit-code", failure_class="deterministic_policy", exit_codes=(41, 44, 52)),
        FailureRule(name="gemini-input", failure_class="deterministic_contract", exit_codes=(42,)),
        FailureRule(
            name="gemini-arguments",
            failure_class="deterministic_policy",
            pattern=r"^Unknown arguments?:|^Invalid values:",
        ),
    ),
)
