"""The proxy of deploy/: nginx with its own configuration, only with other ports and folders."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sluicegate.dev.embedded_store import free_port
from tests.support import tools
from tests.support.programs import ROOT
from tests.support.wait import until_sync

FOLDER = ROOT / "deploy/proxy"


@contextmanager
def proxy(folder: Path, queue_api: str, control: str) -> Iterator[str]:
    """The address of both services. folder: where nginx finds its files, and writes."""
    port = free_port()
    subprocess.run([sys.executable, FOLDER / "description.py", folder / "share"], check=True)
    for name in ("nginx.conf", "upstreams.conf", "forward.conf"):
        text = (FOLDER / name).read_text()
        for there, here in {
            "queue-api:8080": queue_api.removeprefix("http://"),
            "control:8081": control.removeprefix("http://"),
            "listen 8080": f"listen 127.0.0.1:{port}",
            "/usr/share/sluicegate": str(folder / "share"),
            "/tmp/nginx": str(folder / "nginx"),
            "include mime.types": "include /etc/nginx/mime.types",
        }.items():
            text = text.replace(there, here)
        (folder / name).write_text(text)
    words = [tools.require("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    # As root it would go on as another user, who may not read this folder.
    words += ["-g", "daemon off;" + (" user root;" if os.geteuid() == 0 else "")]
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until_sync(lambda: _listens(port) or process.poll() is not None, "nginx listens")
        assert process.poll() is None, (folder / "nginx.log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
