"""A blocking connection with nothing around it: the fastest that Python can talk to the server."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import hiredis

Word = str | bytes | int
CHUNK: Final = 65536


class Wire:
    """Used in `with`. An error that the server replies is raised."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def call(self, *words: Word) -> Any:
        self._socket.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]
        return self.reply()

    def pipeline(self, commands: Sequence[bytes]) -> list[Any]:
        """Send packed commands at once; their replies."""
        self._socket.sendall(b"".join(commands))
        return [self.reply() for _ in commands]

    def info(self, section: str) -> dict[str, str]:
        lines = self.call("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def commandstat(self, command: str) -> tuple[int, int]:
        """How often the server ran a command since it started, and for how many microseconds."""
        line = self.info("commandstats").get(f"cmdstat_{command}", "calls=0,usec=0")
        counted = dict(part.split("=") for part in line.split(","))
        return int(counted["calls"]), int(counted["usec"])

    def reply(self) -> Any:
        """The next reply, or line of a MONITOR."""
        while (reply := self._reader.gets()) is False:
            chunk = self._socket.recv(CHUNK)
            if not chunk:
                raise ConnectionError("the server closed the connection")
            self._reader.feed(chunk)
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        return reply


def packed(*words: Word) -> bytes:
    return hiredis.pack_command(words)  # type: ignore[arg-type, no-any-return]
