"""The way of workers on other machines: everything through the API, with a URL and a token."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final, Literal, Self, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from sluicegate.client import http_files
from sluicegate.client.http_connection import HttpConnection
from sluicegate.errors import (
    ConfigurationError,
    Invalid,
    NotFound,
    OutcomeUnknown,
    RequestError,
    SluicegateError,
    StoreError,
    TooLarge,
)
from sluicegate.model import Job, LiveControl, OperatorMessage, Policy
from sluicegate.operations import calls, kept_work, live_sessions, presence, terminals
from sluicegate.operations.answers import Listed
from sluicegate.settings import WorkerSettings
from sluicegate.store.claims import Lease, Renewal, Wishes
from sluicegate.store.control_feed import Control
from sluicegate.store.controls import Matter, Outcome
from sluicegate.store.endings import Cancelled, Ending
from sluicegate.store.events import Append
from sluicegate.store.live_sessions import Known
from sluicegate.store.shelves import Artifact, StepCheckpoint
from sluicegate.store.terminals import Piece, Shown, Typed
from sluicegate.store.workers import Presence
from sluicegate.worker.transports import Found, LiveReport, wire
from sluicegate.worker.transports.pushed_controls import PushedControls

JOBS: Final = "/api/queue/jobs"
WORKERS: Final = "/api/queue/workers"
ANSWER_SECONDS: Final = 15.0
"""A call whose answer takes longer is given up, and repeated by whoever made it."""
OUTAGE_SECONDS: Final = 600.0
"""So long an attempt asks for what it needs while nothing answers: an outage costs time, no attempt."""
UNHEARD_SECONDS: Final = 0.2
"""So long after it hung up, the server has taken back what it could not hand over."""
WAIT_SECONDS: Final = 30.0
"""The longest that the server lets a claim wait."""

TYPED_PAUSE_SECONDS: Final = 0.2
"""Between two connections to hear what is typed: somebody is waiting for an echo."""

T = TypeVar("T")


class HttpTransport:
    """A worker with a URL and a token. One per event loop.

    Calls of the worker's own loops are made once: those loops back off and repeat them. What an attempt asks
    for is asked again until it is answered, for OUTAGE_SECONDS; all of it may be repeated.
    """

    name: Literal["redis", "http"] = "http"

    def __init__(self, settings: WorkerSettings, worker_id: str | None = None) -> None:
        self._settings = settings
        self.worker_id = worker_id or settings.identity
        self._known = worker_id is not None
        self._connection = HttpConnection(
            settings.address,
            settings.credential(),
            timeout_seconds=ANSWER_SECONDS,
            retry_seconds=0.0,
            reconnect_seconds=0.0,
            worker=True,
        )
        self._controls: PushedControls | None = None
        self._woken = asyncio.Event()

    def sibling(self) -> Self:
        return type(self)(self._settings, self.worker_id)

    async def open(self) -> None:
        await self._connection.open()
        if self._known:
            return
        try:
            self.worker_id = await self._named_by_token() or self.worker_id
        except BaseException:
            await self.close()
            raise
        self._known = True

    async def close(self) -> None:
        if self._controls is not None:
            await self._controls.stop()
        await self._connection.close()

    async def claim(
        self, policy: Policy, *, lease_ms: int, limit: int, request_id: str, wait_seconds: float
    ) -> Found:
        """Woken, it hangs up, and asks once more what its request got: jobs may have been on their way."""
        self._woken.clear()
        call = calls.ClaimCall(
            worker_id=self.worker_id,
            lease_seconds=lease_ms / 1000,
            allowed_types=None if policy.types is None else list(policy.types),
            allowed_repositories=None if policy.repositories is None else list(policy.repositories),
            worker_capabilities=list(policy.capabilities),
            wait_seconds=min(wait_seconds, WAIT_SECONDS),
            max_jobs=limit,
            request_id=request_id,
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        asked = asyncio.create_task(self._claimed(call), name="claim")
        woken = asyncio.create_task(self._woken.wait(), name="claim woken")
        try:
            await asyncio.wait((asked, woken), return_when=asyncio.FIRST_COMPLETED)
            hung_up = not asked.done()
        finally:
            for task in (asked, woken):
                task.cancel()
            await asyncio.wait((asked, woken))
        if hung_up:
            found = await self._claimed_before(call)
        else:
            found = asked.result()
        attempts = [wire.RemoteAttempt(job, self.worker_id) for job in found.jobs]
        return Found(attempts, found.system, loop.time() - began, found.pause)

    def wake(self) -> None:
        self._woken.set()

    async def renew(self, leases: Sequence[Lease]) -> Renewal:
        items: list[Wishes | RequestError] = []
        for part in _parts(leases, 100):
            call = calls.HeartbeatManyCall(
                worker_id=self.worker_id,
                lease_seconds=part[0].lease_ms / 1000,
                jobs=[calls.HeldJob(id=lease.job_id, lease_token=str(lease.token)) for lease in part],
            )
            renewed = await self._post(f"{JOBS}/heartbeat", call, wire.Renewed)
            items += [wire.wishes(item) for item in renewed.items]
            system, pauses = renewed.system, renewed.pauses
        return Renewal(items, system, 0, pauses)

    async def settle(self, endings: Sequence[Ending]) -> list[RequestError | None]:
        outcomes: list[RequestError | None] = [None] * len(endings)
        finished = [at for at, ending in enumerate(endings) if not isinstance(ending, Cancelled)]
        for places in _parts(finished, 100):
            refusals = await _judged([wire.ended(endings[at]) for at in places], self._finish)
            for at, refusal in zip(places, refusals, strict=True):
                outcomes[at] = refusal
        for at, ending in enumerate(endings):
            if isinstance(ending, Cancelled):
                outcomes[at] = await self._acknowledge(ending)
        return outcomes

    async def append_events(self, appends: Sequence[Append]) -> list[RequestError | None]:
        outcomes: list[RequestError | None] = []
        for part in _parts([wire.reported(each) for each in appends], 500):
            outcomes += await _judged(part, self._append)
        return outcomes

    async def watch(self, deliver: Callable[[Control], None]) -> None:
        path = f"{WORKERS}/controls?workerId={quote(self.worker_id, safe='')}"
        self._controls = PushedControls(self._connection, path, deliver)
        await self._controls.start()

    async def answer_control(
        self, job_id: str, token: int, what: Matter, request_id: str, outcome: Outcome, message: str | None
    ) -> LiveControl | None:
        call = calls.ControlAnswer(
            worker_id=self.worker_id,
            lease_token=str(token),
            what=what,
            request_id=request_id,
            outcome=outcome,
            message=message,
        )
        path = f"{JOBS}/{job_id}/controls/answer"
        return wire.live_control(await self._post(path, call, Job, retry_seconds=OUTAGE_SECONDS))

    async def messages(self, job_id: str, after: str | None) -> tuple[list[OperatorMessage], str | None]:
        query = f"?cursor={quote(after, safe='')}&limit=200" if after else "?limit=200"
        page = await self._get(f"{JOBS}/{job_id}/operator-messages{query}", Listed[OperatorMessage])
        return page.items, page.next_cursor

    async def report_live(self, job_id: str, token: int, report: LiveReport) -> Known | None:
        ways = report.ways
        call = live_sessions.ReportCall(
            worker_id=self.worker_id,
            lease_token=str(token),
            status=report.status,
            worker_hostname=socket.gethostname(),
            provider=report.provider,
            attach_ro=ways.attach_ro,
            attach_rw=ways.attach_rw,
            web_ro=ways.web_ro,
            web_rw=ways.web_rw,
            tmate_session_name=ways.tmate_session,
            tmate_socket_path=ways.tmate_socket,
            error_message=report.error,
        )
        return await self._live(f"{JOBS}/{job_id}/live-session/report", call)

    async def renew_live(self, job_id: str, token: int) -> Known | None:
        call = live_sessions.RenewCall(worker_id=self.worker_id, lease_token=str(token))
        return await self._live(f"{JOBS}/{job_id}/live-session/heartbeat", call)

    async def _live(self, path: str, call: Struct) -> Known | None:
        try:
            answer = await self._post(path, call, live_sessions.WorkerSessionAnswer)
        except NotFound as error:
            if error.code == "live_session_not_found":
                return None
            raise
        return live_sessions.known(answer)

    async def save_step(self, job_id: str, token: int, checkpoint: StepCheckpoint) -> None:
        step = msgspec.convert(msgspec.to_builtins(checkpoint), kept_work.FinishedStep)
        call = kept_work.StepCall(worker_id=self.worker_id, lease_token=str(token), step=step)
        await self._post(f"{JOBS}/{job_id}/steps", call, StepCheckpoint, retry_seconds=OUTAGE_SECONDS)

    async def steps(self, job_id: str) -> list[StepCheckpoint]:
        return (await self._get(f"{JOBS}/{job_id}/steps", wire.StepList)).items

    async def state_fact(self, job_id: str, token: int, name: str, value: str) -> str:
        return (await self._keep_fact(job_id, token, name, value, replace=False)).value

    async def change_fact(self, job_id: str, token: int, name: str, value: str) -> None:
        await self._keep_fact(job_id, token, name, value, replace=True)

    async def facts(self, job_id: str) -> dict[str, str]:
        known = await self._get(f"{JOBS}/{job_id}/facts", wire.FactList)
        return {fact.name: fact.value for fact in known.items}

    async def drop_steps(self, job_id: str, token: int, first: int) -> None:
        call = kept_work.DropStepsCall(worker_id=self.worker_id, lease_token=str(token), first=first)
        path = f"{JOBS}/{job_id}/steps/drop"
        await self._post(path, call, kept_work.DroppedSteps, retry_seconds=OUTAGE_SECONDS)

    async def put_artifact(
        self, job_id: str, token: int, name: str, content: bytes | Path, content_type: str
    ) -> Artifact:
        fields = {
            "name": name,
            "workerId": self.worker_id,
            "leaseToken": str(token),
            "contentType": content_type,
        }
        with _understood():
            answer = await http_files.upload(
                self._connection,
                f"{JOBS}/{job_id}/artifacts/upload",
                fields,
                content,
                retry_seconds=OUTAGE_SECONDS,
            )
            return msgspec.json.decode(answer, type=Artifact)

    async def get_artifact(self, artifact: Artifact, target: Path) -> None:
        path = f"{JOBS}/{artifact.job_id}/artifacts/{artifact.id}/download"
        with _understood():
            await http_files.download(
                self._connection, path, target, digest=artifact.digest, retry_seconds=OUTAGE_SECONDS
            )

    async def artifacts(self, job_id: str) -> list[Artifact]:
        with _understood():
            return await http_files.listing(
                self._connection, f"{JOBS}/{job_id}/artifacts", retry_seconds=OUTAGE_SECONDS
            )

    async def show_terminal(self, job_id: str, token: int, pieces: Sequence[Piece], typed: str) -> Shown:
        call = terminals.ShowCall(
            worker_id=self.worker_id,
            lease_token=str(token),
            pieces=[terminals.piece(each) for each in pieces],
            typed=typed or None,
        )
        return wire.shown(await self._post(f"{JOBS}/{job_id}/terminal", call, terminals.ShowAnswer))

    async def hear_typed(self, job_id: str, token: int, place: str, deliver: Callable[[Typed], None]) -> None:
        path = f"{JOBS}/{job_id}/terminal/typed?workerId={quote(self.worker_id, safe='')}&leaseToken={token}"
        while True:
            with contextlib.suppress(SluicegateError, msgspec.DecodeError):
                async with aclosing(self._connection.stream(path, after=None, last_id=place)) as messages:
                    async for message in messages:
                        if message.event == "terminal.typed" and message.id:
                            place = message.id
                            deliver(wire.typed(message.id, message.data))
            await asyncio.sleep(TYPED_PAUSE_SECONDS)

    async def announce(self, here: Presence) -> None:
        fields = msgspec.structs.asdict(here)
        del fields["transport"], fields["last_seen"]
        await self._post(f"{WORKERS}/presence", presence.PresenceCall(**fields), Presence)

    async def depart(self) -> None:
        call = presence.DepartCall(worker_id=self.worker_id)
        await self._post(f"{WORKERS}/depart", call, presence.Departed)

    async def _named_by_token(self) -> str | None:
        """The worker that the token belongs to; None where anybody may be any worker."""
        content = await self._connection.call("GET", f"{WORKERS}/me")
        try:
            named = msgspec.json.decode(content, type=presence.Credential).worker_id
        except msgspec.DecodeError as error:
            address = self._connection.address
            raise ConfigurationError(f"{address} is not the address of a Sluicegate server") from error
        chosen = self._settings.worker_id
        if named is not None and chosen not in (None, named):
            raise ConfigurationError(
                f"SLUICEGATE_WORKER_ID={chosen!r} is not the worker that the token belongs to: that is "
                f"{named!r}; unset it, or use that worker's token"
            )
        return named

    async def _keep_fact(
        self, job_id: str, token: int, name: str, value: str, *, replace: bool
    ) -> kept_work.Fact:
        call = kept_work.FactCall(
            worker_id=self.worker_id, lease_token=str(token), name=name, value=value, replace=replace
        )
        return await self._post(f"{JOBS}/{job_id}/facts", call, kept_work.Fact, retry_seconds=OUTAGE_SECONDS)

    async def _claimed(self, call: calls.ClaimCall) -> wire.Claimed:
        return await self._post(
            f"{JOBS}/claim", call, wire.Claimed, timeout_seconds=call.wait_seconds + ANSWER_SECONDS
        )

    async def _claimed_before(self, call: calls.ClaimCall) -> wire.Claimed:
        """What a call got whose answer was not waited for. Until that is known its outcome is not.

        The request is repeated for jobs of no type at all: it gets what it got before, and nothing else.
        """
        await asyncio.sleep(UNHEARD_SECONDS)
        try:
            return await self._claimed(msgspec.structs.replace(call, wait_seconds=0.0, allowed_types=[]))
        except StoreError as error:
            raise OutcomeUnknown(error.detail) from error

    async def _finish(self, jobs: Sequence[wire.Finished]) -> list[RequestError | None]:
        call = calls.FinishCall(worker_id=self.worker_id, jobs=list(jobs))
        return (await self._post(f"{JOBS}/finish", call, wire.Items)).refusals()

    async def _append(self, events: Sequence[calls.HeldEvent]) -> list[RequestError | None]:
        call = calls.AppendManyCall(worker_id=self.worker_id, events=list(events))
        return (await self._post(f"{JOBS}/events", call, wire.Items)).refusals()

    async def _acknowledge(self, ending: Cancelled) -> RequestError | None:
        call = calls.CancelAckCall(
            worker_id=self.worker_id,
            lease_token=str(ending.token),
            message=ending.message,
            receipt=ending.receipt,
        )
        try:
            await self._post(f"{JOBS}/{ending.job_id}/cancel/ack", call, Job)
        except RequestError as error:
            return error
        return None

    async def _post(
        self,
        path: str,
        call: Struct,
        kind: type[T],
        *,
        retry_seconds: float = 0.0,
        timeout_seconds: float | None = None,
    ) -> T:
        with _understood():
            answer = await self._connection.call(
                "POST",
                path,
                body=msgspec.json.encode(call),
                retry_seconds=retry_seconds,
                timeout_seconds=timeout_seconds,
            )
            return msgspec.json.decode(answer, type=kind)

    async def _get(self, path: str, kind: type[T]) -> T:
        with _understood():
            answer = await self._connection.call("GET", path, retry_seconds=OUTAGE_SECONDS)
            return msgspec.json.decode(answer, type=kind)


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """A server that fails, or something else that answers in its place, is a server that is away."""
    try:
        yield
    except (RequestError, StoreError):
        raise
    except (SluicegateError, msgspec.DecodeError) as error:
        raise OutcomeUnknown(str(error)) from error


async def _judged(
    items: Sequence[T], send: Callable[[Sequence[T]], Awaitable[list[RequestError | None]]]
) -> list[RequestError | None]:
    """Send together; one by one when a wrong one among them had the whole call refused."""
    try:
        return await send(items)
    except (Invalid, TooLarge) as error:
        if len(items) == 1:
            return [error]
    return [refusal for item in items for refusal in await _judged([item], send)]


def _parts(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
