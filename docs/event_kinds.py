"""The reference page of events: what each kind says, who writes it, and the fields of its payload."""

from __future__ import annotations

from typing import Final, NamedTuple

from sluicegate.store.events import LIFECYCLE


class Kind(NamedTuple):
    """fields: of the payload, beside `kind`; a `?` after one that may be missing."""

    says: str
    fields: str = ""
    level: str = "info"


STEP: Final = "stepId stepIndex stepAttempt? jobAttempt "
FAILURE: Final = "failureClass? failureSignature? diffHash? "
CANCEL: Final = "cancelRequestedAt cancelRequestedByUserId cancelReason "

OF_THE_QUEUE: Final[dict[str, Kind]] = {
    "job.enqueued": Kind("the job was accepted"),
    "job.claimed": Kind("an attempt began", "workerId attempt leaseToken"),
    "job.succeeded": Kind("an attempt ended well", "workerId attempt"),
    "job.retry_scheduled": Kind(
        "an attempt failed; another follows", "attempt error failureClass? nextAttemptAt reason"
    ),
    "job.failed": Kind("it failed for good, or ran out of time", "workerId? attempt error failureClass?"),
    "job.dead_lettered": Kind("its attempts are used up", "error failureClass? attempt"),
    "job.released": Kind("a worker handed it back; no attempt is used", "workerId attempt reason?"),
    "job.lease_expired": Kind("its worker was not heard of any more", "workerId attempt"),
    "job.redriven": Kind("a dead letter got a new life", "actorUserId reason?"),
    "job.cancel.requested": Kind("somebody asked to end it", CANCEL + "actorUserId reason?"),
    "job.cancel.too_late": Kind("it succeeded before the request reached it", CANCEL + "workerId"),
    "job.cancelled": Kind(
        "it was ended as asked, with the receipt of its worker", CANCEL + "receipt? error? message?"
    ),
    "events.truncated": Kind("later output is only in the artifacts", "limitBytes limitEntries"),
}
OF_OPERATORS: Final[dict[str, Kind]] = {
    "task.control.requested": Kind("pause, resume, take over", "action actorUserId reason? hard?"),
    "task.control.recovery.requested": Kind(
        "try a step again, rebuild, resume from one", "action actorUserId"
    ),
    "task.control.recovery.ack": Kind("the worker does as asked", "workerId action?"),
    "task.control.recovery.rejected": Kind("the worker does not, and why", "workerId message action?"),
    "task.operator.message": Kind("words for whoever runs the task", "actorUserId messageId message"),
    "task.live.requested": Kind("a terminal was asked for", "actorUserId sessionId provider"),
    "task.live.ready": Kind("it can be watched", "provider sessionId workerId"),
    "task.live.granted": Kind(
        "somebody may type into it", "actorUserId sessionId grantedUntil replaces? ttlMinutes"
    ),
    "task.live.revoked": Kind("it was ended by a person", "actorUserId sessionId reason?"),
    "task.live.ended": Kind("it is over", "provider sessionId error?"),
    "task.live.error": Kind("it could not be opened, or broke", "provider sessionId error?"),
}
OF_TASKS: Final[dict[str, Kind]] = {
    "task.stage.started": Kind("prepare, execute or publish began", "stage"),
    "task.stage.finished": Kind("it ended", "stage seconds"),
    "task.stage.failed": Kind("it failed", "stage failureClass?", "error"),
    "task.steps.plan": Kind("the steps of the task, and how many were finished before", "steps finished"),
    "task.resume.from_step": Kind("goes on where an earlier attempt was", STEP + "strategy?"),
    "task.step.started": Kind("a step began", STEP + "title?"),
    "task.step.finished": Kind("a step is done and saved", STEP + "diffHash strategy? changedFiles files"),
    "task.step.failed": Kind("a step failed for good", STEP + FAILURE, "error"),
    "task.step.attempt.started": Kind("an attempt at a step, with its limits", STEP + "strategy? limits"),
    "task.step.attempt.finished": Kind("it did what it should", STEP + "diffHash strategy?"),
    "task.step.attempt.failed": Kind(
        "it failed, or was over a limit", STEP + FAILURE + "strategy? summary", "warn"
    ),
    "task.step.attempt.interrupted": Kind("a person ended it, to go on another way", STEP + "strategy?"),
    "task.self_heal.triggered": Kind("the step is tried again", STEP + FAILURE + "strategy", "warn"),
    "task.self_heal.escalated": Kind("its files are rebuilt first", STEP + FAILURE + "strategy", "warn"),
    "task.self_heal.exhausted": Kind("the job goes back to the queue", STEP + FAILURE + "strategy", "error"),
    "task.workspace.rebuilt": Kind(
        "files are those of the finished steps", STEP + "treeHash finished seconds"
    ),
    "task.paused": Kind("stands still; `hard`: in mid-command", "reason hard? stepId? stepIndex?"),
    "task.resumed": Kind("goes on", "reason hard? stepId? stepIndex?"),
    "task.publish.finished": Kind("the branch is on the remote", "branch commit alreadyPublished"),
    "task.publish.skipped": Kind("nothing had changed", "reason"),
    "task.publish.pull_request": Kind("a pull request is open", "url branch"),
    "task.log.lost": Kind("a log or record could not be stored", "name", "warn"),
}
GROUPS: Final = (
    ("Of the queue", "Written by the script that makes the transition.", OF_THE_QUEUE),
    ("Of operators, and of live sessions", "Written by scripts too.", OF_OPERATORS),
    (
        "Of tasks",
        "Written by the worker, under the lease of the attempt. `stepIndex` counts from 0, attempts from 1.",
        OF_TASKS,
    ),
)
CATALOGUE: Final = {kind: each for _, _, kinds in GROUPS for kind, each in kinds.items()}


def page() -> str:
    lines = [
        "# Events",
        "",
        "What a job's history holds, in order ([how to follow it](../how-to/follow-events.md)). Each event",
        "has `id`, `jobId`, `level`, `message` (a sentence for people, which may change), `createdAt` and",
        "`payload`, whose `kind` is what programs go by. A `?` marks a field that may be missing. Other",
        "handlers may write kinds of their own; output of commands is an event without a kind, with",
        "`stream` and `text`.",
        "",
        "This page is written by `make generated`.",
    ]
    for title, words, kinds in GROUPS:
        rows = [_row(kind, each) for kind, each in kinds.items()]
        lines += [
            "",
            f"## {title}",
            "",
            words,
            "",
            "| kind | level | says | payload |",
            "| --- | --- | --- | --- |",
            *rows,
        ]
    return "\n".join(lines) + "\n"


def _row(kind: str, each: Kind) -> str:
    level = LIFECYCLE[kind][0] if kind in LIFECYCLE else each.level
    fields = ", ".join(f"`{name}`" for name in each.fields.split())
    return f"| `{kind}` | {level} | {each.says} | {fields} |"
