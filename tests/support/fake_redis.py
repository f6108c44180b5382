"""A fakeredis behind a loopback port, so that every connection of a store reaches it by an ordinary URL.

A program may test itself on it, so that our scripts run there, too. It lacks INFO, CONFIG and WAIT, and its
cjson differs. A real server decides.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from fakeredis._clients._tcp_server import TCPFakeRequestHandler, TcpFakeServer
from fakeredis.commands_mixins.scripting_mixin import ScriptingCommandsMixin


@contextmanager
def fake_redis() -> Iterator[str]:
    """The URL of an empty fakeredis, gone when the block ends."""
    with _Server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        finally:
            server.shutdown()
            thread.join()


class _Handler(TCPFakeRequestHandler):
    # Else the second reply of a pipeline waits 40 ms for the word on the first.
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer until the client goes.

        fakeredis' own loop drops the connection after every error reply, so NOSCRIPT could never be
        followed by EVAL on the same connection; a real server goes on.
        """
        while not self.server._shutdown_event.is_set():
            try:
                if self.current_client.can_read():
                    self.writer.dump(self._reply())
                    continue
                if not (data := self.rfile.readline()):
                    if not select.select([self.connection], [], [], 0.01)[0]:
                        continue
                    if not (data := self.rfile.readline()):
                        return
                self.current_client.get_socket().sendall(data)
            except OSError:
                return

    def _reply(self) -> Any:
        try:
            return self.current_client.read_response()
        except redis.ResponseError as error:
            return error


class _Server(TcpFakeServer):
    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, server_version=(7, 0))
        self.RequestHandlerClass = _Handler

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in mid-reply is none of the server's business."""


class _Runtime:
    """A Lua runtime that skips the `#!lua` line as Redis does; fakeredis takes it for code."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def execute(self, script: bytes | str) -> Any:
        if isinstance(script, bytes) and script.startswith(b"#!"):
            script = b"--" + script
        return self._runtime.execute(script)


_get_server_runtime = ScriptingCommandsMixin._get_server_runtime


def _runtime_that_knows_shebangs(self: Any, server: Any) -> Any:
    return _Runtime(_get_server_runtime(self, server))


ScriptingCommandsMixin._get_server_runtime = _runtime_that_knows_shebangs
