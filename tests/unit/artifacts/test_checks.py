"""Which names, media types and digests an artifact may have."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.artifacts import checked_content_type, checked_digest, checked_name, limit_of
from sluicegate.errors import Invalid
from sluicegate.settings import Settings

PARTS = st.sampled_from(
    ["..", ".", "", "~", "a", "b.txt", " ", "\\", "\x00", "C:", "\n", "%2e%2e", "ü", "\u202e"]
)
NAMES = st.one_of(
    st.text(max_size=300),
    st.lists(PARTS, max_size=6).map("/".join),
    st.lists(PARTS, max_size=6).map("\\".join),
    st.lists(PARTS, max_size=6).map("".join),
)


@pytest.mark.parametrize(
    "name", ["a", "patches/steps/step-0001.patch", "ü/ä.txt", "a..b", ".hidden", "a b", "a%2f"]
)
def test_safe_names(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "/a", "//a", "../a", "a/../b", "a/..", "a//b", "a/", "./a", "a/.", ".", "..", "a\\b", "\\\\a\\b",
        "c:/a", "a\nb", "a\x00", "\x7f", "a\u2028b", "\ud800", "~/a", "ä" * 128,
    ],
)  # fmt: skip
def test_unsafe_names(name: str) -> None:
    """Q-10: the name is a safe relative path, else 422."""
    with pytest.raises(Invalid) as caught:
        checked_name(name)
    assert caught.value.extra["errors"][0]["path"] == "name"


@given(NAMES)
def test_no_name_that_passes_leads_elsewhere(name: str) -> None:
    """Q-10: whoever joins a name to a folder, on any system, stays in that folder."""
    try:
        checked_name(name)
    except Invalid:
        return
    assert 0 < len(name.encode()) <= 255
    assert name.isprintable()
    assert posixpath.normpath(posixpath.join("/root", name)) == f"/root/{name}"
    windows = PureWindowsPath(name)
    assert not (windows.drive or windows.root)
    assert ".." not in (*windows.parts, *PurePosixPath(name).parts)


def test_content_types() -> None:
    assert checked_content_type("text/plain; charset=utf-8")
    for bad in ("", "text", "text/html\r\nX: y", "a/b; c\n", "a/b\x00", "ä/b"):
        with pytest.raises(Invalid):
            checked_content_type(bad)


def test_digests() -> None:
    assert checked_digest(None) is None
    assert checked_digest("sha256:" + "0a" * 32)
    for bad in ("", "sha256:x", "md5:0", "0" * 64, "sha256:" + "A" * 64, "sha256:" + "0" * 64 + "\n"):
        with pytest.raises(Invalid) as caught:
            checked_digest(bad)
        assert caught.value.extra["errors"][0]["path"] == "digest"


def test_patches_have_their_own_limit() -> None:
    """70-15"""
    settings = Settings(max_artifact_bytes=1, max_patch_bytes=2)
    assert [limit_of(name, settings) for name in ("a", "patches/a", "patches", None)] == [1, 2, 1, 2]
