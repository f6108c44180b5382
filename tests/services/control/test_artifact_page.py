"""The files of a job: listed on its page, looked at, downloaded; nothing of them is ever run (Q-10)."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
import uuid_utils
from aiohttp import ClientSession
from msgspec import structs

from services.control.dashboard import artifact_view
from sluicegate.artifacts import ArtifactStore, open_store
from sluicegate.model import Job
from sluicegate.settings import ControlSettings
from sluicegate.store import shelves
from sluicegate.store.connection import Store
from sluicegate.store.shelves import Artifact
from tests.services.control.test_pages import NASTY, read
from tests.support import given

PATCH = f"""\
diff --git a/cart.py b/cart.py
--- a/cart.py
+++ b/cart.py
@@ -1,2 +1,2 @@
 keep
-{NASTY}
+{NASTY} more
"""


@pytest.fixture
def control_settings(control_settings: ControlSettings, tmp_path: Path) -> ControlSettings:
    return structs.replace(control_settings, artifacts_url=f"file:{tmp_path}")


@pytest.fixture
def files(control_settings: ControlSettings) -> ArtifactStore:
    return open_store(control_settings)


async def kept(
    store: Store, files: ArtifactStore, job: Job, name: str, content: bytes, kind: str = "text/plain"
) -> Artifact:
    """As a worker keeps one."""
    async with files.upload(job.id, str(uuid_utils.uuid7())) as upload:
        await upload.write(content)
        stored = await upload.finish()
    artifact = Artifact(
        id=stored.artifact_id, job_id=job.id, name=name, content_type=kind, size_bytes=len(content),
        digest=stored.digest, created_at="2026-01-31T12:00:00.000Z",
    )  # fmt: skip
    await shelves.record_artifact(store, str(job.claimed_by), given.token(job), artifact)
    return artifact


def words(markup: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", markup)).split())


def rows(page: str) -> list[tuple[str, str, str]]:
    """Class, sign and text of each line of a diff."""
    found = re.findall(r'<tr class="(\w+)">.*?class="sign">(.*?)</td><td class="code">(.*?)</td>', page)
    return [(kind, sign, html.unescape(text)) for kind, sign, text in found]


async def test_the_page_of_a_job_lists_its_files(
    control: ClientSession, store: Store, files: ArtifactStore
) -> None:
    """With size and type; what can be looked at is a link; what was made comes first."""
    job = await given.running(store)
    assert '<section id="artifacts" aria-labelledby="artifacts-title" hidden>' in await read(
        control, f"/jobs/{job.id}"
    )
    log = await kept(store, files, job, "logs/steps/a.log", b"x" * 1500)
    cast = await kept(store, files, job, "terminal/attempt-1.cast", b"{}", "application/x-asciicast")
    patch = await kept(store, files, job, "patches/a.patch", PATCH.encode(), "text/x-diff")
    page = (await read(control, f"/jobs/{job.id}")).partition('id="artifacts"')[2].partition("</section>")[0]
    assert re.findall(r'id="see-([^"]+)"', page) == [patch.id, log.id]
    assert re.findall(r'id="get-([^"]+)"', page) == [patch.id, log.id, cast.id]
    shown = words(page)
    assert "patches/a.patch diff" in shown and "logs/steps/a.log text/plain 1.5 kB" in shown


async def test_a_diff_is_read_without_colours(
    control: ClientSession, store: Store, files: ArtifactStore
) -> None:
    """Each line has its sign beside its colour, each file its heading and its counts; text is text."""
    job = await given.running(store)
    artifact = await kept(store, files, job, "patches/a.patch", PATCH.encode(), "text/x-diff")
    page = await read(control, f"/jobs/{job.id}/artifacts/{artifact.id}")
    assert rows(page) == [
        ("hunk", "", "@@ -1,2 +1,2 @@"),
        ("same", "", "keep"),
        ("removed", "−", NASTY),
        ("added", "+", f"{NASTY} more"),
    ]
    assert NASTY not in page and "1 file, +1 −1" in words(page)
    assert "Not all of it is shown" not in page


@pytest.mark.parametrize("part", ["start", "end"])
async def test_of_a_long_file_a_part_is_shown_and_that_is_said(
    control: ClientSession, store: Store, files: ArtifactStore, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Of a log its end, unless its start is asked for."""
    monkeypatch.setattr(artifact_view, "MOST_BYTES", 20)
    job = await given.running(store)
    artifact = await kept(store, files, job, "logs/a.log", b"begin " + b"\x1b[31mx" * 100 + b" <end>")
    asked = "?part=start" if part == "start" else ""
    page = await read(control, f"/jobs/{job.id}/artifacts/{artifact.id}{asked}")
    shown = html.unescape(page.partition("<pre")[2].partition(">")[2].partition("</pre>")[0])
    assert ("begin" in shown, "<end>" in shown) == (part == "start", part == "end")
    assert "\x1b" not in shown and len(shown) <= 20
    assert f"This is its {part}" in words(page)


async def test_a_diff_that_is_cut_says_so(
    control: ClientSession, store: Store, files: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact_view, "MOST_BYTES", len(PATCH) - 30)
    job = await given.running(store)
    artifact = await kept(store, files, job, "a.diff", PATCH.encode(), "application/octet-stream")
    page = await read(control, f"/jobs/{job.id}/artifacts/{artifact.id}")
    assert "Not all of it is shown." in page and len(rows(page)) < 4


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("page.html", "text/html", f"<html>{NASTY}</html>".encode()),
        ("image.svg", "image/svg+xml", b"<svg onload=alert(1)></svg>"),
        ("bad.txt", "text/plain", b"\x00\x01binary"),
    ],
)
async def test_nothing_of_a_file_is_run(
    control: ClientSession, store: Store, files: ArtifactStore, name: str, kind: str, content: bytes
) -> None:
    """On its page it is text, or not shown; a download is saved, its type not guessed, in a sandbox."""
    job = await given.running(store)
    artifact = await kept(store, files, job, name, content, kind)
    address = f"/jobs/{job.id}/artifacts/{artifact.id}"
    async with control.get(address) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        page = await response.text()
    assert NASTY not in page and "<svg onload" not in page
    assert ("download it to look at it" in page) == (name != "page.html")
    async with control.get(f"{address}/download") as response:
        assert await response.read() == content
        assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in response.headers["Content-Security-Policy"]


async def test_a_file_that_is_not_there_is_a_page(
    control: ClientSession, store: Store, files: ArtifactStore
) -> None:
    job = await given.running(store)
    artifact = await kept(store, files, job, "a.txt", b"x")
    await files.delete(job.id)
    for rest in (artifact.id, f"{artifact.id}/download", "none", "none/download"):
        assert "artifact_not_found" in await read(control, f"/jobs/{job.id}/artifacts/{rest}", expect=404)
    assert "part" in await read(control, f"/jobs/{job.id}/artifacts/{artifact.id}?part=middle", expect=422)
    other = await given.queued(store)
    await read(control, f"/jobs/{other}/artifacts/{artifact.id}", expect=404)
