"""What the store may say against itself: each kind of fault, in a sentence, and what sets it right.

The words are those of `lua/_faults.lua`, by which scripts judge, and of the `*_invariants.py` beside this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from msgspec import Struct


class Kind(NamedTuple):
    """says: a sentence, in which {it} is the job, lane or key and {about} what else is known.

    by: who repairs it, a name in repair.REPAIRS; empty when a person has to. repair: what that does, or what
    the person should do. note: worth knowing, but no contradiction: `doctor` ends with 0 all the same.
    first: while it stands, nothing else can be looked at, since scripts would fail.
    """

    says: str
    by: str
    repair: str
    note: bool = False
    first: bool = False


_PLACED = "the job is put where it belongs: into its lane, at the place of one that came back"
_FIELD = "the field is set right"

KINDS: Final[dict[str, Kind]] = {
    # The store as a whole.
    "wrong_type": Kind(
        "{it} is a {about}", "", "find out what wrote it, save what you need of it, and delete it", first=True
    ),
    "no_version": Kind(
        "the store does not say what version it is", "fields", "it is taken to be of this version", first=True
    ),
    "unreadable_policy": Kind(
        "the worker policy {it} cannot be read",
        "policies",
        "it is dropped; its workers register it again",
        first=True,
    ),
    "wrong_meta": Kind(
        "the field {about} of the store's meta record is missing or wrong", "fields", _FIELD, first=True
    ),
    # The pause.
    "no_pause": Kind(
        "there is no pause record: every claim is refused",
        "pause",
        "it is written anew from the audit; in doubt, paused",
    ),
    "pause_unreadable": Kind(
        "the pause record cannot be read", "pause", "it is written anew from the audit; in doubt, paused"
    ),
    "pause_version": Kind(
        "the version of the pause is wrong: {about}", "pause", "it gets a version of its own"
    ),
    "narrow_unreadable": Kind(
        "the record of the pause of {about} cannot be read",
        "pauses",
        "it is written anew, as a drain: look into it, then lift it",
    ),
    "narrow_differs": Kind(
        "the pause of {about} is one thing by its record and another for claims",
        "pauses",
        "they agree: in doubt it is paused",
    ),
    "lift_left": Kind(
        "the pause of {about} was lifted, and lanes that it held back are still set aside",
        "pauses",
        "workers see them again",
    ),
    # What the record of a job lacks.
    "lost_payload": Kind(
        "job {it} has lost what it was enqueued with",
        "payloads",
        "it is cancelled, so that nobody runs it without; not while a worker holds it, which has it all",
    ),
    "wrong_record": Kind("the record of job {it} is damaged: {about}", "fields", _FIELD),
    # Where a job is, against where its record says it is.
    "no_record": Kind(
        "job {it} is listed ({about}), and has no record",
        "jobs",
        "what points at it is dropped: its record is lost",
    ),
    "wrong_status": Kind(
        "job {it} is {about} by all that is known of it but its status", "jobs", "its status is set right"
    ),
    "not_listed": Kind("job {it} is {about}, and is not listed as such", "jobs", "it is listed"),
    "also_listed": Kind("job {it} is listed as {about}, and is not", "jobs", "it is listed as what it is"),
    "no_lease": Kind(
        "running job {it} has no lease, so that nobody would notice its worker's death",
        "jobs",
        "it gets a lease of a minute, which its worker renews; else the job is tried again",
    ),
    "lease_left": Kind("{about} job {it} has a lease", "jobs", "the lease is dropped"),
    "not_pending": Kind(
        "running job {it} is not held in its lane", "jobs", "it is; its worker keeps it, and no other gets it"
    ),
    "no_start": Kind("running job {it} does not say since when", "jobs", "it says so, as near as is known"),
    "nowhere": Kind("job {it} waits, and stands in no lane: nobody would claim it", "jobs", _PLACED),
    "two_places": Kind(
        "job {it} waits in a lane and is delayed: it might run twice",
        "jobs",
        "it stays where its record says",
    ),
    "entry_left": Kind("delayed job {it} refers to a place in a lane", "jobs", "the reference is dropped"),
    "no_since": Kind("job {it} waits, and does not say since when", "jobs", "since it was created"),
    "cancel_forgotten": Kind(
        "job {it} waits although its cancel was requested", "jobs", "it ends as cancelled"
    ),
    "delayed_left": Kind("{about} job {it} is delayed", "jobs", "the delay is dropped"),
    "due_differs": Kind(
        "job {it} is due at another time than its record says",
        "jobs",
        "both say the same: when it is really due",
    ),
    "owner_left": Kind("{about} job {it} still has an owner", "jobs", "it has none"),
    "no_end": Kind("ended job {it} does not say when", "jobs", "it says so, as near as is known"),
    "end_left": Kind("job {it} has not ended, and says when it did", "jobs", "it does not"),
    "no_letter": Kind(
        "dead job {it} has no dead letter: nobody would find it", "jobs", "its dead letter is written"
    ),
    "letter_left": Kind("{about} job {it} refers to a dead letter", "jobs", "the reference is dropped"),
    "no_slot": Kind("running job {it} is not counted under its limit {about}", "jobs", "it is counted"),
    "slot_left": Kind("job {it} does not run, and takes a slot of {about}", "jobs", "the slot is free again"),
    # Entries that stand for nothing.
    "entry_of_nobody": Kind(
        "entry {about} of lane {it} names a job that has no record", "entries", "it is dropped"
    ),
    "entry_of_ended": Kind(
        "entry {about} of lane {it} names a job that has ended: it might run again",
        "entries",
        "it is dropped",
    ),
    "entry_elsewhere": Kind(
        "entry {about} of lane {it} names a job that is elsewhere: it might run twice",
        "entries",
        "it is dropped",
    ),
    "ghost_entry": Kind(
        "lane {it} holds entry {about} for somebody, and has no such entry", "entries", "it is no longer held"
    ),
    "letter_of_nobody": Kind("the dead letter {about} is of no dead job", "entries", "it is dropped"),
    # Lanes, and who finds them.
    "no_lane": Kind("{it} is no name of a lane", "lanes", "it is dropped with what nothing refers to"),
    "lane_gone": Kind("lane {it} is listed, and is not there", "lanes", "it is no longer listed"),
    "lane_empty": Kind("lane {it} is there, and has no entry", "lanes", "it is removed"),
    "lane_not_listed": Kind(
        "lane {it} is not listed: enqueueing into it would fail", "lanes", "it is listed"
    ),
    "no_group": Kind(
        "lane {it} has lost its group: claims from it fail",
        "lanes",
        "the group is made anew; what waits is claimable",
    ),
    "foreign_group": Kind("lane {it} has a group that is not ours", "lanes", "the group is removed"),
    "wrong_count": Kind("in lane {it} {about}", "lanes", "they are counted again"),
    "not_ready": Kind(
        "jobs wait in lane {it}, and no worker sees it", "lanes", "workers see it, and are woken"
    ),
    "ready_too_much": Kind(
        "nothing waits in lane {it}, and workers look there", "lanes", "they no longer do"
    ),
    "wrong_order": Kind(
        "lane {it} stands at a wrong place in the order of claims", "lanes", "at the right one"
    ),
    "wrong_for_policy": Kind(
        "workers of policy {about} do not see lane {it} as it is", "lanes", "they see it as it is"
    ),
    "wrong_limits": Kind(
        "{it}", "limits", "slots and what is held back are worked out anew; claims wait for that, some ms"
    ),
    # Policies and bells.
    "two_tokens": Kind("the bell of policy {it} holds more than one token", "policies", "it holds one"),
    "policy_unused": Kind("policies and the times of their last use differ: {it}", "policies", "they agree"),
    "policy_left": Kind(
        "something is kept for worker policy {it}, which is not known", "policies", "it is removed"
    ),
    # Keys, counters, files.
    "stray": Kind(
        "a history or results are kept of job {it}, which has no record", "strays", "they are removed"
    ),
    "no_expiry": Kind("{it} would stay for ever", "expiries", "it expires after a day"),
    "unknown_key": Kind("{it} is none of the queue's keys", "", "find out what wrote it, and delete it"),
    "wrong_counter": Kind("the counter {about} is no number of things", "fields", "it begins again at 0"),
    "key_of_removed": Kind(
        "an idempotency key names job {it}, which is gone",
        "",
        "nothing to do: the key expires by itself",
        note=True,
    ),
    "lost_file": Kind(
        "artifact {about} of job {it} is listed, and its content is not there",
        "",
        "restore the file from a backup; it cannot be made up",
    ),
    "stray_files": Kind(
        "files are kept of job {it}, which has no record", "files", "they are removed: they are a day old"
    ),
    "unnamed_files": Kind(
        "{about} of job {it} is listed nowhere",
        "files",
        "it is removed: an upload was cut short a day ago or more",
    ),
}


class Finding(Struct, frozen=True):
    """One fault. it: job, lane, policy or key. fix: what the repair needs to know beyond that."""

    code: str
    it: str
    about: str = ""
    fix: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        return KINDS[self.code]

    @property
    def sentence(self) -> str:
        return self.kind.says.format(it=self.it, about=self.about)


Findings = AsyncIterator[Finding]
Progress = Callable[[int], None]
"""Is told how many more things were looked at."""


def of_word(word: str, it: str) -> Finding:
    """A fault as a script replied it: `also_listed failed`."""
    code, _, about = word.partition(" ")
    return Finding(code, it, about)
