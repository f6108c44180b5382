"""One deployment from its start to its last process: the folder's lock, the front, the supervised rest."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import secrets
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import IO, Any, Final

from msgspec import Struct, structs

from sluicegate.dev.data_lock import DataLock
from sluicegate.dev.embedded_store import LOOPBACK, EmbeddedStore
from sluicegate.dev.front import Front
from sluicegate.dev.kept_store import KeptStore
from sluicegate.dev.own_secrets import admin_token, live_keys
from sluicegate.dev.plan import Plan
from sluicegate.dev.service_process import Service, ServiceProcess
from sluicegate.dev.supervisor import CONTROL, QUEUE_API, SWEEPER, WORKER, Supervisor
from sluicegate.errors import ConfigurationError, StoreUnavailable
from sluicegate.http.service import refuse_open_address
from sluicegate.log import get

log = get("sluicegate.dev")

READY_SECONDS: Final = 60.0
READY_POLL_SECONDS: Final = 0.02
WORKER_MARGIN_SECONDS: Final = 15.0
ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP too: a closed terminal must not leave the services without their supervisor."""
INTERRUPTED: Final = 128 + signal.SIGINT


class Running(Struct, frozen=True, kw_only=True):
    """A deployment whose /readyz is 200."""

    url: str
    redis_url: str
    pid: int
    plan: Plan


Session = Callable[[Running], Awaitable[int]]


class Deployment:
    """Runs a plan. output: where the services' logs go. chosen: which services, else those of the plan."""

    def __init__(self, plan: Plan, output: IO[bytes] | int, chosen: Sequence[Service] | None = None) -> None:
        self._plan = plan
        self._asked = asyncio.Event()
        self._asked_again = asyncio.Event()
        self._session_key = secrets.token_urlsafe(48)
        self.store: KeptStore | None = None
        if plan.redis_url is None:
            self.store = KeptStore(EmbeddedStore(plan.data_dir, extra_config=plan.store_config))
        self._supervisor = Supervisor(
            self.store,
            [ServiceProcess(each, self._environment, output) for each in chosen or services(plan)],
        )
        self._front = Front(self._supervisor.services)

    @property
    def services(self) -> Mapping[str, ServiceProcess]:
        return self._supervisor.services

    async def run(self, session: Session) -> int:
        """Start everything, run `session` once all is ready, end everything; the exit status.

        The status is the session's, or 0 when a signal ended it before. A second signal ends everything at
        once. Raises ConfigurationError (settings, the port, a folder in use), StoreUnavailable,
        CrashLoopError; nothing is left running then either.
        """
        plan = self._plan
        await refuse_open_address(plan.server, plan.server.host)
        with self._folder(), self._signals():
            async with self._front.serving(plan.server.host, plan.port) as port:
                try:
                    status = await self._until_over(self._work(port, session))
                finally:
                    await self._end()
        return INTERRUPTED if self._asked_again.is_set() else status

    async def _work(self, port: int, session: Session) -> int:
        await self._supervisor.start()
        await self._ready()
        url = f"http://{_in_url(self._plan.server.host)}:{port}"
        return await session(Running(url=url, redis_url=self._redis_url(), pid=os.getpid(), plan=self._plan))

    async def _ready(self) -> None:
        """Return once every service is ready. Raises StoreUnavailable with the reasons of the others."""
        reasons: dict[str, str] = {}
        try:
            async with asyncio.timeout(READY_SECONDS):
                while True:
                    reasons = await self._front.not_ready()
                    if not reasons:
                        return
                    await asyncio.sleep(READY_POLL_SECONDS)
        except TimeoutError as error:
            why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise StoreUnavailable(f"not ready within {READY_SECONDS:g} s: {why}") from error

    async def _until_over(self, work: Coroutine[Any, Any, int]) -> int:
        """The work's result; 0 when a signal comes first. Raises what nobody can restart."""
        session = asyncio.create_task(work, name="session")
        asked = asyncio.create_task(self._asked.wait(), name="asked to stop")
        broken = asyncio.create_task(self._supervisor.failure(), name="beyond repair")
        try:
            await asyncio.wait((session, asked, broken), return_when=asyncio.FIRST_COMPLETED)
            if broken.done():
                raise broken.result()
            return session.result() if session.done() else 0
        finally:
            for each in (session, asked, broken):
                each.cancel()
            await asyncio.gather(session, asked, broken, return_exceptions=True)

    async def _end(self) -> None:
        seconds = self._plan.worker_shutdown_seconds if self._plan.worker else 0
        log.info("dev_stopping", running_jobs_have_seconds=seconds)
        stop = asyncio.create_task(self._supervisor.stop(), name="stop")
        again = asyncio.create_task(self._asked_again.wait(), name="asked again")
        await asyncio.wait((stop, again), return_when=asyncio.FIRST_COMPLETED)
        if again.done():
            await self._supervisor.stop_now()
        again.cancel()
        await asyncio.gather(stop, again, return_exceptions=True)

    def _environment(self) -> Mapping[str, str]:
        own = {"SLUICEGATE_REDIS_URL": self._redis_url()}
        if self._plan.needs_admin:
            own["SLUICEGATE_BOOTSTRAP_ADMIN_TOKEN"] = admin_token(self._plan.data_dir)
        if not self._plan.server.live_keys:
            own["SLUICEGATE_LIVE_KEYS"] = live_keys(self._plan.data_dir)
        if self._plan.server.session_key is None:
            own["SLUICEGATE_SESSION_KEY"] = self._session_key  # behind one address a session is one for all
        return {**self._plan.environment, **own}

    def _redis_url(self) -> str:
        return self.store.store.url if self.store is not None else str(self._plan.redis_url)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[None]:
        """Hold the data folder; ConfigurationError when another dev does, or it cannot be written."""
        folder = self._plan.data_dir
        with DataLock(folder / "dev.lock") as lock:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                acquired = lock.acquire()
            except OSError as error:
                raise ConfigurationError(
                    f"the data folder {folder} cannot be used: {error.strerror}"
                ) from error
            if not acquired:
                raise ConfigurationError(
                    f"another `sluicegate dev` (process {lock.holder()}) uses {folder}; "
                    "end it, or give this one a folder of its own with --data-dir"
                )
            lock.name_holder(os.getpid())
            yield

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in ENDING:
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number in ENDING:
                loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        (self._asked_again if self._asked.is_set() else self._asked).set()


def services(plan: Plan) -> list[Service]:
    """The services of a plan, the worker with the time that its jobs are given to end."""
    chosen = [QUEUE_API, CONTROL, SWEEPER]
    if plan.worker:
        seconds = plan.worker_shutdown_seconds + WORKER_MARGIN_SECONDS
        chosen.append(structs.replace(WORKER, stop_seconds=seconds))
    return chosen


def _in_url(host: str) -> str:
    """The host as a browser on this machine reaches it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or LOOPBACK
    if address.is_unspecified:
        return LOOPBACK
    return f"[{address}]" if address.version == 6 else str(address)
