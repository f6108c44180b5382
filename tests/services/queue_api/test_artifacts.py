"""Artifacts over HTTP: what is stored, listed and downloaded, by whom, and what is refused (Q-10, 70-15)."""

from __future__ import annotations

import asyncio
import hashlib
import io
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import structs

from sluicegate.artifacts import open_store
from sluicegate.http import STORE
from sluicegate.settings import Settings
from tests.services.queue_api.conftest import Answer, Api
from tests.support import multipart
from tests.support.dump import dump

NO_JOB = "00000000-0000-7000-8000-000000000000"
Fields = dict[str, str]


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def send(api: Api, job_id: str, parts: list[multipart.Part], **headers: str) -> Answer:
    return await api.post(
        f"/jobs/{job_id}/artifacts/upload",
        data=io.BytesIO(multipart.form(parts)),
        headers={**multipart.HEADERS, **headers},
    )


async def upload(api: Api, job_id: str, held: Fields, name: str, content: bytes, **fields: str) -> Answer:
    rest = [(key, value.encode()) for key, value in {**held, "name": name, **fields}.items()]
    return await send(api, job_id, [*rest, ("file", content)])


async def stored(api: Api, job_id: str, held: Fields, name: str, content: bytes, **fields: str) -> Any:
    answer = await upload(api, job_id, held, name, content, **fields)
    assert answer.status == 201, answer.text
    return answer.json


async def listed(api: Api, job_id: str, **query: Any) -> Any:
    answer = await api.get(f"/jobs/{job_id}/artifacts", params=query)
    assert answer.status == 200, answer.text
    return answer.json


async def fetch(
    api: Api, job_id: str, artifact_id: str, method: str = "GET", **headers: str
) -> tuple[int, Any, bytes]:
    url = f"{api.url}/api/queue/jobs/{job_id}/artifacts/{artifact_id}/download"
    async with api.session.request(method, url, headers=headers) as response:
        return response.status, response.headers, await response.read()


def files_under(settings: Settings) -> list[Path]:
    return [path for path in settings.artifacts_dir.rglob("*") if path.is_file()]


@pytest.fixture
def nothing_kept(settings: Settings) -> Any:
    """Call it: no file, no half of one, no empty folder."""

    def check() -> None:
        assert list(settings.artifacts_dir.rglob("*")) == []

    return check


async def test_what_is_uploaded_can_be_downloaded(api: Api, settings: Settings) -> None:
    """70-15: 201 with these fields; under the job's own folder, named by content hash."""
    job_id, held = await api.running()
    content = bytes(range(256)) * 5000
    made = await stored(api, job_id, held, "logs/a.bin", content, digest=digest_of(content))
    assert set(made) == {"id", "jobId", "name", "contentType", "sizeBytes", "digest", "createdAt"}
    assert (made["jobId"], made["name"], made["sizeBytes"]) == (job_id, "logs/a.bin", len(content))
    assert (made["contentType"], made["digest"]) == ("application/octet-stream", digest_of(content))
    assert await listed(api, job_id) == {"items": [made], "nextCursor": None}
    (file,) = files_under(settings)
    assert (file.parent.name, file.name.partition(".")[0]) == (job_id, hashlib.sha256(content).hexdigest())
    status, headers, got = await fetch(api, job_id, made["id"])
    assert (status, got) == (200, content)
    assert headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize("place", range(4))
async def test_fields_may_come_in_any_order(api: Api, place: int) -> None:
    """70-15: the file before, between and behind its fields."""
    job_id, held = await api.running()
    parts = [(name, value.encode()) for name, value in {**held, "name": "a"}.items()]
    answer = await send(api, job_id, [*parts[:place], ("file", b"content"), *parts[place:]])
    assert answer.status == 201, answer.text
    assert (await fetch(api, job_id, answer.json["id"]))[2] == b"content"


async def test_content_may_hold_anything(api: Api) -> None:
    """Line ends, what looks like a boundary, nothing at all."""
    job_id, held = await api.running()
    tricks = [b"", b"\r\n", b"\n", b"--", b"\r\n--b0undar", b"\r\n\r\n--\r\n", b"\0" * 70_000]
    for at, content in enumerate(tricks):
        made = await stored(api, job_id, held, f"{at}", content, digest=digest_of(content))
        assert (await fetch(api, job_id, made["id"]))[2] == content


async def test_the_same_name_again_replaces(api: Api, settings: Settings) -> None:
    """70-15: also after a lost reply, with the same content; what was replaced is gone from the disk."""
    job_id, held = await api.running()
    first = await stored(api, job_id, held, "a", b"first")
    other = await stored(api, job_id, held, "b", b"first")
    again = await stored(api, job_id, held, "a", b"first")
    second = await stored(api, job_id, held, "a", b"second")
    assert (await listed(api, job_id))["items"] == [second, other]
    assert len(files_under(settings)) == 2
    for gone in (first, again):
        status, _, _ = await fetch(api, job_id, gone["id"])
        assert status == 404
    assert (await fetch(api, job_id, other["id"]))[2] == b"first"
    assert (await fetch(api, job_id, second["id"]))[2] == b"second"


async def test_two_uploads_of_one_name_at_once(api: Api, settings: Settings) -> None:
    """One of them stays, whole, and nothing of the others."""
    job_id, held = await api.running()
    contents = [bytes([at]) * 300_000 for at in range(6)] * 2
    answers = await asyncio.gather(*(upload(api, job_id, held, "a", content) for content in contents))
    assert {answer.status for answer in answers} == {201}
    (left,) = (await listed(api, job_id))["items"]
    assert left in [answer.json for answer in answers]
    assert digest_of((await fetch(api, job_id, left["id"]))[2]) == left["digest"]
    assert len(files_under(settings)) == 1


async def test_the_list_comes_in_pages_by_name(api: Api) -> None:
    """70-2"""
    job_id, held = await api.running()
    names = ["c", "a/b", "ü", "a", "b"]
    for name in names:
        await stored(api, job_id, held, name, b"x")
    shown: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = await listed(api, job_id, limit=2, **cursor)
        shown += [item["name"] for item in page["items"]]
        cursor = {"cursor": page["nextCursor"]}
    assert (shown, cursor) == (sorted(names), {"cursor": None})
    assert (await api.get(f"/jobs/{job_id}/artifacts?cursor=%21")).paths == ["cursor"]
    assert (await api.get(f"/jobs/{job_id}/artifacts?limit=0")).paths == ["limit"]
    assert (await api.get(f"/jobs/{NO_JOB}/artifacts")).code == "job_not_found"
    assert (await api.get("/jobs/x/artifacts")).code == "job_not_found"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.txt", 'attachment; filename="a.txt"'),
        ("deep/er/a b.txt", 'attachment; filename="a b.txt"'),
        ("x/grün %.txt", "attachment; filename=\"gr_n _.txt\"; filename*=UTF-8''gr%C3%BCn%20%25.txt"),
        ('a"b;c.txt', "attachment; filename=\"a_b;c.txt\"; filename*=UTF-8''a%22b%3Bc.txt"),
        ("日本.txt", "attachment; filename=\"__.txt\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.txt"),
    ],
)  # fmt: skip
async def test_a_download_is_saved_and_never_shown(api: Api, name: str, said: str) -> None:
    """Q-10, 60-4: an attachment of the declared type, with `nosniff`, its name as RFC 6266 has it."""
    job_id, held = await api.running()
    page = b"<script>alert(1)</script>"
    made = await stored(api, job_id, held, name, page, contentType="text/html; charset=utf-8")
    assert made["contentType"] == "text/html; charset=utf-8"
    status, headers, content = await fetch(api, job_id, made["id"])
    assert (status, content) == (200, page)
    assert headers["Content-Disposition"] == said
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox")
    _, parameters = aiohttp.multipart.parse_content_disposition(said)
    assert aiohttp.multipart.content_disposition_filename(parameters) == name.rpartition("/")[2]


async def test_a_download_that_is_known_already(api: Api) -> None:
    job_id, held = await api.running()
    made = await stored(api, job_id, held, "a", b"content")
    tag = f'"{made["digest"]}"'
    for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        status, headers, content = await fetch(api, job_id, made["id"], **{"If-None-Match": known})
        assert (status, headers["ETag"], content) == (304, tag, b"")
    assert (await fetch(api, job_id, made["id"], **{"If-None-Match": '"x"'}))[0] == 200
    status, headers, content = await fetch(api, job_id, made["id"], "HEAD")
    assert (status, headers["Content-Length"], headers["ETag"], content) == (200, "7", tag, b"")


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-0", (0, 1)), ("bytes=2-4", (2, 5)), ("bytes=7-", (7, 10)), ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)), ("bytes=5-99", (5, 10)), ("bytes=0-", (0, 10)),
    ],
)  # fmt: skip
async def test_a_part_of_a_download(api: Api, asked: str, part: tuple[int, int]) -> None:
    job_id, held = await api.running()
    made = await stored(api, job_id, held, "a", b"0123456789")
    status, headers, content = await fetch(api, job_id, made["id"], Range=asked)
    assert (status, content) == (206, b"0123456789"[slice(*part)])
    assert headers["Content-Range"] == f"bytes {part[0]}-{part[1] - 1}/10"
    same = {"If-Range": f'"{made["digest"]}"'}
    assert (await fetch(api, job_id, made["id"], Range=asked, **same))[0] == 206


async def test_parts_that_are_none(api: Api) -> None:
    """RFC 9110, 14.2: what is no range, or one of other content, is ignored; one past the end is 416."""
    job_id, held = await api.running()
    made, empty = [await stored(api, job_id, held, name, name.encode()[1:]) for name in ("a0123456789", "b")]
    for headers in (
        {"Range": "bytes=4-2"}, {"Range": "lines=1-2"}, {"Range": "bytes=0-1,3-4"}, {"Range": "bytes=-"},
        {"Range": "bytes=0-1", "If-Range": '"other"'},
    ):  # fmt: skip
        status, _, content = await fetch(api, job_id, made["id"], **headers)
        assert (status, content) == (200, b"0123456789")
    for artifact, asked in ((made, "bytes=10-"), (empty, "bytes=0-")):
        answer = await api.get(
            f"/jobs/{job_id}/artifacts/{artifact['id']}/download", headers={"Range": asked}
        )
        assert (answer.status, answer.code) == (416, "range_not_satisfiable")


async def test_what_is_not_there(api: Api, settings: Settings) -> None:
    """404, also when only its content is gone."""
    job_id, held = await api.running()
    made = await stored(api, job_id, held, "a", b"x")
    for job, artifact, code in (
        (NO_JOB, made["id"], "job_not_found"),
        ("x", made["id"], "job_not_found"),
        (job_id, NO_JOB, "artifact_not_found"),
        (job_id, "..%2F..%2Fx", "artifact_not_found"),
        (job_id, "a", "artifact_not_found"),
    ):
        answer = await api.get(f"/jobs/{job}/artifacts/{artifact}/download")
        assert (answer.status, answer.code) == (404, code)
    await open_store(settings).delete(job_id)
    answer = await api.get(f"/jobs/{job_id}/artifacts/{made['id']}/download")
    assert (answer.status, answer.code) == (404, "artifact_not_found")


UNSAFE = ["", "..", "../x", "a/../../x", "/etc/passwd", "a\\b", "a\0b", "a\nb", ".", "a//b", "x" * 256, "c:d"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        *(({"name": name}, ["name"]) for name in UNSAFE),
        ({"name": None}, ["name"]),
        ({"name": None, "workerId": None}, ["workerId", "name"]),
        ({"leaseToken": None}, ["leaseToken"]),
        ({"workerId": ""}, ["workerId"]),
        ({"contentType": "text"}, ["contentType"]),
        ({"contentType": "a/b\r\nX: y"}, ["contentType"]),
        ({"digest": "sha256:x"}, ["digest"]),
        ({"digest": "sha256:" + "0" * 64}, ["digest"]),
        ({"colour": "red"}, ["colour"]),
        ({"digest": "x" * 9000}, ["digest"]),
        ({"file": None}, ["file"]),
    ],
)
@pytest.mark.parametrize("file_first", [True, False])
async def test_wrong_fields_keep_nothing(
    api: Api, store_url: str, nothing_kept: Any, fields: dict[str, Any], wrong: list[str], file_first: bool
) -> None:
    """Q-10: 422, each wrong field named; neither a file nor an entry."""
    job_id, held = await api.running()
    before = dump(store_url)
    given: dict[str, Any] = {**held, "name": "a", "file": "content", **fields}
    parts = [(name, value.encode()) for name, value in given.items() if value is not None]
    parts.sort(key=lambda part: (part[0] == "file") != file_first)
    answer = await send(api, job_id, parts)
    assert sorted(answer.paths) == sorted(wrong)
    assert dump(store_url) == before
    nothing_kept()


async def test_a_field_or_a_file_given_twice(api: Api, nothing_kept: Any) -> None:
    job_id, held = await api.running()
    parts = [(name, value.encode()) for name, value in {**held, "name": "a"}.items()]
    for extra in (("name", b"b"), ("file", b"more")):
        answer = await send(api, job_id, [*parts, ("file", b"content"), extra])
        assert answer.paths == [extra[0]]
    nothing_kept()


@pytest.mark.parametrize("file_first", [True, False])
@pytest.mark.parametrize(("name", "most"), [("a", 1000), ("patches/a", 2000), ("patched", 1000)])
async def test_past_its_limit(
    api: Api, nothing_kept: Any, monkeypatch: pytest.MonkeyPatch, name: str, most: int, file_first: bool
) -> None:
    """70-15: 413, patches have their own limit, whatever comes first."""
    limits = {"max_artifact_bytes": 1000, "max_patch_bytes": 2000}
    store = api.app[STORE]
    monkeypatch.setattr(store, "settings", structs.replace(store.settings, **limits))
    job_id, held = await api.running()
    for size, status in ((most + 1, 413), (most + 500_000, 413), (most, 201)):
        parts = [(key, value.encode()) for key, value in {**held, "name": name}.items()]
        file = ("file", b"x" * size)
        answer = await send(api, job_id, [file, *parts] if file_first else [*parts, file])
        assert answer.status == status, answer.text
        if status == 413:
            assert answer.code == "artifact_too_large"
            nothing_kept()


async def test_only_the_holder_of_the_lease_uploads(api: Api, store_url: str, nothing_kept: Any) -> None:
    """Q-1: 409, 404; in the order of 70-3, and nothing is kept of what came."""
    job_id, held = await api.running()
    queued = (await api.enqueue())["id"]
    ended, was = await api.running("worker-2")
    await api.post(f"/jobs/{ended}/complete", was)
    before = dump(store_url)
    for job, fields, status, code in (
        (job_id, {"leaseToken": "7"}, 409, "lease_lost"),
        (job_id, {"leaseToken": ""}, 409, "lease_lost"),
        (job_id, {"workerId": "worker-9"}, 409, "job_ownership_mismatch"),
        (queued, {}, 409, "lease_lost"),
        (ended, was, 409, "lease_lost"),
        (NO_JOB, {}, 404, "job_not_found"),
        ("x", {}, 404, "job_not_found"),
    ):
        answer = await upload(api, job, {**held, **fields}, "a", b"content")
        assert (answer.status, answer.code) == (status, code), answer.text
    assert dump(store_url) == before
    nothing_kept()


FORM = multipart.HEADERS["Content-Type"]
PART = b"--b0undary\r\nContent-Disposition: form-data; name="
END = b"\r\n--b0undary--\r\n"


@pytest.mark.parametrize(
    ("content_type", "data", "status"),
    [
        ("application/json", b"{}", 415),
        ("application/x-www-form-urlencoded", b"a=b", 415),
        ("multipart/mixed; boundary=b", b"x", 415),
        (None, b"", 415),
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=" + "b" * 71, b"x", 400),
        (FORM, b"", 400),
        (FORM, b"no form at all\r\n", 400),
        (FORM, multipart.form([("file", b"x")], end=False), 400),
        (FORM, multipart.form([("file", b"x" * 300_000)])[:-30], 400),
        (FORM, b"--b0undary\r\n\r\nx" + END, 400),
        (FORM, b"--b0undary\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--" + END, 400),
        (FORM, PART + b'"file"\r\nContent-Transfer-Encoding: base64\r\n\r\neA==' + END, 400),
        (FORM, PART + b'"name"\r\n\r\n\xff' + END, 422),
    ],
)
async def test_what_is_no_form(
    api: Api, nothing_kept: Any, content_type: str | None, data: bytes, status: int
) -> None:
    job_id, _ = await api.running()
    answer = await api.post(
        f"/jobs/{job_id}/artifacts/upload",
        data=data,
        headers={"Content-Type": content_type} if content_type else {},
        skip_auto_headers=["Content-Type"],
    )
    codes = {400: "bad_request", 415: "unsupported_media_type", 422: "validation_failed"}
    assert (answer.status, answer.code) == (status, codes[status]), answer.text
    nothing_kept()


async def test_a_page_of_another_origin_uploads_nothing(api: Api, nothing_kept: Any) -> None:
    """70-18: a browser can send forms anywhere, but says whose page it shows."""
    job_id, held = await api.running()
    parts = [*((name, value.encode()) for name, value in held.items()), ("name", b"a"), ("file", b"x")]
    answer = await send(api, job_id, parts, Origin="https://evil.example")
    assert (answer.status, answer.code) == (403, "csrf_failed")
    nothing_kept()


async def test_artifacts_outlive_the_attempt(api: Api) -> None:
    """They are read when the job has ended, and nobody adds to them then."""
    job_id, held = await api.running()
    made = await stored(api, job_id, held, "a", b"x")
    assert (await api.post(f"/jobs/{job_id}/complete", held)).status == 200
    assert (await listed(api, job_id))["items"] == [made]
    assert (await fetch(api, job_id, made["id"]))[2] == b"x"
    assert (await upload(api, job_id, held, "a", b"y")).code == "lease_lost"
    assert (await fetch(api, job_id, made["id"]))[2] == b"x"
