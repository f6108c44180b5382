"""The healing of one step: what it has used is kept before it is used, and decides what comes next.

The order of each change: first what is kept with the job, under the lease; then events, the artifact and the
figures. A worker that dies in between leaves a budget that is used, never one that can be used twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

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
from services.worker.task.run import TaskRun
from services.worker.task.step_story import StepStory
from sluicegate.errors import StoreError
from sluicegate.times import now_ms, to_rfc3339
from sluicegate.worker.outcome import JobFailed
from sluicegate.worker.texts import storable

if TYPE_CHECKING:
    from sluicegate.model import HandoffSummary

KEPT_FILES: Final = 20
KEPT_NAME: Final = 100
"""Changed files that are kept of a failed attempt, and characters of each name: a fact has its limit."""


class Told(NamedTuple):
    """What people wrote that stands in an attempt's prompt. message_id: of the last of their messages."""

    summary: HandoffSummary | None = None
    message_id: str | None = None


class Healing:
    """Of the step at `index`. budget: as it is kept with the job."""

    def __init__(self, run: TaskRun, index: int) -> None:
        self.run = run
        self.index = index
        self.story = StepStory(run, index)
        self.step = self.story.step
        self.name = self.story.name
        self.allowed = Allowed.of(run.task.task.limits, run.ctx.settings)
        self.hard_resets = int(run.facts.get(budgets.HARD_RESETS, "0"))
        self.budget = self._found()
        self.strategy: Strategy | None = None
        """How the attempt at hand came about; None for a first one."""
        self.told = Told()
        self._heals: tuple[str, str] | None = None
        """The class of the failure that the attempt at hand follows, and its strategy."""

    def _found(self) -> StepBudget:
        """What earlier attempts have left of the budget: this worker's, or another's."""
        job = self.run.ctx.job
        if text := self.run.facts.get(budgets.STEP_BUDGET):
            kept = msgspec.json.decode(text, type=StepBudget)
            if (kept.step_id, kept.step_index) == (self.step.id, self.index):
                return kept.for_next_claim(job.attempt, job.failure_class)
        return StepBudget(step_id=self.step.id, step_index=self.index)

    @property
    def next_attempt(self) -> int:
        return self.budget.begun + 1

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
        last = self.budget.last
        self._heals = (last.failure_class, how) if last is not None and how is not None else None
        await self.story.attempt_started(self.budget.begun, how, self.allowed)

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

    async def interrupted(self) -> None:
        """A person has ended the attempt, for another one."""
        self._count("interrupted")
        await self._keep(self.budget.handed_back())
        await self.story.attempt_interrupted(self.budget.begun, self.strategy)

    async def succeeded(self, diff: Diff, summary: str) -> None:
        await self.story.attempt_finished(self.budget.begun, self.strategy, diff, summary)

    async def finished(self, diff: Diff, summary: str) -> None:
        """The step is saved; what stood in its prompt need not be told again."""
        ctx = self.run.ctx
        self._count("recovered")
        if self._heals is not None:
            ctx.metrics.self_heal_recovered.labels(*self._heals).inc()
        if (handoff := self.told.summary) is not None:
            await self.run.insist(lambda: ctx.passed_on(handoff))
        if (message_id := self.told.message_id) is not None:
            await self.run.insist(lambda: self.run.inbox.passed_on(message_id))
        await self.story.finished(self.budget.begun, self.strategy, diff, summary)

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
        await self.story.attempt_failed(failure, self.strategy, lost=True, workerId=lost.worker_id)
        move = Move("queue_retry", "the job came back without a word of its worker")
        await self._record(failure, lost, move)

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
        await self.story.attempt_failed(failure, self.strategy, fault.message)
        self._count("failed")
        if move.strategy is not None and begun is not None:
            await self._record(failure, begun, move)
            await self._announce(move)
        return move

    async def count_hard_reset(self) -> None:
        """Before it begins."""
        self.hard_resets += 1
        await self._keep_fact(budgets.HARD_RESETS, str(self.hard_resets))

    async def give_up(self) -> JobFailed:
        """Earlier claims have left nothing of the budget."""
        move = Move("queue_retry", strategy.used_up(self.allowed))
        await self._keep(self.budget.used_up(self.run.ctx.job.attempt))
        await self._announce(move)
        last = self.budget.last
        return self._end(last.summary if last else "no attempt is left", move)

    def end(self, fault: Fault, move: Move) -> JobFailed:
        """The end of this attempt of the job, after what `failed` has found."""
        return self._end(fault.message, move)

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

    async def _announce(self, move: Move) -> None:
        last = self.budget.last
        await self.story.move(self.budget.begun, last, move)
        if move.strategy == "queue_retry":
            labels = (last.failure_class if last else "none", self.strategy or "none")
            self.run.ctx.metrics.self_heal_exhausted.labels(*labels).inc()

    async def _record(self, failure: Failure, begun: Begun, move: Move) -> None:
        await self.story.record(
            failure,
            begun,
            self.strategy,
            move,
            budget=self.budget,
            hard_resets=self.hard_resets,
            allowed=self.allowed,
        )

    def _count(self, outcome: str) -> None:
        """An attempt that was to heal something has ended."""
        if self._heals is not None:
            self.run.ctx.metrics.self_heal_attempts.labels(*self._heals, outcome).inc()

    async def _keep(self, budget: StepBudget) -> None:
        await self._keep_fact(budgets.STEP_BUDGET, _encoded(budget))
        self.budget = budget

    async def _keep_fact(self, name: str, value: str) -> None:
        await self.run.insist(lambda: self.run.ctx.change_fact(name, value))
        self.run.facts[name] = value


def _encoded(budget: StepBudget) -> str:
    return msgspec.json.encode(budget).decode()
