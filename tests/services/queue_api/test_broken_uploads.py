"""Broken uploads and downloads, full disks, jobs that go meanwhile: nothing half is kept (Q-10, Q-15)."""

from __future__ import annotations

import asyncio
import contextlib
import io
import resource
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import psutil
import pytest

from services.queue_api.app import build
from services.sweeper.retention import Retention
from sluicegate.artifacts import Incoming, open_store
from sluicegate.errors import LeaseLost, NotFound, RequestError
from sluicegate.http import serving
from sluicegate.settings import QueueApiSettings, Settings, SweeperSettings
from sluicegate.store import Store, retention
from sluicegate.store.endings import Complete
from tests.services.queue_api.conftest import Api
from tests.support import multipart
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder, Made, now_ms, past
from tests.support.programs import programs
from tests.support.tokens import worker_token
from tests.support.wait import until

MIB = 1 << 20


def everything(settings: Settings) -> list[Path]:
    return list(settings.artifacts_dir.rglob("*"))


def parts(held: dict[str, str], size: int) -> list[multipart.Part]:
    return [*((key, value.encode()) for key, value in held.items()), ("name", b"a"), ("file", b"x" * size)]


async def send(api: Api, job_id: str, held: dict[str, str], size: int, **headers: str) -> Any:
    return await api.post(
        f"/jobs/{job_id}/artifacts/upload",
        data=io.BytesIO(multipart.form(parts(held, size))),
        headers={**multipart.HEADERS, **headers},
    )


def begun(api: Api, job_id: str, body: bytes, *, promised: int) -> socket.socket:
    """A connection on which only the beginning of an upload was sent."""
    address = urlsplit(api.url)
    client = socket.create_connection((address.hostname, address.port))
    head = (
        f"POST /api/queue/jobs/{job_id}/artifacts/upload HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Content-Type: {multipart.HEADERS['Content-Type']}\r\nContent-Length: {promised}\r\n\r\n"
    )
    client.sendall(head.encode() + body)
    return client


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_stops_half_way(
    api: Api, settings: Settings, caplog: pytest.LogCaptureFixture, reset: bool
) -> None:
    """Q-10: closed or torn down in the middle of its file, it leaves nothing, and others go on."""
    job_id, held = await api.running()
    body = multipart.form(parts(held, 600_000))
    client = begun(api, job_id, body[:500_000], promised=len(body))
    await until(lambda: everything(settings), "the upload has begun")
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    await until(lambda: not everything(settings), "nothing of it is left")
    assert (await api.get(f"/jobs/{job_id}/artifacts")).json["items"] == []
    assert (await send(api, job_id, held, 10)).status == 201
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_in_the_middle_of_a_document(
    api: Api, caplog: pytest.LogCaptureFixture, reset: bool
) -> None:
    """A worker that is killed while it sends a heartbeat made the service log an error with a traceback."""
    address = urlsplit(api.url)
    client = socket.create_connection((address.hostname, address.port))
    client.sendall(
        b"POST /api/queue/jobs/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b'Content-Length: 100\r\n\r\n{"workerId": "w"'
    )
    assert (await api.get("/jobs")).status == 200  # the one before has begun
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    line = 'method="POST",route="/api/queue/jobs/heartbeat",status="499"'

    async def counted() -> bool:
        return line in (await api.get("//metrics")).text

    await until(counted, "its request has ended")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_client_that_hangs_is_left(
    api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hold half a file, and its connection, for ever."""
    monkeypatch.setattr("sluicegate.http.forms.IDLE_SECONDS", 0.2)
    job_id, held = await api.running()
    body = multipart.form(parts(held, 600_000))
    with begun(api, job_id, body[:500_000], promised=len(body)) as client:
        client.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.to_thread(client.recv, 1) == b""
    await until(lambda: not everything(settings), "nothing of it is left")


async def test_a_client_that_leaves_a_download(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    job_id, held = await api.running()
    made = (await send(api, job_id, held, 8 * MIB)).json
    for _ in range(3):
        url = f"{api.url}/api/queue/jobs/{job_id}/artifacts/{made['id']}/download"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            await response.content.readexactly(100_000)
            response.close()
    assert (await api.get(f"/jobs/{job_id}")).status == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_content_that_is_cut_off_does_not_look_whole(api: Api, settings: Settings) -> None:
    """A damaged disk: the client is told, and does not take the next answer for the rest."""
    job_id, held = await api.running()
    made = (await send(api, job_id, held, MIB)).json
    (file,) = [path for path in everything(settings) if path.is_file()]
    with file.open("r+b") as damaged:
        damaged.truncate(MIB // 2)
    with pytest.raises(aiohttp.ClientPayloadError):
        await api.get(f"/jobs/{job_id}/artifacts/{made['id']}/download")
    assert (await api.get(f"/jobs/{job_id}")).json["id"] == job_id


@pytest.fixture
async def on_a_small_disk(settings: Settings, store: Store) -> AsyncIterator[Api]:
    """A service whose artifacts lie on a disk of 2 MiB. Skipped where nothing can be mounted."""
    settings.artifacts_dir.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(settings.artifacts_dir)]
    done = await asyncio.to_thread(subprocess.run, mount, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("mounting takes root; the limit of a process stands for it in the next test")
    try:
        app = build(QueueApiSettings(**msgspec.structs.asdict(settings)), store)
        async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
            yield Api(f"http://{host}:{port}", session, app)
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", str(settings.artifacts_dir)], check=True)


async def test_a_full_disk(on_a_small_disk: Api, settings: Settings) -> None:
    """Q-10: 507 with a code, nothing half kept, what is there stays, and the service lives on."""
    api = on_a_small_disk
    job_id, held = await api.running()
    made = (await send(api, job_id, held, MIB)).json
    for _ in range(3):
        answer = await send(api, job_id, held, 4 * MIB)
        assert (answer.status, answer.code) == (507, "storage_full")
        assert len([path for path in everything(settings) if path.is_file()]) == 1
    url = f"/jobs/{job_id}/artifacts/{made['id']}/download"
    assert len((await api.get(url)).text) == MIB
    assert (await send(api, job_id, held, MIB // 2)).status == 201


async def test_no_room_for_a_process(store_url: str, tmp_path: Path) -> None:
    """The same where nobody is root: the system lets the process write no file over 1 MiB."""
    with programs(store_url, tmp_path) as started:
        program, url = await started.service("queue_api")
        psutil.Process(program.process.pid).rlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
        async with aiohttp.ClientSession() as session:
            api = Api(url, session, None)  # type: ignore[arg-type]
            job_id, held = await api.running()
            answer = await send(api, job_id, held, 3 * MIB)
            assert (answer.status, answer.code) == (507, "storage_full")
            assert program.lines("storage_full")
            assert list((tmp_path / "data" / "artifacts").rglob("*")) == []
            assert (await send(api, job_id, held, 1000)).status == 201


async def test_a_killed_service_leaves_nothing_that_anyone_sees(store_url: str, tmp_path: Path) -> None:
    """kill -9 in the middle of an upload: the half file has no name in any list, and goes with its job."""
    with programs(store_url, tmp_path) as started:
        program, url = await started.service("queue_api")
        async with aiohttp.ClientSession() as session:
            api = Api(url, session, None)  # type: ignore[arg-type]
            job_id, held = await api.running()
            folder = tmp_path / "data" / "artifacts"
            body = multipart.form(parts(held, 2 * MIB))
            with begun(api, job_id, body[:MIB], promised=len(body)):
                await until(lambda: list(folder.rglob(".upload-*")), "the upload has begun")
                program.kill()
        _, url = await started.service("queue_api")
        async with aiohttp.ClientSession() as session:
            api = Api(url, session, None)  # type: ignore[arg-type]
            assert (await api.get(f"/jobs/{job_id}/artifacts")).json["items"] == []
            made = (await send(api, job_id, held, 100)).json
            assert (await api.get(f"/jobs/{job_id}/artifacts")).json["items"] == [made]
    await open_store(Settings(data_dir=tmp_path / "data")).delete(job_id)
    assert list(folder.rglob("*")) == []


@pytest.mark.parametrize("moment", ["before the files", "between files and keys", "after the keys"])
async def test_an_upload_that_races_with_the_removal_of_its_job(
    store: Store, settings: Settings, moment: str
) -> None:
    """Q-15: wherever the removal overtakes the upload, neither a file nor a key is left."""
    builder = JobBuilder(store)
    made = await builder.running()
    files = open_store(settings)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"content"

    async def remove() -> None:
        await builder.ended(made, Complete(made.job_id, made.token))
        await past(store, await now_ms(store))
        if moment != "before the files":
            await files.delete(made.job_id)
        if moment == "after the keys":
            assert await retention.remove(store, "succeeded", [made.job_id]) == [None]

    with pytest.raises((LeaseLost, NotFound)):
        async with Incoming.open(store, files, made.job_id, limit=100) as incoming:
            await incoming.take(chunks())
            await remove()
            await incoming.keep("a", worker_id=made.worker, lease_token=made.token)
    assert everything(settings) == []
    assert f"job:{made.job_id}:artifacts" not in await contents(store)


async def test_uploads_while_the_sweeper_removes(store: Store, settings: Settings) -> None:
    """Q-15: uploads without end, by a worker that does not know that its job has ended and goes."""
    builder = JobBuilder(store)
    files = open_store(settings)
    sweeper = SweeperSettings(**msgspec.structs.asdict(settings), retention_succeeded_seconds=0.001)
    sweep = Retention(store, sweeper)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 1000

    async def upload(made: Made, name: str) -> None:
        while True:
            try:
                async with Incoming.open(store, files, made.job_id, limit=2000) as incoming:
                    await incoming.take(chunks())
                    await incoming.keep(name, worker_id=made.worker, lease_token=made.token)
            except NotFound:
                return
            except RequestError as error:
                assert error.code == "lease_lost"

    for number in range(5):
        made = await builder.running(type=f"t{number}")
        uploads = [asyncio.create_task(upload(made, name)) for name in ("a", "b", "c")]
        await until(lambda: everything(settings), "an upload")
        await builder.ended(made, Complete(made.job_id, made.token))
        while not all(task.done() for task in uploads):
            await sweep.run_once()
            await asyncio.sleep(0)
        await asyncio.gather(*uploads)
    assert everything(settings) == []


async def test_a_worker_keeps_to_its_credential(
    store: Store, settings: Settings, api_settings: QueueApiSettings
) -> None:
    """Q-2, Q-3, 70-3: 401 without one, 403 for another worker's name, for a job outside its policy."""
    closed = msgspec.structs.replace(api_settings, auth="required")
    builder = JobBuilder(store)
    made = await builder.running(type="theirs")
    mine = (await worker_token(store, made.worker)).token
    narrow = (await worker_token(store, made.worker, allowed_job_types=["ours"])).token
    async with _serving(closed, store) as api:

        async def code(worker: str, **headers: str) -> tuple[int, str]:
            held = {"workerId": worker, "leaseToken": str(made.token)}
            answer = await send(api, made.job_id, held, 10, **headers)
            return answer.status, "" if answer.status == 201 else answer.code

        assert await code(made.worker) == (401, "worker_auth_failed")
        assert await code("worker-2", **{"X-Worker-Token": mine}) == (403, "worker_not_authorized")
        assert await code(made.worker, **{"X-Worker-Token": narrow}) == (403, "job_not_authorized")
        assert everything(settings) == []
        assert await code(made.worker, **{"X-Worker-Token": mine}) == (201, "")
        for token, status in ((mine, 200), (narrow, 403)):
            headers = {"X-Worker-Token": token}
            assert (await api.get(f"/jobs/{made.job_id}/artifacts", headers=headers)).status == status
        assert (await api.get(f"/jobs/{made.job_id}/artifacts")).status == 401


@contextlib.asynccontextmanager
async def _serving(settings: QueueApiSettings, store: Store) -> AsyncIterator[Api]:
    app = build(settings, store)
    async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        yield Api(f"http://{host}:{port}", session, app)
