"""Keeps the live session of an attempt: opens, reports, obeys, tears down; never harms the task (L-8, L-12).

What its record says is read anew with each version that a push or a heartbeat tells of. Times are the
store's: distances from when it last heard of us.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from services.worker.terminal.browser import Browser
from services.worker.terminal.provider import Provider, Providers
from services.worker.terminal.tmate import Tmate
from services.worker.terminal.tmux import Tmux
from sluicegate.errors import RequestError, SluicegateError, StoreError
from sluicegate.log import log
from sluicegate.model import LiveProvider
from sluicegate.store.live_sessions import Known
from sluicegate.worker.texts import storable
from sluicegate.worker.transports import LiveReport

if TYPE_CHECKING:
    from services.worker.task.run import TaskRun

PROVIDERS: Final[Providers] = {"browser": Browser, "tmate": Tmate, "tmux": Tmux}
RETRY_SECONDS: Final = 1.0
LAST_SECONDS: Final = 5.0
"""So long the end of an attempt waits for the word that its session has ended; then the sweeper ends it."""
LONGEST_REASON: Final = 1_000
"""Characters of it: a provider's program may have said a lot."""
ITS_TIME_IS_OVER: Final = "its time is over"


class Over(Exception):
    """The session is over. why: for people; empty where somebody else has ended it."""

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why


class LiveSession:
    """run: the task that it shows. The session that an operator asks for comes after one that is over."""

    def __init__(self, run: TaskRun, providers: Providers = PROVIDERS) -> None:
        self._run = run
        self._ctx = run.ctx
        self._job_id, self._token = run.ctx.job.id, run.ctx.lease_token
        self._providers = providers
        self._opened: dict[LiveProvider, Provider] = {}
        """One of each kind for the whole attempt, started anew for each session."""
        self._seen = 0
        self._tried = ""

    async def keep(self) -> None:
        """Until cancelled."""
        settings = self._ctx.settings
        if not settings.live_session_enabled:
            return
        kind = await self._asked()
        if kind is None and settings.live_session_provider == "browser":
            kind = "browser"
        while True:
            while kind is not None:
                await self._one(kind)
                kind = await self._asked()
            self._seen = await self._ctx.live.after(self._seen)
            kind = await self._asked()

    async def _asked(self) -> LiveProvider | None:
        """The kind of session that an operator wants of this attempt, if any; each is tried once."""
        if self._ctx.live.version == 0:
            return None
        known = await self._record()
        if known is None or known.session.status != "starting" or known.session.id == self._tried:
            return None
        if known.lease_token not in (None, self._token):
            return None
        self._tried = known.session.id
        return known.session.provider

    async def _one(self, kind: LiveProvider) -> None:
        """One session from its opening to its end; whatever goes wrong is its error and nobody else's."""
        report, patience = LiveReport("ended", kind), None
        try:
            await self._obey(kind, self._provider(kind))
        except Over as over:
            report = LiveReport("ended", kind, error=over.why or None)
        except asyncio.CancelledError:
            patience = LAST_SECONDS  # the end of the attempt waits
            raise
        except Exception as error:  # noqa: BLE001 - whatever a provider does, the task goes on
            said = storable(self._ctx.redactor, _in_words(error))[:LONGEST_REASON]
            report = LiveReport("error", kind, error=said)
            log.warning("worker.live.failed", job_id=self._job_id, provider=kind, error=error)
        finally:
            await self._end(kind, report, patience)

    def _provider(self, kind: LiveProvider) -> Provider:
        most = self._ctx.settings.live_session_max_per_worker
        if len(self._ctx.live_sessions) >= most:
            raise RuntimeError(f"its worker has {most} open (SLUICEGATE_LIVE_SESSION_MAX_PER_WORKER)")
        if kind not in self._providers:
            raise RuntimeError(f"its worker has no provider {kind}")
        self._ctx.live_sessions.add(self._job_id)
        if kind not in self._opened:
            self._opened[kind] = self._providers[kind](self._run)
        return self._opened[kind]

    async def _obey(self, kind: LiveProvider, provider: Provider) -> None:
        """Open it, then do what its record says. Raises Over."""
        limit = self._ctx.settings.live_session_ready_timeout_seconds
        if kind != "browser":  # which takes no time
            self._require_mine(await self._report(LiveReport("starting", kind)))
        try:
            async with asyncio.timeout(limit):
                ways = await provider.start()
        except TimeoutError as error:
            raise TimeoutError(f"it was not ready within {limit:g} s") from error
        known = self._require_mine(await self._report(LiveReport("ready", kind, ways)))
        over = 0
        """The end of the last grant that has been seen to."""
        while True:
            provider.look(known)
            granted = known.granted_until_ms if known.granted_until_ms != over else 0
            left = (min(granted or known.expires_ms, known.expires_ms) - known.heard_ms) / 1000
            await self._news(provider, left)
            known = self._require_mine(await self._record())
            if known.expires_ms <= known.heard_ms:
                raise Over(ITS_TIME_IS_OVER)
            if granted and known.granted_until_ms <= known.heard_ms:
                over = known.granted_until_ms
                if (ways_then := await provider.grant_over()) is not None:
                    known = self._require_mine(await self._report(LiveReport("ready", kind, ways_then)))

    async def _news(self, provider: Provider, seconds: float) -> None:
        """Until something has changed, at most so long. Raises what the provider has ended with."""
        news = asyncio.ensure_future(self._ctx.live.after(self._seen))
        ended = asyncio.ensure_future(provider.ended())
        try:
            await asyncio.wait((news, ended), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
            if news.done():
                self._seen = news.result()
        finally:
            news.cancel()
            ended.cancel()
            await asyncio.gather(news, ended, return_exceptions=True)

    def _require_mine(self, known: Known | None) -> Known:
        """The record, while it is that of a session of ours that is open."""
        if (
            known is None
            or known.lease_token != self._token
            or known.session.status not in ("starting", "ready")
        ):
            raise Over
        return known

    async def _end(self, kind: LiveProvider, report: LiveReport, patience: float | None) -> None:
        """Tear it down, then say so."""
        if kind in self._opened:
            try:
                await self._opened[kind].close()
            except Exception as error:  # noqa: BLE001 - as above
                log.error("worker.live.left", job_id=self._job_id, provider=kind, error=error)
        self._ctx.live_sessions.discard(self._job_id)
        if self._ctx.lost:
            return
        try:
            async with asyncio.timeout(patience):
                await self._report(report)
        except (RequestError, TimeoutError) as error:
            log.info("worker.live.end_unsaid", job_id=self._job_id, reason=_in_words(error))

    async def _report(self, report: LiveReport) -> Known | None:
        while True:
            try:
                known = await self._ctx.transport.report_live(self._job_id, self._token, report)
            except StoreError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if known is not None and known.lease_token == self._token:
                self._seen = max(self._seen, known.version)
            return known

    async def _record(self) -> Known | None:
        while True:
            try:
                return await self._ctx.transport.renew_live(self._job_id, self._token)
            except StoreError:
                await asyncio.sleep(RETRY_SECONDS)


@contextlib.asynccontextmanager
async def live_session(run: TaskRun, providers: Providers = PROVIDERS) -> AsyncIterator[None]:
    """Inside the block the task has a live session, as the settings and operators want it."""
    keeping = asyncio.create_task(
        _kept(LiveSession(run, providers)), name=f"live session of {run.ctx.job.id}"
    )
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _kept(session: LiveSession) -> None:
    try:
        await session.keep()
    except RequestError as error:  # the lease is lost, or the server knows of no live sessions
        log.info("worker.live.closed", code=error.code, detail=error.detail)


def _in_words(error: BaseException) -> str:
    if isinstance(error, SluicegateError):
        return error.detail
    return str(error) or type(error).__name__
