"""Each rule that classifies a failure, by what the tools really say (H-3, 70-30)."""

from __future__ import annotations

import signal
from itertools import pairwise

import pytest

from services.worker.heal.classify import UNKNOWN, classify
from services.worker.heal.rules import SHIPPED
from sluicegate.failure_rules import FailureRules

CLASSES = {rule.name: rule.failure_class for rule in SHIPPED}

SAID = {
    "git-overtaken": ["!\trefs/heads/x:refs/heads/x\t[rejected] (stale info)"],
    "git-no-repository": [
        "fatal: repository '/x/missing.git' does not exist",
        "remote: Repository not found.\nfatal: repository 'https://h/a/b.git/' not found",
        "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
        "fatal: not a git repository (or any of the parent directories): .git",
        "fatal: '/tmp/x' does not appear to be a git repository",
        "remote: The project you were looking for could not be found or you don't have permission to see it.",
    ],
    "git-no-ref": [
        "fatal: couldn't find remote ref nope",
        "fatal: remote error: upload-pack: not our ref 0123",
        "error: Server does not allow request for unadvertised object 0123",
        "fatal: Remote branch x not found in upstream origin",
    ],
    "git-rejected": [
        "!\trefs/heads/x:refs/heads/x\t[rejected] (non-fast-forward)",
        " ! [rejected]        main -> main (fetch first)\nerror: failed to push some refs to 'h:a/b.git'",
        "!\t0123:refs/heads/x\t[remote rejected] (pre-receive hook declined)",
    ],
    "git-untrusted": [
        "fatal: transport 'ext' not allowed",
        "fatal: detected dubious ownership in repository at '/x'",
    ],
    "git-denied": [
        "remote: Permission to a/b.git denied to c.\nfatal: unable to access 'https://github.com/a/b/': "
        "The requested URL returned error: 403",
        "fatal: Authentication failed for 'https://github.com/a/b.git/'",
        "fatal: could not read Username for 'https://h': terminal prompts disabled",
        "remote: HTTP Basic: Access denied",
    ],
    "ssh-denied": [
        "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.",
        "Host key verification failed.\nfatal: Could not read from remote repository.",
    ],
    "gh-busy": ["HTTP 502: Bad Gateway (https://api.github.com/graphql)"],
    "gh-denied": [
        "HTTP 401: Bad credentials (https://api.github.com/graphql)",
        "GraphQL: Resource not accessible by personal access token",
        "To get started with GitHub CLI, please run:  gh auth login",
    ],
    "gh-not-found": [
        "GraphQL: Could not resolve to a Repository with the name 'a/b'.",
        "HTTP 422: Validation Failed",
    ],
    "model-quota": [
        'ERROR: {"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}',
        "Credit balance is too low",
    ],
    "model-key": [
        'API Error: 401 {"type":"error","error":{"type":"authentication_error"}} · Please run /login',
        "openai.AuthenticationError: Error code: 401 - {'error': {'code': 'invalid_api_key'}}",
        "[API Error: API key not valid. Please pass a valid API key.]",
    ],
    "model-unknown": [
        'API Error: 404 {"type":"error","error":{"type":"not_found_error","message":"model: nope"}}',
        "models/nope is not found for API version v1beta",
    ],
    "network": [
        "fatal: unable to access 'https://h/': Could not resolve host: h",
        "ssh: connect to host h port 22: Connection timed out",
        "fatal: unable to access 'https://h/': Failed to connect to h: Connection refused",
        "error: RPC failed; Recv failure: Connection reset by peer\nfatal: early EOF",
        "fatal: the remote end hung up unexpectedly",
        "npm ERR! code ECONNRESET",
        "requests.exceptions.ReadTimeout: (host='h'): Read timed out. (read timeout=10)",
    ],
    "busy": [
        "fatal: unable to access 'https://h/': The requested URL returned error: 502",
        'API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
        "503 Service Unavailable",
        "bash: fork: retry: Resource temporarily unavailable",
    ],
    "refused": [
        "npm ERR! code E401\n" + "npm ERR! more\n" * 8,
        "curl: (22) The requested URL returned error: 403\nx\ny\nz",
        "ERROR: HTTP error 403 while getting https://h/p.whl\none\ntwo\nthree",
        "Error response from daemon: unauthorized: authentication required\na\nb\nc",
        "PermissionError: [Errno 13] Permission denied: '/etc/x'",
    ],
    "last-words-busy": ["Timed out waiting for the service to come up", "please try again"],
    "last-words-refused": [
        "./deploy.sh: line 3: ./x: Permission denied",
        "HTTP 401",
        "401 Unauthorized",
        "403",
        "got status 403 from the server",
        "you are unauthorized",
        "authentication failed",
        "invalid API key",
    ],
}

OF_TESTS = [
    "E       assert 401 == 200\nFAILED tests/test_api.py::test_login - assert 401 == 200\n"
    "1 failed, 3 passed in 0.12s",
    "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: http://localhost:5000/login\n"
    "========================= 1 failed, 3 passed in 0.12s =========================",
    "PermissionError: [Errno 13] Permission denied: 'x'\n\nRan 3 tests in 0.1s\n\nFAILED (errors=1)",
    "  ● login › 401 Unauthorized\n\nTests:       1 failed, 3 passed, 4 total\nTime:        1.2 s",
    "thread 'a' panicked at src/lib.rs:3:5:\naccess denied\n\ntest result: FAILED. 0 passed; 1 failed\n\n"
    "error: test failed, to rerun pass `--lib`",
    "  a_test.go:12: got 403 Forbidden\n--- FAIL: TestLogin (0.00s)\nFAIL\nFAIL\texample.org/a\t0.004s\nFAIL",
    "[ERROR] Tests run: 3, Failures: 1, Errors: 0, Skipped: 0\n[INFO] BUILD FAILURE",
    "  2 passing (10ms)\n  1 failing\n\n  1) login\n     Error: Request failed with status code 401",
    "ℹ fail 1\n\n✖ failing tests:\n\n✖ login\n  Error: 403 Forbidden",
    "I expected a 403 Forbidden and got a 200",
]


def test_every_rule_has_its_cases() -> None:
    """H-3: rules are data, each with a test."""
    assert set(SAID) | {"signal", "exit-code"} == set(CLASSES)


@pytest.mark.parametrize(("rule", "said"), [(rule, said) for rule in SAID for said in SAID[rule]])
def test_what_tools_say(rule: str, said: str) -> None:
    """70-30: permanent problems end the step, others come back."""
    assert classify(said, exit_code=1) == (CLASSES[rule], rule)
    coloured = f"\x1b[31m{said}\x1b[0m".replace("\n", "\r\n").encode()
    assert classify(coloured, exit_code=128) == (CLASSES[rule], rule)


@pytest.mark.parametrize("code", [75, 124, 137, 143])
def test_exit_codes_that_come_back(code: int) -> None:
    """70-30: whatever was said before."""
    assert classify("401 Unauthorized", exit_code=code) == ("transient_runtime", "exit-code")


def test_a_signal_comes_back() -> None:
    assert classify("permission denied", signal=signal.SIGSEGV) == ("transient_runtime", "signal")


@pytest.mark.parametrize(
    "said", ["", "something that nobody has seen before", "Segmentation fault", "429 files"]
)
def test_what_is_unknown_is_transient(said: str) -> None:
    """70-30: exit 1 with unknown output."""
    assert classify(said, exit_code=1) == ("transient_runtime", UNKNOWN)


@pytest.mark.parametrize("said", OF_TESTS)
def test_what_tests_print_is_no_refusal(said: str) -> None:
    """A test that fails over a 401 is no worker without a key."""
    assert classify(said, exit_code=1).failure_class == "transient_runtime"


@pytest.mark.parametrize("said", OF_TESTS)
def test_what_comes_after_the_tests_counts(said: str) -> None:
    after = f"{said}\nfatal: Authentication failed for 'https://h/a'"
    assert classify(after, exit_code=128).rule == "git-denied"


def test_old_words_are_not_searched() -> None:
    """A refusal that was got over, far above the end, says nothing about the end."""
    above = "npm ERR! code E401\n" + "working\n" * 30
    assert classify(above + "gave up", exit_code=1).rule == UNKNOWN
    assert classify("401 Unauthorized\n" + "x\n" * 3 + "gave up", exit_code=1).rule == UNKNOWN


def own(*rules: dict[str, object]) -> FailureRules:
    return FailureRules.read(list(rules))


def test_rules_of_the_settings_come_first_and_see_everything() -> None:
    """H-3: extendable by settings; the first that holds decides."""
    rules = own(
        {"name": "licence", "class": "transient_runtime", "pattern": "^no licence", "exit_codes": [3, 4]},
        {"name": "core", "class": "deterministic_contract", "signals": ["SIGABRT", "SIGSEGV"]},
        {"name": "empty", "class": "deterministic_contract", "pattern": "collected 0 items"},
    )
    assert classify("x\nNO LICENCE: 401 Unauthorized", rules, exit_code=3).rule == "licence"
    assert classify("x\nNO LICENCE: 401 Unauthorized", rules, exit_code=1).rule == "last-words-refused"
    assert classify("a no licence", rules, exit_code=3).rule == UNKNOWN
    assert classify("", rules, signal=signal.SIGSEGV).rule == "core"
    assert classify("", rules, signal=signal.SIGKILL).rule == "signal"
    ended = "collected 0 items\n\n======= 1 error in 0.01s ======="
    assert classify(ended, rules, exit_code=5) == ("deterministic_contract", "empty")


def test_a_rule_searches_so_many_lines() -> None:
    near = own({"name": "near", "class": "deterministic_policy", "pattern": "nope", "lines": 2})
    assert classify("nope\n\nx\n", near, exit_code=1).rule == "near"
    assert classify("nope\nx\ny\n", near, exit_code=1).rule == UNKNOWN


def test_more_specific_rules_come_first() -> None:
    """Plain words are the last resort: they are in the last lines only."""
    reach = [rule.lines for rule in SHIPPED if rule.pattern]
    assert all(before >= after for before, after in pairwise(reach))
