"""The rules that are built in, in the order in which they are tried: most specific first (70-30).

Adding one is adding a row, and a case to its test. Words that tools put before their complaints (`fatal: `,
`npm ERR! `) are worth more than the complaint: a rule with them may search more lines.
"""

from __future__ import annotations

import re
from typing import Final

from sluicegate.failure_rules import FailureClass, FailureRule

NEAR: Final = 20
"""Lines that a rule with a tool's own words searches: its complaint, and what it says after it."""
LAST: Final = 3
"""Lines that a rule of plain words searches: a program's last words."""

_GIT: Final = r"^(?-i:(?:fatal|remote|ERROR|error): )"
_COMPLAINT: Final = (
    r"^(?=\W{0,20}(?:curl:|(?:[\w./@:-]{1,60} ){0,3}[\w.\[\]]*"
    r"(?:err!|(?:error|exception|fatal)\b|(?:denied|unauthorized|failed):))).*"
)
"""A line that begins as a complaint does: `curl: (22) ...`, `npm ERR! ...`, `x.HTTPError: ...`."""
_DENIED: Final = (
    r"\bunauthori[sz]ed\b|\bforbidden\b|\bpermission denied\b|\baccess (?:is |was )?denied\b"
    r"|\boperation not permitted\b|\bEACCES\b|\bEPERM\b"
    r"|\bauthentication (?:failed|required|error)\b|\bnot (?:logged in|authenticated|authori[sz]ed)\b"
    r"|\btoken (?:has |is )?expired\b|\bExpiredToken\b|\bAccessDenied\b|\bInvalidClientTokenId\b"
    r"|\b(?:invalid|incorrect|bad|expired|missing) (?:api[ _-]?key|credentials?|access token|auth\w* token)\b"
)


def _http(codes: str, *reasons: str) -> str:
    """A status where something says that it is one: `HTTP 401`, `"status": 401`, `401 Unauthorized`."""
    says = r"(?:HTTP(?:/[\d.]+)?|status(?:[ _]?code)?|code|error|returned|responded(?: with)?|response)"
    return (
        rf"\b{says}[\"']?\W{{1,4}}E?(?:{codes})\b|\b(?:{codes})\W{{1,3}}(?:{'|'.join(reasons)})\b"
        rf"|^\W*(?:{codes})\W*$"
    )


_BUSY: Final = (
    "too many requests", "internal server error", "bad gateway", "service unavailable", "gateway time-?out",
    "server error", "overloaded",
)  # fmt: skip
_REFUSED: Final = _http("401|403", "unauthorized", "forbidden", "client error")


def _rule(name: str, failure_class: FailureClass, pattern: str, lines: int = NEAR) -> FailureRule:
    return FailureRule(name=name, failure_class=failure_class, pattern=pattern, lines=lines)


SHIPPED: Final = (
    FailureRule(name="signal", failure_class="transient_runtime", signals=("any",)),
    # 75 is "try again later" (sysexits), 124 is timeout(1); a shell says 128 + n for a signal of its command.
    FailureRule(
        name="exit-code", failure_class="transient_runtime", exit_codes=(75, 124, 130, 134, 137, 139, 143)
    ),
    _rule("git-overtaken", "transient_runtime", r"\(stale info\)"),
    _rule(
        "git-no-repository",
        "deterministic_repo",
        rf"{_GIT}.*(?:repository .*not found|repository .*does not exist|not a git repository"
        r"|does not appear to be a git repository|the project you were looking for could not be found)"
        r"|^(?-i:(?:fatal|remote): ).*does not exist\b",
    ),
    _rule(
        "git-no-ref",
        "deterministic_repo",
        rf"{_GIT}.*(?:remote branch .* not found|couldn't find remote ref|not our ref|unadvertised object)",
    ),
    _rule(
        "git-rejected",
        "deterministic_repo",
        r"^\s*!\s.*\[(?:remote )?rejected\]|\(non-fast-forward\)|^remote: .*hook declined",
    ),
    _rule(
        "git-untrusted",
        "deterministic_policy",
        rf"{_GIT}.*(?:dubious ownership|transport .* not allowed)",
    ),
    _rule(
        "git-denied",
        "deterministic_policy",
        rf"{_GIT}.*(?:authentication failed|could not read (?:username|password)|access denied"
        r"|invalid username or |returned error: 40[13]|permission to .* denied|not granted)",
    ),
    _rule(
        "ssh-denied",
        "deterministic_policy",
        r"\bpermission denied \((?:publickey|password|keyboard-interactive|gssapi)"
        r"|^host key verification failed",
    ),
    _rule("gh-busy", "transient_runtime", r"\bHTTP 5\d\d: .*\(https://"),
    _rule(
        "gh-denied",
        "deterministic_policy",
        r"\bHTTP 40[13]\b.*\(https://|\bgh auth login\b|^GraphQL: resource not accessible"
        r"|\bbad credentials\b",
    ),
    _rule(
        "gh-not-found",
        "deterministic_repo",
        r"\bHTTP 4(?:04|22): |\bGraphQL: could not resolve to a repository",
    ),
    _rule(
        "model-quota",
        "deterministic_policy",
        r"\binsufficient_quota\b|\bcredit balance is too low\b|\bbilling_hard_limit_reached\b",
    ),
    _rule(
        "model-key",
        "deterministic_policy",
        r"\bauthentication_error\b|\binvalid_api_key\b|\binvalid x-api-key\b|\bincorrect api key provided\b"
        r"|\bAPI_KEY_INVALID\b|\bapi key not valid\b|[\"']permission_error[\"']|\boauth token has expired\b",
    ),
    _rule(
        "model-unknown",
        "deterministic_contract",
        r"\bmodel_not_found\b|\bnot_found_error\b.*\bmodel\b|\bmodels/\S+ is not found\b",
    ),
    _rule(
        "network",
        "transient_runtime",
        r"\bconnection (?:was |is )?(?:reset|refused|timed out|aborted|closed by)\b"
        r"|\bnetwork is unreachable\b|\bno route to host\b|\bcould not resolve host\b"
        r"|\btemporary failure in name resolution\b"
        r"|\bE(?:CONNRESET|CONNREFUSED|TIMEDOUT|AI_AGAIN|PIPE|NETUNREACH|HOSTUNREACH)\b|\bearly EOF\b"
        r"|\bhung up unexpectedly\b|\btls handshake timeout\b|\bsocket hang up\b|\bdeadline exceeded\b"
        r"|\b(?:operation|request|read|connect\w*|i/o) time(?:d ?out|out)\b",
    ),
    _rule(
        "busy",
        "transient_runtime",
        r"\btemporarily unavailable\b|\boverloaded_error\b|\brate_limit_(?:error|exceeded)\b"
        r"|\bRESOURCE_EXHAUSTED\b|" + _http("429|500|502|503|504|529", *_BUSY),
    ),
    _rule("refused", "deterministic_policy", rf"{_COMPLAINT}(?:{_REFUSED}|{_DENIED})"),
    _rule("last-words-busy", "transient_runtime", r"\btimed?[ -]?out\b|\btry again\b", LAST),
    _rule("last-words-refused", "deterministic_policy", rf"{_REFUSED}|{_DENIED}", LAST),
)

VERDICTS: Final = re.compile(
    r"^=+ .*\b\d+ (?:failed|errors?)\b.* in [\d.]+ ?s.*=+$"  # pytest
    r"|^\d+ (?:failed|errors?)\b.* in [\d.]+ ?s\b"  # pytest -q
    r"|^FAILED \((?:failures|errors|unexpected successes)="  # unittest
    r"|^(?:Tests|Test Suites):\s.*\d+ failed|^\s*(?:Test Files|Tests) +\d+ failed"  # jest, vitest
    r"|^test result: FAILED\."  # cargo
    r"|^(?:FAIL|ok)\s+\S+\s+[\d.]+s\b|^FAIL$"  # go test
    r"|\bTests run: \d+, Failures: \d+, Errors: \d+"  # maven
    r"|^\d+ tests completed, \d+ failed|^> There were failing tests"  # gradle
    r"|^\d+ examples?, \d+ failures?"  # rspec
    r"|^Tests: \d+, Assertions: \d+|^# fail +[1-9]|^Failed!\s+- Failed:",  # phpunit, TAP, dotnet
)
"""The last word of a test runner that failed: what stands before it was printed by tests."""

ALSO_AFTER: Final = re.compile(
    r"^\s+\d+ failing$|^ℹ fail [1-9]|\btests failed out of \d+$|^Failed examples:$"
)
"""The same of runners that tell the details after it: mocha, node, ctest, rspec."""

ANOTHER_TOOL: Final = re.compile(
    r"^(?:npm (?:ERR!|error)|make(?:\[\d+\])?:|fatal:|remote:|error |error:|curl:) ?"
)

OF_TESTS: Final = re.compile(
    r"\bassert|\bAssertion|\bexpect(?:ed|s)?\b|\bto(?:Be|Equal|Have|Throw|Match|Contain)\w*\b|^E {2,}"
    r"|^FAILED |^\s*--- FAIL|^\s*[✕✗✘×✖●]|^not ok \d",
)
"""A test's comparison, or its name: what such a line says happened was asked for."""
