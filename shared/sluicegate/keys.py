"""The only catalogue of key names. `Q` stands for `{sg:<partition>}:`; a test holds the scripts to it.

Scripts build their keys from `KEYS[1]`, which is always `meta()`; Python builds the few that it reads itself.
"""

from __future__ import annotations

from typing import Final

Q: Final = "{sg:0}:"
"""The one partition's tag. All keys of a partition share it, so that a script may touch them all."""

META: Final = Q + "meta"
PAUSE: Final = Q + "pause"
PAUSES: Final = Q + "pauses"
AUDIT: Final = Q + "audit"
DEAD: Final = Q + "dead"
CONDEMNED: Final = Q + "condemned"
DELAYED: Final = Q + "delayed"
LEASES: Final = Q + "leases"
LANES: Final = Q + "lanes"
READY: Final = Q + "ready"
PARKED: Final = Q + "parked"
SLOTS: Final = Q + "slots"
POLICIES: Final = Q + "policies"
POLICIES_USED: Final = Q + "policies:used"
EVENTS: Final = Q + "events"
CONTROL: Final = Q + "control"
WORKERS: Final = Q + "workers"
COUNTERS: Final = Q + "counters"
TOKENS: Final = Q + "tokens"
LIVE: Final = Q + "live"


def flow(seconds: int, number: int) -> str:
    """A bucket: the `number`th stretch of so many seconds since 1970."""
    return f"{Q}flow:{seconds}:{number}"


def job(job_id: str) -> str:
    return f"{Q}job:{job_id}"


def job_events(job_id: str) -> str:
    return f"{Q}job:{job_id}:events"


def job_shelf(job_id: str, shelf: str) -> str:
    """shelf: steps, artifacts or facts."""
    return f"{Q}job:{job_id}:{shelf}"


def job_controls(job_id: str) -> str:
    return f"{Q}job:{job_id}:controls"


def job_live(job_id: str) -> str:
    return f"{Q}job:{job_id}:live"


def job_terminal(job_id: str) -> str:
    return f"{Q}job:{job_id}:terminal"


def job_typed(job_id: str) -> str:
    return f"{Q}job:{job_id}:typed"


def job_watched(job_id: str) -> str:
    return f"{Q}job:{job_id}:watched"


def status(name: str) -> str:
    return f"{Q}status:{name}"


def lane(name: str, kind: str) -> str:
    """kind: +w, +s, +r, or +p where a repair holds running jobs; it may also stand at the end of the name."""
    return f"{Q}lane:{name}{kind}"


def ready(policy_id: str, shelf: str = "") -> str:
    """shelf: a limited type, whose lanes stand apart."""
    return f"{Q}ready:{policy_id}:{shelf}" if shelf else f"{Q}ready:{policy_id}"


def parked(policy_id: str) -> str:
    return f"{Q}parked:{policy_id}"


def bell(policy_id: str) -> str:
    return f"{Q}bell:{policy_id}"


def worker(worker_id: str) -> str:
    return f"{Q}worker:{worker_id}"


def heard(worker_id: str) -> str:
    return f"{Q}heard:{worker_id}"


CATALOGUE: Final[dict[str, str]] = {
    "meta": "hash: schema version, partitions, highest pause versions given out, concurrency limits; "
    "narrower pauses as claims check them, `|type=a|-capability=b|` (`-`: lifted, lanes are coming back)",
    "pause": "hash: the pause record that claims check",
    "pauses": "hash: `<scope>=<value>` -> the record of this narrower pause: mode, version, times, who, why",
    "job:<id>": "hash: immutable spec as one JSON field; its trace; mutable fields, absent until set",
    "job:<id>:events": "stream: its history, created by the first event that is really appended",
    "job:<id>:steps": "hash: step index -> checkpoint JSON",
    "job:<id>:artifacts": "hash: name -> artifact JSON",
    "job:<id>:facts": "hash: name -> value, like the start commit",
    "job:<id>:controls": "stream: what operators did to it, never trimmed",
    "job:<id>:terminal": "stream, expires: what the run's terminal showed lately, by lease token and place",
    "job:<id>:typed": "stream, expires: what operators typed that the run's terminal has not got yet",
    "job:<id>:watched": "string, expires: there while somebody watches the run's terminal",
    "job:<id>:live": "hash: its newest live session, the ways to write sealed",
    "lane:<lane><class>": "stream, group `workers`: waiting (undelivered) and running (pending) entries",
    "lanes": "hash: lane and class -> number of waiting entries; there while the stream has entries",
    "ready": "zset: every lane with waiting entries, by (priority, age of head)",
    "ready:<policy>": "zset: those that this policy may claim; of a limited type in `ready:<policy>:<type>`",
    "parked": "zset: lanes that a limit, or a pause (`paused:<scope>=<value>`), holds back, as "
    "`<limit>|<type if limited>|<score>|<lane>`",
    "parked:<policy>": "zset: those that this policy may read",
    "slots": "zset: `<limit>|<job>` for each running job under a limit",
    "policies": "hash: policy -> its text, `+` complete or `~` being registered",
    "policies:used": "zset: policy -> last claim, in ms",
    "bell:<policy>": "list: at most one token, wakes one idle worker of that policy",
    "delayed": "zset: job -> when it becomes claimable",
    "leases": "zset: job -> lease expiry",
    "status:<status>": "zset: job -> time it entered the status",
    "live": "zset: job -> when the sweeper looks at its live session, in ms; none that is over",
    "counters": "hash: totals for metrics",
    "flow:<seconds>:<number>": "hash, expires: what happened to jobs in one minute or quarter hour, as "
    "`<what>:<type>`, `*` for the types beyond the first; kept for an hour, and for a day",
    "dead": "stream: dead letters",
    "condemned": "zset: dead letter whose removal has begun -> when, in ms",
    "events": "stream, capped: notices of what changed",
    "control": "stream, capped: pause, cancel, controls of running jobs; what wakes workers",
    "audit": "stream: who did what",
    "claim:<worker>": "string, expires: the attempts of a worker's last claim, by request id",
    "unique:<scope>:<key>": "string, expires: idempotency",
    "tokens": "hash: token id -> record as JSON, with the hashes of its secrets",
    "workers": "zset: worker -> last seen, in ms",
    "worker:<worker>": "string, expires: presence as JSON",
    "heard:<worker>": "string, expires: the policy of a worker's last claim over HTTP, as JSON",
}
EXPIRING: Final = frozenset(
    {
        "claim:<worker>", "unique:<scope>:<key>", "worker:<worker>", "heard:<worker>", "job:<id>:terminal",
        "job:<id>:typed", "job:<id>:watched", "flow:<seconds>:<number>",
    }
)  # fmt: skip
PERMANENT: Final = frozenset(CATALOGUE) - EXPIRING
