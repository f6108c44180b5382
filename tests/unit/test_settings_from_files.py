"""Secrets may stand in files, so that no environment and no command line shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.errors import ConfigurationError
from sluicegate.settings import ControlSettings, Settings, load, masked, unknown_variables

KEY = "k" * 32


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    return path


def test_a_secret_is_read_from_its_file(file: Path) -> None:
    variables = {"SLUICEGATE_SESSION_KEY_FILE": str(file)}
    settings = load(ControlSettings, environ=variables)
    assert settings.session_key == KEY
    assert KEY not in str(masked(settings))
    assert unknown_variables(variables) == []


def test_the_variable_itself_wins(file: Path) -> None:
    variables = {"SLUICEGATE_SESSION_KEY_FILE": str(file), "SLUICEGATE_SESSION_KEY": "s" * 32}
    assert load(ControlSettings, environ=variables).session_key == "s" * 32


def test_only_secrets_come_from_files(file: Path) -> None:
    variables = {"SLUICEGATE_LOG_LEVEL_FILE": str(file)}
    assert load(Settings, environ=variables).log_level == "info"
    assert unknown_variables(variables) == ["SLUICEGATE_LOG_LEVEL_FILE"]


@pytest.mark.parametrize(
    ("text", "said"), [(None, "cannot be read"), ("\n", "is empty"), ("short", "not allowed")]
)
def test_what_is_no_secret_is_refused_by_name(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "key").write_text(text)
    with pytest.raises(ConfigurationError, match=f"SLUICEGATE_SESSION_KEY.*{said}"):
        load(ControlSettings, environ={"SLUICEGATE_SESSION_KEY_FILE": str(tmp_path / "key")})
