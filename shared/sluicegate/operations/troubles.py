"""What is wrong, the worst first: judged from what was read, by thresholds from the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Final, Literal, TypeVar
from urllib.parse import urlencode

from msgspec import Struct

from sluicegate.model import Counts, LiveControl, NarrowPause, SystemState
from sluicegate.operations import reasons
from sluicegate.pauses import name_of, names_of
from sluicegate.store.workers import SILENT_SECONDS
from sluicegate.times import from_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from sluicegate.settings import ControlSettings
    from sluicegate.store.server_health import ServerHealth
    from sluicegate.store.signs import Run, Signs, Waiting
    from sluicegate.store.standing import LiveWorker
    from sluicegate.store.workers import Presence

T = TypeVar("T")
Level = Literal["bad", "soon"]
LATE_SECONDS: Final = 10.0
MOST_OF_A_KIND: Final = 3
"""More of one kind are told in one line."""


class Trouble(Struct, frozen=True, kw_only=True):
    """One line. level: `bad` needs somebody now, `soon` may. word: what it is called.

    act, href: where one acts, when that is a page.
    """

    level: Level
    word: str
    text: str
    since: str | None = None
    act: str | None = None
    href: str | None = None


class Sight(Struct, frozen=True, kw_only=True):
    """All that is judged. live: workers with what they take. held: what operators want of runs at rest, by
    job. runs: what workers run, by job. died: dead letters of the last hour.
    """

    signs: Signs
    server: ServerHealth | None
    system: SystemState
    pauses: list[NarrowPause]
    counts: Counts
    workers: list[Presence]
    live: list[LiveWorker]
    held: dict[str, LiveControl]
    runs: dict[str, Run]
    died: int


def of(sight: Sight, settings: ControlSettings) -> list[Trouble]:
    """The worst first; of each level those that last longest."""
    found = [
        *_store(sight, settings),
        *_stale(sight, settings),
        *_gone(sight, settings),
        *_unclaimable(sight, settings),
        *_unobeyed(sight, settings),
        *_stuck(sight),
        *_slow(sight, settings),
        *_undelivered(sight, settings),
        *_persons(sight, settings),
        *_dead(sight, settings),
        *_full(sight, settings),
        *_pauses(sight, settings),
        *_waiting(sight, settings),
    ]
    return sorted(found, key=lambda each: each.level != "bad")  # stable: in the order of above


UNSAFE: Final = {
    "eviction": "The server may delete jobs when it is full: set its maxmemory-policy to noeviction.",
    "append_write": "The server could not append to its log when it tried last: look at its disk.",
    "snapshot_write": "The server could not save its data when it tried last: look at its disk.",
    "fsync": "It writes less to disk than SLUICEGATE_DURABILITY says: set appendonly and appendfsync always.",
}
"""By the check of the server that fails. One without a log is what `relaxed` allows."""


def _store(sight: Sight, settings: ControlSettings) -> Iterator[Trouble]:
    server = sight.server
    if server is None:
        return
    for check, text in UNSAFE.items():
        if server.unsafe.get(check):
            yield Trouble(level="bad", word="Store unsafe", text=text)
    if not server.max_memory_bytes:
        return
    share, most = server.used_memory_bytes / server.max_memory_bytes, settings.max_memory_share
    if share >= most * settings.warn_near_share:
        over = share > most
        text = f"It uses {share:.0%} of its memory; past {most:.0%} new jobs are refused."
        yield Trouble(
            level="bad" if over else "soon", word="Store full" if over else "Store fills", text=text
        )


def _stale(sight: Sight, settings: ControlSettings) -> Iterator[Trouble]:
    """Leases that nobody took back: for lack of a sweeper, or since everything is paused (P-4)."""
    before = sight.signs.now_ms - int(settings.warn_stale_seconds * 1000)
    stale = [each for each in sight.signs.unheld if each.expires_ms <= before]
    paused = sight.system.workers_paused
    why = "nobody ends it while all is paused" if paused else "no sweeper takes it back"
    number = max(sight.counts.stale_running, len(stale))
    if len(stale) > MOST_OF_A_KIND:
        first = min(stale, key=lambda each: each.expires_ms)
        text = f"The leases of {number:,} jobs ran out, the first one of {first.worker_id}, and {why}."
        yield Trouble(
            level="bad", word="Stale", text=text,
            since=to_rfc3339(first.expires_ms), act="See them", href="/jobs?status=running",
        )  # fmt: skip
        return
    for each in stale:
        yield Trouble(
            level="bad", word="Stale", text=f"The lease of {each.worker_id} ran out, and {why}.",
            since=to_rfc3339(each.expires_ms), act="Look at the job", href=f"/jobs/{each.job_id}",
        )  # fmt: skip


def _gone(sight: Sight, settings: ControlSettings) -> Iterator[Trouble]:
    """Workers that are not heard of, and whose leases have not run out yet."""
    now, by_worker = sight.signs.now_ms, dict[str, list[str]]()
    heard: dict[str, int | None] = {}
    for each in sight.signs.unheld:
        if each.expires_ms > now:
            by_worker.setdefault(each.worker_id, []).append(each.job_id)
            heard[each.worker_id] = each.heard_ms or each.started_ms
    for worker_id, jobs in _first(by_worker.items()):
        query = urlencode({"status": "running", "claimedBy": worker_id})
        since = heard[worker_id]
        yield Trouble(
            level="bad", word="Worker gone",
            text=f"{worker_id} is not heard of, and holds {_jobs(len(jobs))} until the leases run out.",
            since=to_rfc3339(since) if since else None,
            act="Look at the job" if len(jobs) == 1 else "See its jobs",
            href=f"/jobs/{jobs[0]}" if len(jobs) == 1 else f"/jobs?{query}",
        )  # fmt: skip
    words = "workers that hold jobs are not heard of."
    yield from _rest(by_worker, "bad", "Worker gone", words, "See them", "/jobs?status=running")


def _unclaimable(sight: Sight, settings: ControlSettings) -> Iterator[Trouble]:
    """What waits and nobody could run, by what is missing (Q-19)."""
    found: dict[str, list[Waiting]] = {}
    for each in _older(sight, settings.warn_unclaimable_seconds):
        lacking = reasons.of_workers(each.lane, sight.live)
        if lacking:
            found.setdefault("; ".join(reason.message for reason in lacking), []).append(each)
    for message, waiting in _first(found.items()):
        types = sorted({each.lane.type for each in waiting})
        yield Trouble(
            level="bad", word="Nobody can run it",
            text=f"{_number(waiting)} of {_types(types)}: {message}.",
            since=to_rfc3339(min(each.since_ms for each in waiting)),
            act="See what waits", href=_queued(types),
        )  # fmt: skip
    words = "kinds of jobs lack a worker."
    yield from _rest(found, "bad", "Nobody can run it", words, "See what waits", "/jobs?status=queued")


def _waiting(sight: Sight, settings: ControlSettings) -> Iterator[Trouble]:
    """What a worker could run, and none came to; not what a pause holds back, which says so itself."""
    if sight.system.workers_paused:
        return
    paused = {name_of(each.scope, each.value) for each in sight.pauses}
    late = [
        each
        for each in _older(sight, settings.warn_waiting_seconds)
        if not paused & set(names_of(each.lane.text)) and not reasons.of_workers(each.lane, sight.live)
    ]
    if late:
        types = sorted({each.lane.type for each in late})
        yield Trouble(
            level="soon", word="Waits long",
            text=f"{_number(late)} of {_types(types)}: too few workers, or a limit.",
            since=to_rfc3339(min(each.since_ms for each in late)),
            act="See what waits", href=_queued(types),
        )  # fmt: skip


def _undelivered(sight: Sight, settings: ControlSettings) -> Iterator[Trouble]:
    due = sight.signs.due_ms
    if sight.system.workers_paused or due is None:
        return
    if sight.signs.now_ms - due >= settings.warn_stale_seconds * 1000:
        yield Trouble(
            level="bad", word="No sweeper", text="A job whose time has come is not put into its lane.",
            since=to_rfc3339(due), act="See what waits", href="/jobs?status=queued",
        )  # fmt: skip


def _pauses(sight: Sight, settings: ControlSettings) -> Iterator[Trouble]:
    system, act = sight.system, {"act": "Resume", "href": "/pauses"}
    if system.workers_paused and _lasts(sight, system.requested_at, settings.warn_pause_seconds):
        text = f"All workers, by {system.requested_by_user_id}: {_short(system.reason)}"
        yield Trouble(level="bad", word="Paused long", text=text, since=system.requested_at, **act)
    long = [each for each in sight.pauses if _lasts(sight, each.requested_at, settings.warn_pause_seconds)]
    for each in long[:MOST_OF_A_KIND]:
        text = (
            f"{each.scope.capitalize()} {each.value}, by {each.requested_by_user_id}: {_short(each.reason)}"
        )
        yield Trouble(level="soon", word="Paused long", text=text, since=each.requested_at, **act)
    yield from _rest(long, "soon", "Paused long", "narrower pauses.", **act)


def _unobeyed(sight: Sight, settings: ControlSettings) -> Iterator[Trouble]:
    """A quiesce of all workers, or of one, that running jobs have not obeyed (P-11)."""
    quiesced = {
        each.value: each.updated_at
        for each in sight.pauses
        if each.scope == "worker" and each.mode == "quiesce"
    }
    late: list[tuple[str, str, str | None]] = []
    for worker in sight.workers:
        asked = quiesced.get(worker.worker_id)
        if sight.system.workers_paused and sight.system.mode == "quiesce":
            asked = sight.system.updated_at
        if _lasts(sight, asked, settings.warn_quiesce_seconds):
            late += [(job, worker.worker_id, asked) for job in worker.jobs if job not in worker.paused_jobs]
    if len(late) > MOST_OF_A_KIND:
        yield Trouble(
            level="bad", word="Quiesce not obeyed",
            text=f"{len(late):,} jobs have not come to a checkpoint.", since=late[0][2],
            act="See who holds it up", href="/pauses",
        )  # fmt: skip
        return
    for job_id, worker_id, asked in late:
        yield Trouble(
            level="bad", word="Quiesce not obeyed",
            text=f"A job of {worker_id} has not come to a checkpoint.", since=asked,
            act="Look at the job", href=f"/jobs/{job_id}",
        )  # fmt: skip


def _stuck(sight: Sight) -> Iterator[Trouble]:
    """Steps that failed alike with the same changes, and are tried again (H-1)."""
    stuck = [(job_id, run) for job_id, run in sight.runs.items() if run.stuck]
    for job_id, run in stuck[:MOST_OF_A_KIND]:
        yield Trouble(
            level="soon", word="No progress",
            text=f"Step {run.step_id} failed the same way again; attempt {run.step_attempt} is on.",
            since=run.started_at, act="Look at the job", href=f"/jobs/{job_id}",
        )  # fmt: skip
    words = "steps failed the same way again."
    yield from _rest(stuck, "soon", "No progress", words, "See the workers", "/workers")


def _slow(sight: Sight, settings: ControlSettings) -> Iterator[Trouble]:
    """Commands of steps that are silent, or run, for nearly as long as they may, or longer (H-1).

    A worker tells at once that a silence has ended: until then it goes on. The clocks of what is held stand
    still.
    """
    found: list[tuple[float, Trouble]] = []
    for worker in sight.workers:
        passed = (sight.signs.now_ms - from_rfc3339(worker.last_seen)) / 1000 if worker.last_seen else 0.0
        for each in worker.clocks:
            if each.job_id in worker.paused_jobs:
                continue
            silent = each.silent_seconds + passed if each.silent_seconds >= SILENT_SECONDS else 0.0
            for word, seconds, most in (
                ("Silent", silent, each.most_silent_seconds),
                ("Runs long", each.ran_seconds + passed, each.most_ran_seconds),
            ):
                if most and seconds >= most * settings.warn_near_share:
                    found.append((seconds / most, _over(sight, each.job_id, word, seconds, most)))
                    break
    found.sort(key=lambda each: -each[0])
    yield from (trouble for _, trouble in found[:MOST_OF_A_KIND])
    yield from _rest(found, "soon", "Silent", "steps are near their limits.", "See the workers", "/workers")


def _over(sight: Sight, job_id: str, word: str, seconds: float, most: float) -> Trouble:
    """LATE_SECONDS: a worker ends what is over its limit, and tells of it, a moment later."""
    run, over = sight.runs.get(job_id), seconds >= most + LATE_SECONDS
    step = f"Step {run.step_id}" if run and run.step_id else "A step"
    what = "is ended as stuck" if word == "Silent" else "is ended"
    return Trouble(
        level="bad" if over else "soon", word=word,
        text=f"{step} {'should have been ended' if over else what} after {most:g} s.",
        since=to_rfc3339(round((sight.signs.now_ms - seconds * 1000) / 1000) * 1000),
        act="Look at the job", href=f"/jobs/{job_id}",
    )  # fmt: skip


def _persons(sight: Sight, settings: ControlSettings) -> Iterator[Trouble]:
    """Runs that stand still since an operator holds them, longest first."""
    held = [
        (job_id, control)
        for job_id, control in sight.held.items()
        if _lasts(sight, control.updated_at, settings.warn_person_seconds)
    ]
    for job_id, control in sorted(held, key=lambda each: each[1].updated_at or "")[:MOST_OF_A_KIND]:
        what = "has taken it over" if control.takeover else "has paused it"
        reason = f": {_short(control.reason)}" if control.reason else "."
        yield Trouble(
            level="soon", word="Waits for a person",
            text=f"{control.requested_by_user_id} {what}{reason}", since=control.updated_at,
            act="Resume the run", href=f"/jobs/{job_id}",
        )  # fmt: skip
    words = "runs are held by operators."
    yield from _rest(held, "soon", "Waits for a person", words, "See the workers", "/workers")


def _dead(sight: Sight, settings: ControlSettings) -> Iterator[Trouble]:
    number, most = sight.counts.dead_letter, settings.retention_max_dead_letters
    act = {"act": "See their causes", "href": "/dead-letters"}
    if number >= most * settings.warn_near_share:
        text = f"{number:,} of {most:,} that are kept; past it the oldest are removed."
        yield Trouble(
            level="bad", word="Dead letters full" if number >= most else "Dead letters fill", text=text, **act
        )
    if sight.died >= settings.warn_dead_letters_per_hour and number:
        text = f"{sight.died:,} more in the last hour, {number:,} all together."
        yield Trouble(level="soon", word="Dead letters", text=text, **act)


def _full(sight: Sight, settings: ControlSettings) -> Iterator[Trouble]:
    number, most = sight.counts.queued + sight.counts.delayed, settings.max_queued
    if number >= most * settings.warn_near_share:
        full = number >= most
        yield Trouble(
            level="bad" if full else "soon", word="Queue full" if full else "Queue fills",
            text=f"{number:,} of {most:,} jobs wait; past it new ones are refused.",
            act="See what waits", href="/jobs?status=queued",
        )  # fmt: skip


def _lasts(sight: Sight, since: str | None, seconds: float) -> bool:
    return since is not None and sight.signs.now_ms - from_rfc3339(since) >= seconds * 1000


def _older(sight: Sight, seconds: float) -> list[Waiting]:
    return [each for each in sight.signs.waiting if sight.signs.now_ms - each.since_ms >= seconds * 1000]


def _first(found: Iterable[T]) -> list[T]:
    return list(found)[:MOST_OF_A_KIND]


def _rest(found: Sized, level: Level, word: str, words: str, act: str, href: str) -> Iterator[Trouble]:
    """One line for those that `_first` leaves out. words: what follows their number."""
    if (more := len(found) - MOST_OF_A_KIND) > 0:
        yield Trouble(level=level, word=word, text=f"{more} more {words}", act=act, href=href)


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number:,} jobs"


def _number(waiting: Iterable[Waiting]) -> str:
    return _jobs(sum(each.number for each in waiting))


def _types(types: Sequence[str]) -> str:
    named = ", ".join(types[:3])
    return f"type {named}" if len(types) == 1 else f"types {named}{', ...' if len(types) > 3 else ''}"


def _queued(types: Sequence[str]) -> str:
    query = {"status": "queued"} | ({"type": types[0]} if len(types) == 1 else {})
    return f"/jobs?{urlencode(query)}"


def _short(text: str | None) -> str:
    text = " ".join((text or "").split())
    return text if len(text) <= 120 else f"{text[:119]}…"
