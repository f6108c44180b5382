"""One process's access to the store: connections, script calls, and what a lost connection means.

Nobody below this module retries: redis-py's own retries are off, because it cannot know whether a script
may run twice. `Store.run` repeats a call only if its script says that repeating is safe.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final, Self

import hiredis
import redis.exceptions as redis_errors
from redis.asyncio.connection import AbstractConnection

from sluicegate import keys
from sluicegate.errors import (
    Busy,
    ConfigurationError,
    OutcomeUnknown,
    StoreFault,
    StoreUnavailable,
    StoreUninitialised,
    StoreVersionMismatch,
)
from sluicegate.settings import Settings
from sluicegate.store import preflight
from sluicegate.store.connections import (
    Connect,
    Connections,
    connector,
    disconnect,
    refusal,
    shown_url,
)
from sluicegate.store.hearing import Hearing
from sluicegate.store.memory import Memory
from sluicegate.store.scripts import Script, script

MAX_ITEMS: Final = 100
MAX_BYTES: Final = 1024 * 1024
BLOCK_SECONDS: Final = 2.0
"""Longest blocking read: short enough that a lost connection is noticed soon."""
IN_FLIGHT: Final = 2
"""Pipelined calls that the server has at once: the next one is there when it has done one."""
PARTITIONS: Final = 1

_LOST = (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError)


class Store:
    """The state machine's way to Redis. Open one per process and event loop; safe for concurrent calls."""

    def __init__(self, settings: Settings, connect: Connect, *, plain_scripts: bool = False) -> None:
        self.settings = settings
        self._connect = connect
        self._plain_scripts = plain_scripts
        self._connections = Connections(connect, settings.redis_max_connections)
        self.memory = Memory(self.command, settings.max_memory_share)
        self.hearing = Hearing(self.commands, self.now_ms)

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connect, check the store's configuration, lay out a new store.

        Raises StoreUnavailable with a message that says how to start one, ConfigurationError naming the
        setting to change.
        """
        store = cls(settings, connector(settings))
        try:
            await preflight.check(store.command, settings)
            await store.initialise()
        except BaseException:
            await store.close()
            raise
        return store

    @classmethod
    def unchecked(cls, settings: Settings) -> Self:
        """A store as it is, whatever that is: neither checked nor laid out. For who looks what is wrong."""
        return cls(settings, connector(settings))

    async def initialise(self) -> None:
        """Lay out a new store; an existing one stays as it is."""
        try:
            reply = await self.run("init", partitions=PARTITIONS)
        except StoreFault as error:
            raise ConfigurationError(
                f"{self._address} cannot be used: {error.detail} (a new store is laid out by queue_api, "
                "control or the sweeper: start one of them before a worker)"
            ) from error
        if int(reply[0]) != PARTITIONS:
            raise ConfigurationError(
                f"the store was laid out for {reply[0]} partitions, this version works with {PARTITIONS}"
            )

    async def close(self) -> None:
        """Close idle connections; those in use are closed as they come back."""
        await self._connections.close()

    async def ping(self) -> None:
        """Raise unless the store answers, is laid out, and has a schema that this version knows."""
        await self.run("read_jobs")

    async def run(
        self, name: str, items: Sequence[tuple[Any, ...]] = (), /, *, repeatable: bool = True, **args: Any
    ) -> list[Any]:
        """Run one script; the reply without its leading OK, or the whole reply when its word is another.

        repeatable: whether the call may be sent again after a lost connection.
        Raises StoreUnavailable, OutcomeUnknown (not repeatable, and sent), StoreUninitialised, ...
        """
        chosen = script(name)
        return _checked(
            await self._repeat(
                lambda connection: self._evaluate(connection, chosen, chosen.argv(args, items)),
                repeatable=repeatable,
                reads=chosen.reads,
            )
        )

    async def run_many(
        self, name: str, items: Sequence[tuple[Any, ...]], *, repeatable: bool = True, **args: Any
    ) -> list[Any]:
        """Run a script over many items, split so that no call stops the server for long; replies joined."""
        replies: list[Any] = []
        for part in split(items):
            replies += (await self.run(name, part, repeatable=repeatable, **args))[0]
        return replies

    async def run_pipelined(
        self,
        name: str,
        parts: Iterable[Sequence[tuple[Any, ...]]],
        heard: Callable[[list[Any]], None],
        /,
        **args: Any,
    ) -> None:
        """Run a script that may be repeated over one part after another, each in the time of a call.

        The next part is drawn and sent while the server works on one, so that it need not wait for it.
        heard: gets the reply to each part, in order, as `run` returns it. What a refused call had behind it
        may have been run. Raises as `run` does.
        """
        chosen = script(name)
        patience = self._patience()
        calls = (chosen.argv(args, items) for items in parts)
        unanswered: deque[list[Any]] = deque()

        async def call(connection: AbstractConnection) -> None:
            in_flight = 0
            # The first one brings the text: were it unknown, one behind it might be run before it.
            words = self._by_text(chosen)
            while True:
                while in_flight < IN_FLIGHT:
                    if in_flight == len(unanswered):
                        drawn = next(calls, None)
                        if drawn is None:
                            break
                        unanswered.append(drawn)
                        patience.renew()  # the time that this took is not the store's
                    await _write(connection, *words, *unanswered[in_flight])
                    words = self._by_name(chosen)
                    in_flight += 1
                if not in_flight:
                    return
                try:
                    reply = _checked(await connection.read_response())
                except redis_errors.ResponseError as error:
                    await disconnect(connection)  # with the replies to what was behind it
                    if isinstance(error, redis_errors.NoScriptError):
                        raise redis_errors.ConnectionError("it has forgotten its scripts") from error
                    raise
                unanswered.popleft()
                in_flight -= 1
                heard(reply)
                patience.renew()

        await self._repeat(call, patience=patience)

    async def now_ms(self) -> int:
        """The store's clock, in ms: what leases, due times and retention are judged by."""
        seconds, micros = await self.command("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def command(self, *words: Any) -> Any:
        """Run one command that may be repeated: a read, or a write that changes nothing the second time.

        Only the modules of this package call it. Raises StoreUnavailable, StoreFault.
        """
        return await self._repeat(lambda connection: _send(connection, *words), reads=True)

    async def commands(self, *commands: tuple[Any, ...], keep_errors: bool = False) -> list[Any]:
        """Run several such commands on one connection, one round trip.

        keep_errors: an error that the store replies stands in its place; else the first one is raised.
        """
        replies: list[Any] = await self._repeat(
            lambda connection: _pipeline(connection, commands), reads=True
        )
        for reply in replies:
            if isinstance(reply, redis_errors.ResponseError) and not keep_errors:
                raise _server_error(reply) from reply
        return replies

    @contextlib.asynccontextmanager
    async def blocking(self) -> AsyncIterator[AbstractConnection]:
        """A connection of its own for blocking reads, closed at the end."""
        connection = self._connect()
        if hasattr(connection, "socket_timeout"):
            connection.socket_timeout = BLOCK_SECONDS + 2
        try:
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
            except _LOST as error:
                refused = refusal(error)
                raise StoreUnavailable(
                    f"{self._address}: {refused}" if refused else self._unreachable()
                ) from error
            yield connection
        finally:
            await disconnect(connection)

    def _patience(self) -> _Patience:
        return _Patience(self.settings.redis_timeout_ms / 1000, self._connections.abort)

    async def _repeat(
        self,
        call: Callable[[AbstractConnection], Any],
        *,
        repeatable: bool = True,
        reads: bool = False,
        patience: _Patience | None = None,
    ) -> Any:
        """Call on a connection; again on a fresh one after a loss, while time and the script allow it.

        reads: nothing is written, so that no outcome can be unknown. patience: renewed by what is called.
        """
        patience = patience or self._patience()
        pause = 0.02
        sent = False
        while True:
            connection = await self._connections.take()
            patience.begin(connection)
            try:
                if not connection.is_connected:
                    await connection.connect()  # type: ignore[no-untyped-call]
                sent = not reads
                reply = await call(connection)
            except _LOST as error:
                await self._connections.drop(connection)
                if refused := refusal(error):
                    raise StoreUnavailable(f"{self._address}: {refused}") from error
                if sent and not repeatable:
                    raise OutcomeUnknown("the store did not answer; the outcome is not known") from error
                if patience.left() <= pause:
                    if sent:
                        raise OutcomeUnknown(
                            "the store did not answer in time; repeat with the same id"
                        ) from error
                    raise StoreUnavailable(self._unreachable()) from error
                await asyncio.sleep(pause)
                pause = min(pause * 2, 0.5)
            except redis_errors.ResponseError as error:
                self._connections.give(connection)
                raise _server_error(error) from error
            except BaseException:
                # A reply may still be under way: this connection must not serve anybody else.
                await self._connections.drop(connection)
                raise
            else:
                self._connections.give(connection)
                return reply
            finally:
                patience.end()

    async def _evaluate(self, connection: AbstractConnection, chosen: Script, argv: list[Any]) -> Any:
        try:
            return await _send(connection, *self._by_name(chosen), *argv)
        except redis_errors.NoScriptError:
            return await _send(connection, *self._by_text(chosen), *argv)

    def _by_name(self, chosen: Script) -> tuple[Any, ...]:
        return self._by_text(chosen) if self._plain_scripts else ("EVALSHA", chosen.sha, 1, keys.META)

    def _by_text(self, chosen: Script) -> tuple[Any, ...]:
        return "EVAL", chosen.plain_text if self._plain_scripts else chosen.text, 1, keys.META

    @property
    def _address(self) -> str:
        return f"the store at {shown_url(self.settings.redis_url)}"

    def _unreachable(self) -> str:
        return (
            f"no store at {shown_url(self.settings.redis_url)}: is it running? "
            "`sluicegate dev` brings its own; SLUICEGATE_REDIS_URL names another Redis or Valkey server"
        )


class _Patience:
    """How long the store may take to answer, in seconds: when that is over, the connection is lost.

    One timer per call costs a tenth of redis-py's own timeouts around each read and write.
    """

    def __init__(self, seconds: float, abort: Callable[[AbstractConnection], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._abort = abort
        self._deadline = self._loop.time() + seconds
        self._timer: asyncio.TimerHandle | None = None

    def left(self) -> float:
        """Seconds."""
        return self._deadline - self._loop.time()

    def begin(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._timer = self._loop.call_later(max(self.left(), 0.1), self._abort, connection)

    def renew(self) -> None:
        """All of the time once more, from now on."""
        self.end()
        self._deadline = self._loop.time() + self._seconds
        self.begin(self._connection)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def split(items: Sequence[tuple[Any, ...]]) -> list[Sequence[tuple[Any, ...]]]:
    """Parts of at most 100 items and 1 MiB each; one item alone may be larger."""
    parts: list[Sequence[tuple[Any, ...]]] = []
    start = size = 0
    for at, item in enumerate(items):
        own = sum(len(value) for value in item if isinstance(value, str | bytes))
        if at > start and (at - start >= MAX_ITEMS or size + own > MAX_BYTES):
            parts.append(items[start:at])
            start, size = at, 0
        size += own
    parts.append(items[start:])
    return parts


def _checked(reply: list[Any]) -> list[Any]:
    """The reply of a script without its leading OK, or whole when its word is another."""
    word = reply[0]
    if word == "OK":
        return reply[1:]
    if word == "STORE_UNINITIALISED":
        raise StoreUninitialised(
            "the store has no meta or pause record: it is not an empty queue. Restore its data, or "
            "let `sluicegate doctor` say what is missing."
        )
    if word == "STORE_VERSION":
        raise StoreVersionMismatch(
            f"the store has schema version {reply[1]}, which this version does not know"
        )
    return reply


async def _send(connection: AbstractConnection, *words: Any) -> Any:
    await _write(connection, *words)
    return await connection.read_response()


async def _write(connection: AbstractConnection, *words: Any) -> None:
    # hiredis packs in C; redis-py's own packing takes longer than the round trip of a small call.
    await connection.send_packed_command(hiredis.pack_command(words), check_health=False)


async def _pipeline(connection: AbstractConnection, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Every reply is read, errors too: one left behind would answer the connection's next call."""
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    replies: list[Any] = []
    for _ in commands:
        try:
            replies.append(await connection.read_response())
        except redis_errors.ResponseError as error:
            replies.append(error)
    return replies


def _server_error(error: redis_errors.ResponseError) -> Exception:
    text = str(error)
    if isinstance(error, redis_errors.OutOfMemoryError) or text.startswith("OOM"):
        return Busy("the store is at its `maxmemory`; nothing was accepted", code="queue_full")
    if isinstance(
        error, redis_errors.BusyLoadingError | redis_errors.ReadOnlyError | redis_errors.AuthenticationError
    ):
        return StoreUnavailable(f"the store cannot serve: {text}")
    if isinstance(error, redis_errors.NoPermissionError):
        return StoreFault(f"the store's user may not do this, its rights are too few (deploy/redis): {text}")
    return StoreFault(f"the store refused a call: {text}")
