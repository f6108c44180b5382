"""Sealing: what is sealed opens with its key, where it belongs, and nowhere else (L-2)."""

from __future__ import annotations

import base64

import pytest

from sluicegate.errors import ConfigurationError
from sluicegate.sealing import SealingKeys, new_key
from sluicegate.settings import Settings, load, masked

OLD, NEW = new_key("old"), new_key("new.2")


def test_the_first_key_seals_and_all_open() -> None:
    old = SealingKeys.read(OLD)
    sealed = old.seal(b"ssh secret", belongs_to="run 1")
    assert sealed.startswith("old:") and "secret" not in sealed
    both = SealingKeys.read(f"{NEW}, {OLD}")
    assert both.open(sealed, belongs_to="run 1") == b"ssh secret"
    assert both.seal(b"", belongs_to="x").startswith("new.2:")
    assert old.seal(b"ssh secret", belongs_to="run 1") != sealed, "the same text never looks the same"


@pytest.mark.parametrize(
    ("keys", "sealed", "belongs_to", "says"),
    [
        (NEW, None, "run 1", "has no key 'old'"),
        (OLD, None, "run 2", "does not open"),
        (new_key("old"), None, "run 1", "does not open"),
        (OLD, "old:####", "run 1", "does not open"),
        (OLD, "old:", "run 1", "does not open"),
    ],
    ids=["its key is gone", "of another record", "another key of that name", "garbage", "nothing"],
)
def test_what_does_not_open(keys: str, sealed: str | None, belongs_to: str, says: str) -> None:
    sealed = sealed or SealingKeys.read(OLD).seal(b"x", belongs_to="run 1")
    with pytest.raises(ConfigurationError, match=says):
        SealingKeys.read(keys).open(sealed, belongs_to=belongs_to)


def test_without_a_key_nothing_is_sealed() -> None:
    with pytest.raises(ConfigurationError, match="SLUICEGATE_LIVE_KEYS is not set"):
        SealingKeys().seal(b"x", belongs_to="x")


@pytest.mark.parametrize(
    "value",
    ["nothing", "a:", "a:AAAA", "bad id:" + OLD.partition(":")[2], f"{OLD},{OLD}", "a:not base64"],
    ids=["no id", "no key", "a short key", "a bad id", "an id twice", "no base64"],
)
def test_a_wrong_setting_is_told_without_the_key(value: str) -> None:
    with pytest.raises(ValueError) as wrong:
        SealingKeys.read(value)
    assert OLD.partition(":")[2] not in str(wrong.value)
    with pytest.raises(ConfigurationError, match="SLUICEGATE_LIVE_KEYS=") as refused:
        load(Settings, environ={"SLUICEGATE_LIVE_KEYS": value})
    assert value.partition(":")[2] not in str(refused.value) or not value.partition(":")[2]


def test_it_is_a_setting_that_is_never_shown() -> None:
    settings = load(Settings, environ={"SLUICEGATE_LIVE_KEYS": f"{NEW},{OLD}"})
    assert [name for name, _ in settings.live_keys] == ["new.2", "old"]
    assert base64.b64encode(settings.live_keys[0][1]).decode() == NEW.partition(":")[2]
    assert masked(settings)["live_keys"] == "***"
