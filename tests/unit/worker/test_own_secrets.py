"""What a worker keeps secret whatever the job: in what it stores, and in its own log (H-13)."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest

from services.worker.__main__ import look_at_secrets
from sluicegate import log as logs
from sluicegate.settings import WorkerSettings
from sluicegate.worker.texts import redactor_of, storable_all


def test_its_credentials_are_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """H-13: the values of SECRET_ENV, its token, the password of its store."""
    monkeypatch.setenv("DEPLOY_KEY", "deploy-key-4711")
    (tmp_path / "token").write_text("a-token-of-its-own\n")
    settings = WorkerSettings(
        redis_url="redis://me:pa%2Fss-word@h:6379/0",
        token_file=tmp_path / "token",
        secret_env=("DEPLOY_KEY",),
    )
    told = "deploy-key-4711 a-token-of-its-own pa/ss-word pa%2Fss-word"
    assert redactor_of(settings).text(told) == " ".join(["[redacted]"] * 4)


def test_its_log_tells_none() -> None:
    """H-13: not in a field, nor in the text of an error."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    settings = WorkerSettings(redis_url="redis://:quoted-pass@h:6379/0")
    try:
        logs.configure("worker", "info", stream, redactor_of(settings).text)
        logs.log.error("failed", error=ValueError("no quoted-pass"), url="redis://:quoted-pass@h")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    line = json.loads(stream.getvalue())
    assert line["error"] == "ValueError: no [redacted]"
    assert "quoted-pass" not in stream.getvalue()


def test_a_variable_that_hides_nothing_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHORT", "abc")
    monkeypatch.setenv("LONG", "abcd")
    monkeypatch.delenv("UNSET", raising=False)
    look_at_secrets(WorkerSettings(secret_env=("SHORT", "LONG", "UNSET")))
    told = [record.fields["variable"] for record in caplog.records]  # type: ignore[attr-defined]
    assert told == ["SHORT", "UNSET"]


def test_a_match_never_crosses_two_texts() -> None:
    redactor = redactor_of(WorkerSettings())
    redactor.add('key": ["x')
    value = {"a key": ["x", 1, None, {"ghp_" + "a1B2" * 9: "ghp_" + "a1B2" * 9}]}
    assert storable_all(redactor, value) == {"a key": ["x", 1, None, {"[redacted]": "[redacted]"}]}
