"""The life of a service process: settings, logs, serve, and one clear line when it cannot start."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import uvloop
from prometheus_client import CollectorRegistry, start_http_server

from sluicegate import log, tracing
from sluicegate.errors import ConfigurationError, Forbidden, StoreError, Unauthenticated
from sluicegate.metrics import describe_process
from sluicegate.settings import Settings, SweeperSettings, WorkerSettings, load, unknown_variables

S = TypeVar("S", bound=Settings)


def run(name: str, kind: type[S], serve: Callable[[S], Coroutine[Any, Any, None]]) -> int:
    """Load the settings, serve until done; the exit status. What keeps it from starting is one line."""
    gc.freeze()  # what was imported stays: no collection looks at it again, above all not those at the end
    try:
        settings = load(kind)
        log.configure(name, settings.log_level)
        for variable in unknown_variables():
            log.log.warning("settings.unknown_variable", name=variable)
        uvloop.run(_traced(name, settings, serve))
    except (ConfigurationError, StoreError, Unauthenticated, Forbidden) as error:
        print(error.detail, file=sys.stderr)  # noqa: T201 - the last word to whoever started it
        return 1
    return 0


async def _traced(name: str, settings: S, serve: Callable[[S], Coroutine[Any, Any, None]]) -> None:
    async with tracing.during(settings, name):
        await serve(settings)


@contextlib.contextmanager
def metrics_page(
    settings: WorkerSettings | SweeperSettings, registry: CollectorRegistry
) -> Iterator[tuple[str, int]]:
    """Serve /metrics from a thread, for processes that serve nothing else; yields host and port."""
    host, port = settings.metrics_host, settings.metrics_port
    describe_process(registry)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise ConfigurationError(
            f"/metrics cannot be served on SLUICEGATE_METRICS_HOST={host!r}, SLUICEGATE_METRICS_PORT={port}: "
            f"{error.strerror}; port 0 takes a free one"
        ) from error
    bound = str(server.server_address[0]), int(server.server_port)
    log.log.info("metrics.listening", host=bound[0], port=bound[1])
    try:
        yield bound
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.asynccontextmanager
async def until_signalled() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM or SIGINT sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
