"""The healing of one step: what it has used is kept before it is used, what happened is told and recorded.

The order of each change: first what is kept with the job, under the lease; then events, the artifact and the
figures. A worker that dies in between leaves a budget that is used, never one that can be used twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import structs

from services.worker.heal import budgets, strategy
from services.worker.heal.budgets import Allowed, Begun, Failure, StepBudget, Strategy
from services.worker.heal.fault import Fault
from services.worker.heal.retry_context import paragraph
from services.worker.heal.signature import signature
from services.worker.heal.strategy import Move
from services.worker.task.checkpoints import Diff
from services.worker.task.failures import MAX_MESSAGE
from services.worker.task.run import TaskRun, step_name
from sluicegate.errors import StoreError
from sluicegate.times import now_ms, to_rfc3339
from sluicegate.worker.outcome import JobFailed
from sluicegate.worker.texts import storable

if TYPE_CHECKING:
    from sluicegate.model import HandoffSummary

KEPT_FILES: Final = 20
KEPT_NAME: Final = 100
"""Changed files that are kept of a failed attempt, and characters of each name: a fact has its limit."""


class Healing:
    """Of the step at `index`. budget: as it is kept with the job."""

    def __init__(self, run: TaskRun, index: int) -> None:
        self.run = run
        self.index = index
        self.step = run.task.task.steps[index]
        self.name = step_name(self.step, index)
        self.allowed = Allowed.of(run.task.task.limits, run.ctx.settings)
        self.hard_resets = int(run.facts.get(budgets.HARD_RESETS, "0"))
        self.budget = self._found()
        self.strategy: Strategy | None = None
        """How the attempt at hand came about; None for a first one."""
        self.told: HandoffSummary | None = None
        """What a person wrote that stood in its prompt."""
        self._heals = ""

    def _found(self) -> StepBudget:
        """What earlier attempts have left of the budget: this worker's, or another's."""
        job = self.run.ctx.job
        if text := self.run.facts.get(budgets.STEP_BUDGET):
            kept = msgspec.json.decode(text, type=StepBudget)
            if (kept.step_id, kept.step_index) == (self.step.id, self.index):
                return kept.for_next_claim(job.attempt, job.failure_class)
        return StepBudget(step_id=self.step.id, step_index=self.index)

    @property
    def nothing_left(self) -> bool:
        return self.budget.used >= self.allowed.attempts

    async def begin(self, how: Strategy | None) -> None:
        """Count the next attempt, then say that it begins."""
        ctx = self.run.ctx
        attempt = Begun(
            token=ctx.lease_token,
            worker_id=ctx.worker_id,
            started_at=to_rfc3339(now_ms()),
            job_attempt=ctx.job.attempt,
        )
        await self._keep(self.budget.begin(attempt))
        self.strategy = how
        self._heals = self.budget.last.failure_class if self.budget.last else "none"
        await self.tell(
            "task.step.attempt.started",
            f"{self.name}, attempt {self.budget.begun}" + (f" ({words(how)})" if how else ""),
            strategy=how,
        )

    async def hand_back(self) -> None:
        """The attempt was ended by people, or by the worker's own end: it counts for nothing.

        Called while its end is under way, which a store that is away must not replace.
        """
        budget = self.budget.handed_back()
        try:
            await self.run.ctx.change_fact(budgets.STEP_BUDGET, _encoded(budget))
        except StoreError:
            return
        self.budget = budget

    async def succeeded(self, diff: Diff, summary: str) -> None:
        self.run.note("execute", f"{self.name}, attempt {self.budget.begun} finished: {summary}")
        await self.tell(
            "task.step.attempt.finished",
            f"{self.name}, attempt {self.budget.begun}: {summary}",
            diffHash=diff.diff_hash,
            strategy=self.strategy,
        )

    async def interrupted(self) -> None:
        """A person has ended the attempt, for another one."""
        self._count("interrupted")
        await self._keep(self.budget.handed_back())
        await self.tell(
            "task.step.attempt.interrupted",
            f"{self.name}, attempt {self.budget.begun} was interrupted by an operator",
            strategy=self.strategy,
        )

    async def count_hard_reset(self) -> None:
        """Before it begins."""
        self.hard_resets += 1
        await self._keep_fact(budgets.HARD_RESETS, str(self.hard_resets))

    async def record_lost(self) -> None:
        """An attempt that was begun under an earlier lease, and whose end nobody reported (H-11)."""
        lost = self.budget.running
        if lost is None:
            return
        failure = Failure(
            attempt=self.budget.begun,
            failure_class="transient_runtime",
            summary=f"attempt {self.budget.begun} was lost with its worker {lost.worker_id}",
        )
        await self._keep(self.budget.failed(failure))
        await self._tell_failure(failure, lost=True, workerId=lost.worker_id)
        await self._record(
            failure, lost, Move("queue_retry", "the job came back without a word of its worker")
        )

    async def failed(self, fault: Fault, diff: Diff | None) -> Move:
        """The attempt has failed; what comes next. diff: None when the changes cannot be read."""
        begun = self.budget.running
        failure = self._failure(fault, diff)
        budget = self.budget.failed(failure)
        if failure.failure_class == "transient_runtime" and strategy.is_stuck(budget, self.allowed):
            failure = structs.replace(failure, failure_class="stuck_no_progress")
            budget = structs.replace(budget, last=failure)
            self.run.ctx.metrics.step_timeouts.labels("no_progress").inc()
        move = strategy.next_move(failure.failure_class, budget, self.allowed, self.hard_resets)
        if move.strategy == "queue_retry":
            budget = budget.used_up(self.run.ctx.job.attempt)
        await self._keep(budget)
        self.run.note("execute", f"{self.name}, attempt {failure.attempt} failed: {failure.summary}")
        await self._tell_failure(failure, message=fault.message)
        self._count("failed")
        if move.strategy is not None and begun is not None:
            await self._record(failure, begun, move)
            await self.tell_move(move)
        return move

    async def tell_move(self, move: Move) -> None:
        """What is done about the last failure."""
        last = self.budget.last
        kind, sentence = {
            "soft_reset": ("triggered", f"{self.name} is tried again: {move.why}"),
            "hard_reset": ("escalated", f"{self.name} gets nowhere: {move.why}"),
            "queue_retry": ("exhausted", f"{self.name} is given back to the queue: {move.why}"),
        }[str(move.strategy)]
        level = "error" if kind == "exhausted" else "warn"
        await self.tell(
            f"task.self_heal.{kind}", sentence, level=level, **_facts_of(last), strategy=move.strategy
        )
        if kind == "exhausted":
            labels = (last.failure_class if last else "none", self.strategy or "none")
            self.run.ctx.metrics.self_heal_exhausted.labels(*labels).inc()

    async def give_up(self) -> JobFailed:
        """Earlier claims have left nothing of the budget."""
        move = Move("queue_retry", strategy.used_up(self.allowed))
        await self._keep(self.budget.used_up(self.run.ctx.job.attempt))
        await self.tell_move(move)
        last = self.budget.last
        return self._end(last.summary if last else "no attempt is left", move)

    def end(self, fault: Fault, move: Move) -> JobFailed:
        """The end of this attempt of the job, after what `failed` has found."""
        return self._end(fault.message, move)

    async def step_failed(self, error: JobFailed) -> None:
        await self.tell(
            "task.step.failed",
            f"{self.name} failed: {error.message}",
            level="error",
            **{**_facts_of(self.budget.last), "failureClass": error.failure_class},
        )

    async def finished(self, diff: Diff, summary: str) -> None:
        """The step is saved; what stood in its prompt need not be told again."""
        ctx = self.run.ctx
        if self.strategy is not None:
            self._count("recovered")
            ctx.metrics.self_heal_recovered.labels(self._heals, self.strategy).inc()
        if (told := self.told) is not None:
            await self.run.insist(lambda: ctx.passed_on(told))
        await self.tell(
            "task.step.finished",
            f"Finished {self.name}: {summary}",
            diffHash=diff.diff_hash,
            strategy=self.strategy,
            changedFiles=len(diff.changes),
            files=[file[:200] for file in diff.names[:KEPT_FILES]],
        )

    async def tell(self, kind: str, message: str, **payload: Any) -> None:
        """An event of the step, with the number of its attempt (70-28). What is None is left out."""
        known = {name: value for name, value in payload.items() if value is not None}
        await self.run.step_event(kind, message, self.index, **{"attempt": self.budget.begun, **known})

    def _end(self, message: str, move: Move) -> JobFailed:
        """With what was tried in vain, when something was."""
        retryable, last = move.strategy is not None, self.budget.last
        message = self._shown(message)[:MAX_MESSAGE]
        return JobFailed(
            f"{message} ({move.why})" if retryable and self.budget.used > 1 else message,
            retryable=retryable,
            failure_class=last.failure_class if last else "transient_runtime",
        )

    def _failure(self, fault: Fault, diff: Diff | None) -> Failure:
        place = self.run.place
        return Failure(
            attempt=self.budget.begun,
            failure_class=fault.failure_class,
            summary=paragraph(self._shown(fault.message)),
            signature=signature(fault.said, cause=fault.cause, roots=(place.tree, place.root)),
            diff_hash=diff.diff_hash if diff else None,
            changed_files=[self._shown(name)[:KEPT_NAME] for name in diff.names[:KEPT_FILES]] if diff else [],
        )

    def _shown(self, text: str) -> str:
        """Redacted before it is cut anywhere: of half a secret nothing would be found any more."""
        return storable(self.run.ctx.redactor, text)

    async def _tell_failure(self, failure: Failure, message: str | None = None, **more: Any) -> None:
        await self.tell(
            "task.step.attempt.failed",
            f"{self.name}, attempt {failure.attempt} failed: {message or failure.summary}",
            level="warn",
            **_facts_of(failure),
            strategy=self.strategy,
            summary=failure.summary,
            **more,
        )

    async def _record(self, failure: Failure, begun: Begun, move: Move) -> None:
        """The attempt and what was done about it, as an artifact (70-28)."""
        record = {
            "stepId": self.step.id,
            "stepIndex": self.index,
            **msgspec.to_builtins(failure),
            **msgspec.to_builtins(begun),
            "strategy": self.strategy,
            "finishedAt": to_rfc3339(now_ms()),
            "next": {"strategy": move.strategy, "why": move.why},
            "used": {"stepAttempts": self.budget.used, "hardResets": self.hard_resets},
            "allowed": {"stepAttempts": self.allowed.attempts, "hardResets": self.allowed.hard_resets},
        }
        name = f"state/self_heal/attempt-{self.index + 1}-{begun.token}-{failure.attempt}.json"
        text = msgspec.json.format(msgspec.json.encode(record), indent=2)
        await self.run.store(name, text, content_type="application/json")

    def _count(self, outcome: str) -> None:
        """An attempt that was to heal something has ended."""
        if self.strategy is not None:
            self.run.ctx.metrics.self_heal_attempts.labels(self._heals, self.strategy, outcome).inc()

    async def _keep(self, budget: StepBudget) -> None:
        await self._keep_fact(budgets.STEP_BUDGET, _encoded(budget))
        self.budget = budget

    async def _keep_fact(self, name: str, value: str) -> None:
        await self.run.insist(lambda: self.run.ctx.change_fact(name, value))
        self.run.facts[name] = value


def words(how: str) -> str:
    return how.replace("_", " ")


def _facts_of(failure: Failure | None) -> dict[str, Any]:
    if failure is None:
        return {}
    return {
        "failureClass": failure.failure_class,
        "failureSignature": failure.signature,
        "diffHash": failure.diff_hash,
    }


def _encoded(budget: StepBudget) -> str:
    return msgspec.json.encode(budget).decode()
