"""`sluicegate jobs pause` and its kin: an operator's hand on one run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click

from sluicegate.cli import output
from sluicegate.cli.connection import confirm, json_option, run, url_option, yes_option
from sluicegate.operations.run_state import shown_state

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.client.runs import Runs
    from sluicegate.model import Job

F = TypeVar("F", bound=Callable[..., Any])
STRATEGIES: Final = ("soft_reset", "hard_reset")
reason_option = click.option("--reason", metavar="TEXT", help="Why; in the run's events and in the audit.")


def on_a_step(command: F) -> F:
    """What every command that sends a run back to a step takes."""
    for option in (url_option, json_option, yes_option, reason_option):
        command = option(command)
    return click.argument("job_id")(click.argument("step_id")(command))


@click.command()
@click.argument("job_id")
@click.option("--hard", is_flag=True, help="Stop all its processes at once, where they are.")
@reason_option
@json_option
@url_option
def pause(job_id: str, hard: bool, reason: str | None, as_json: bool, url: str | None) -> None:
    """Let one run wait at its next checkpoint, or stop it at once.

    Its worker keeps the job. A run that waits in the queue will wait again at its start.

    \b
    Examples:
      sluicegate jobs pause --reason "look at the diff" 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
      sluicegate jobs pause --hard 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """
    _control(url, as_json, lambda runs: runs.pause(job_id, hard=hard, reason=reason))


@click.command()
@click.argument("job_id")
@reason_option
@json_option
@url_option
def takeover(job_id: str, reason: str | None, as_json: bool, url: str | None) -> None:
    """Pause one run and work in its place; `resume` gives it back.

    \b
    Example:
      sluicegate jobs takeover 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """
    _control(url, as_json, lambda runs: runs.takeover(job_id, reason=reason))


@click.command()
@click.argument("job_id")
@click.option("--summary", metavar="TEXT", help="What you did, for the agent's next prompt.")
@reason_option
@json_option
@url_option
def resume(job_id: str, summary: str | None, reason: str | None, as_json: bool, url: str | None) -> None:
    """Let one run go on that was paused or taken over.

    \b
    Example:
      sluicegate jobs resume --summary "fixed the import by hand" 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """
    _control(url, as_json, lambda runs: runs.resume(job_id, summary=summary, reason=reason))


@click.command("retry-step")
@click.option("--strategy", type=click.Choice(STRATEGIES), help="In the same files, or in rebuilt ones.")
@on_a_step
def retry_step(
    job_id: str,
    step_id: str,
    strategy: Literal["soft_reset", "hard_reset"] | None,
    reason: str | None,
    yes: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Run a step of a running task again; its attempt under way is interrupted.

    \b
    Examples:
      sluicegate jobs retry-step 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60 build
      sluicegate jobs retry-step --strategy hard_reset 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60 step-2
    """
    confirm(f"Interrupt job {job_id} and run step {step_id} again?", yes)
    _control(url, as_json, lambda runs: runs.retry_step(job_id, step_id, strategy=strategy, reason=reason))


@click.command("hard-reset-step")
@on_a_step
def hard_reset_step(
    job_id: str, step_id: str, reason: str | None, yes: bool, as_json: bool, url: str | None
) -> None:
    """Rebuild the files of a running task as its finished steps left them, and run a step again there.

    \b
    Example:
      sluicegate jobs hard-reset-step 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60 build
    """
    confirm(f"Throw away the files of job {job_id} and run step {step_id} again in rebuilt ones?", yes)
    _control(url, as_json, lambda runs: runs.hard_reset_step(job_id, step_id, reason=reason))


@click.command("resume-from-step")
@on_a_step
def resume_from_step(
    job_id: str, step_id: str, reason: str | None, yes: bool, as_json: bool, url: str | None
) -> None:
    """Drop what a running task has finished from a step on, and go on at that step.

    \b
    Example:
      sluicegate jobs resume-from-step 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60 build
    """
    confirm(f"Drop what job {job_id} has finished from step {step_id} on, and go on there?", yes)
    _control(url, as_json, lambda runs: runs.resume_from_step(job_id, step_id, reason=reason))


COMMANDS: Final = (pause, takeover, resume, retry_step, hard_reset_step, resume_from_step)


def _control(url: str | None, as_json: bool, call: Callable[[Runs], Awaitable[Job]]) -> None:
    async def work(client: Client) -> Job:
        return await call(client.runs)

    job = run(url, work)
    if as_json:
        output.document(job)
    else:
        click.echo(f"{job.id} {shown_state(job)}")
