"""A store with a job in each state, and the ways in which it can be made to contradict itself."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from sluicegate import keys
from sluicegate.store.connection import Store
from tests.support.job_builder import JobBuilder, Made

NOBODY = "01890000-0000-7000-8000-000000000000"
Command = tuple[Any, ...]


class Scene(NamedTuple):
    """jobs: by state, each in a lane of its own. entries: their references to their lanes."""

    jobs: dict[str, Made]
    entries: dict[str, str]
    letter: str
    policy: str

    def id(self, state: str) -> str:
        return self.jobs[state].job_id

    def job(self, state: str) -> str:
        return keys.job(self.id(state))

    def lane(self, state: str) -> str:
        """Name and class of the lane that this job stands in."""
        return f"0|{state}|||{self.entries[state][:2] or '+w'}"

    def stream(self, state: str) -> str:
        return keys.lane(self.lane(state), "")

    def entry(self, state: str) -> str:
        return self.entries[state][2:]


async def scene(store: Store, builder: JobBuilder) -> Scene:
    """A policy that may read all lanes is known."""
    await builder.claim(limit=0)
    jobs = {state: await builder.made(state, type=state) for state in builder.STATES}
    reads = [("HGET", keys.job(made.job_id), "entry") for made in jobs.values()]
    entries = {state: entry or "" for state, entry in zip(jobs, await store.commands(*reads), strict=True)}
    letter = await store.command("HGET", keys.job(jobs["dead_letter"].job_id), "dead")
    return Scene(jobs, entries, letter, builder.everything.id)


def damages(at: Scene) -> dict[str, tuple[list[Command], str]]:
    """What is done to the store, by name; and the code of the fault that has to be found."""
    waiting, running, delayed = at.lane("waiting"), at.lane("running"), at.id("delayed")
    bucket = keys.flow(900, int(time.time()) // 900)
    return {
        # records
        "a waiting job without its lane": ([("HDEL", at.job("waiting"), "lane")], "wrong_record"),
        "a waiting job in another's lane": (
            [("HSET", at.job("waiting"), "lane", "0|running|||")], "wrong_record",
        ),
        "a job without a time of creation": ([("HDEL", at.job("returned"), "created_at")], "wrong_record"),
        "an attempt that is no number": ([("HSET", at.job("waiting"), "attempt", "x")], "wrong_record"),
        "more attempts than allowed": ([("HSET", at.job("returned"), "attempt", 9)], "wrong_record"),
        "a running job without its token": ([("HDEL", at.job("running"), "token")], "wrong_record"),
        "a running job without its owner": ([("HDEL", at.job("running"), "owner")], "wrong_record"),
        "a record without its status": ([("HDEL", at.job("running"), "status")], "wrong_status"),
        # statuses
        "an ended job that says it waits": ([("HSET", at.job("failed"), "status", "queued")], "wrong_status"),
        "a waiting job that says it has ended": (
            [("HSET", at.job("waiting"), "status", "succeeded")], "wrong_status",
        ),
        "a running job said to wait": ([("HSET", at.job("running"), "status", "queued")], "wrong_status"),
        "a job listed nowhere": ([("ZREM", keys.status("failed"), at.id("failed"))], "not_listed"),
        "a job listed twice": ([("ZADD", keys.status("running"), 1, at.id("waiting"))], "also_listed"),
        "a job listed as something else": (
            [
                ("ZREM", keys.status("queued"), at.id("waiting")),
                ("ZADD", keys.status("succeeded"), 1, at.id("waiting")),
            ],
            "not_listed",
        ),
        "an index of nobody": ([("ZADD", keys.status("queued"), 1, NOBODY)], "no_record"),
        # leases
        "a running job without a lease": ([("ZREM", keys.LEASES, at.id("running"))], "no_lease"),
        "a lease of a waiting job": ([("ZADD", keys.LEASES, 1, at.id("waiting"))], "lease_left"),
        "a lease of an ended job": ([("ZADD", keys.LEASES, 1, at.id("succeeded"))], "lease_left"),
        "a lease of nobody": ([("ZADD", keys.LEASES, 1, NOBODY)], "no_record"),
        # places
        "a running job acknowledged": (
            [("XACK", at.stream("running"), "workers", at.entry("running"))], "not_pending",
        ),
        "a running job whose entry is gone": (
            [("XDEL", at.stream("running"), at.entry("running"))], "ghost_entry",
        ),
        "a running job without its reference": ([("HDEL", at.job("running"), "entry")], "not_pending"),
        "a waiting job without its reference": ([("HDEL", at.job("waiting"), "entry")], "nowhere"),
        "a waiting job whose entry is gone": (
            [("XDEL", at.stream("waiting"), at.entry("waiting"))], "nowhere",
        ),
        "a returned job whose entry is gone": (
            [("XDEL", at.stream("returned"), at.entry("returned"))], "nowhere",
        ),
        "a waiting job delivered to nobody": (
            [("XREADGROUP", "GROUP", "workers", "worker", "STREAMS", at.stream("waiting"), ">")], "nowhere",
        ),
        "an entry twice": ([("XADD", at.stream("waiting"), "*", "job", at.id("waiting"))], "entry_elsewhere"),
        "an entry in another lane": (
            [("XADD", at.stream("running"), "*", "job", at.id("waiting"))], "entry_elsewhere",
        ),
        "an entry of an ended job": (
            [("XADD", at.stream("waiting"), "*", "job", at.id("succeeded"))], "entry_of_ended",
        ),
        "an entry of nobody": ([("XADD", at.stream("waiting"), "*", "job", NOBODY)], "entry_of_nobody"),
        "an entry of no job at all": ([("XADD", at.stream("waiting"), "*", "x", "y")], "entry_of_nobody"),
        # delays
        "a delayed job that is not": ([("ZREM", keys.DELAYED, delayed)], "nowhere"),
        "a delayed job that waits too": ([("ZADD", keys.DELAYED, 1, at.id("waiting"))], "two_places"),
        "a delayed job that has ended": ([("ZADD", keys.DELAYED, 1, at.id("succeeded"))], "delayed_left"),
        "a delay of nobody": ([("ZADD", keys.DELAYED, 1, NOBODY)], "no_record"),
        "a job due at another time": ([("ZADD", keys.DELAYED, 5, delayed)], "due_differs"),
        # what a job of its status has
        "a waiting job with an owner": ([("HSET", at.job("waiting"), "owner", "w")], "owner_left"),
        "a cancel forgotten": ([("HSET", at.job("returned"), "cancel_at", 1)], "cancel_forgotten"),
        "an ended job without its end": ([("HDEL", at.job("cancelled"), "finished_at")], "no_end"),
        # dead letters
        "a dead job without its letter": ([("XDEL", keys.DEAD, at.letter)], "no_letter"),
        "a dead job that refers to none": ([("HDEL", at.job("dead_letter"), "dead")], "no_letter"),
        "a letter of nobody": (
            [
                ("XADD", keys.DEAD, "*", "job", NOBODY, "lane", "0|x|||", "error", "e", "class", "c",
                 "attempts", 1),
            ],
            "letter_of_nobody",
        ),
        # lanes
        "a lane that is gone": ([("DEL", at.stream("waiting"))], "lane_gone"),
        "a lane that is not listed": ([("HDEL", keys.LANES, waiting)], "lane_not_listed"),
        "a lane listed and not there": ([("HSET", keys.LANES, "0|ghost|||+w", 3)], "lane_gone"),
        "a wrong count": ([("HINCRBY", keys.LANES, waiting, 1)], "wrong_count"),
        "a negative count": ([("HSET", keys.LANES, waiting, -3)], "wrong_count"),
        "a lane without its group": ([("XGROUP", "DESTROY", at.stream("waiting"), "workers")], "no_group"),
        "a lane of running jobs without its group": (
            [("XGROUP", "DESTROY", at.stream("running"), "workers")], "no_group",
        ),
        "a foreign group": ([("XGROUP", "CREATE", at.stream("waiting"), "another", "0")], "foreign_group"),
        "a name that is no lane": ([("XADD", keys.lane("gibberish", "+w"), "*", "job", NOBODY)], "no_lane"),
        "a lane that nobody sees": ([("ZREM", keys.READY, waiting)], "not_ready"),
        "an empty lane that all look into": ([("ZADD", keys.READY, 1, running)], "ready_too_much"),
        "a lane in a wrong place": ([("ZADD", keys.READY, 5, waiting)], "wrong_order"),
        "a lane that a policy misses": ([("ZREM", keys.ready(at.policy), waiting)], "wrong_for_policy"),
        "a lane that a policy misplaces": ([("ZADD", keys.ready(at.policy), 5, waiting)], "wrong_for_policy"),
        # policies
        "a policy without its last use": ([("ZREM", keys.POLICIES_USED, at.policy)], "policy_unused"),
        "a policy that cannot be read": ([("HSET", keys.POLICIES, at.policy, "?")], "unreadable_policy"),
        "an order of no policy": ([("ZADD", keys.ready("nobody"), 5, waiting)], "policy_left"),
        "two tokens in a bell": ([("RPUSH", keys.bell(at.policy), 1, 1)], "two_tokens"),
        # the pause, the store as a whole
        "no pause record": ([("DEL", keys.PAUSE)], "no_pause"),
        "a pause that does not say whether": ([("HDEL", keys.PAUSE, "paused")], "pause_unreadable"),
        "a version of the pause given out twice": ([("HSET", keys.PAUSE, "version", 9)], "pause_version"),
        "a narrower pause that claims do not know": (
            [("HSET", keys.PAUSES, "type=x", "drain 1 1 1 0\nx\nann\nwhy")], "narrow_differs",
        ),
        "a narrower pause without a record": ([("HSET", keys.META, "pauses", "|type=x|")], "narrow_differs"),
        "a narrower pause that cannot be read": (
            [("HSET", keys.PAUSES, "type=x", "?"), ("HSET", keys.META, "pauses", "|type=x|")],
            "narrow_unreadable",
        ),
        "a lifted pause whose lanes nobody gives back": (
            [
                ("HSET", keys.PAUSES, "type=x", "lifted 1 1 1 0\nx\n\n"),
                ("HSET", keys.META, "pauses", "|-type=x|"),
            ],
            "lift_left",
        ),
        "no version of the narrower pauses": ([("HSET", keys.META, "pauses_version", "x")], "wrong_meta"),
        "no record of the store": ([("DEL", keys.META)], "no_version"),
        "no number of partitions": ([("HDEL", keys.META, "partitions")], "wrong_meta"),
        "no version of the pause given out": ([("HDEL", keys.META, "pause_version")], "wrong_meta"),
        # keys and counters
        "a history of nobody": ([("XADD", keys.job_events(NOBODY), "*", "kind", "custom")], "stray"),
        "a checkpoint of nobody": ([("HSET", keys.job_shelf(NOBODY, "steps"), "0", "{}")], "stray"),
        "an idempotency key for ever": (
            [("SET", f"{keys.Q}unique:ann:key", f"f {at.id('waiting')}")], "no_expiry",
        ),
        "a negative counter": ([("HSET", keys.COUNTERS, "enqueued", -5)], "wrong_counter"),
        "a count of the flow that is none": (
            [("HSET", bucket, "came:work", "many"), ("EXPIRE", bucket, 3600)], "wrong_counter",
        ),
    }  # fmt: skip


NAMES = list(
    damages(Scene(dict.fromkeys(JobBuilder.STATES, Made("")), dict.fromkeys(JobBuilder.STATES, ""), "", ""))
)
