"""A job's history as it happens: its output, its events, its end."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from sluicegate.cli import output
from sluicegate.cli.terminal_text import TerminalText, plain

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.model import Event, Job

LEVELS = {"warn": "yellow", "error": "red"}


class Printer:
    """Prints events: output as it is, everything else as a line with its time."""

    def __init__(self, *, logs: bool, events: bool) -> None:
        self._logs = logs
        self._events = events
        self._filters: dict[str, TerminalText] = {}
        self._at_line_start = True
        self.printed = False

    def show(self, event: Event) -> None:
        payload = event.payload or {}
        if payload.get("kind") == "log":
            if self._logs:
                self._output(str(payload.get("stream")), str(payload.get("text", "")))
        elif self._events:
            self._line(f"{event.created_at[11:19]}  {plain(event.message)}", LEVELS.get(event.level))
        elif payload.get("kind") == "events.truncated":
            self.end_line()
            click.secho(plain(event.message), fg="yellow", err=True)

    def end_line(self) -> None:
        """Whatever comes next starts on a line of its own."""
        if not self._at_line_start:
            click.echo()
            self._at_line_start = True

    def _output(self, stream: str, text: str) -> None:
        if sys.stdout.isatty():
            text = self._filters.setdefault(stream, TerminalText()).feed(text)
        if text:
            click.echo(text, nl=False, color=True)
            self._at_line_start = text.endswith("\n")
            self.printed = True

    def _line(self, text: str, colour: str | None) -> None:
        self.end_line()
        click.secho(text, fg=colour)
        self.printed = True


async def follow_job(client: Client, job_id: str, timeout: float | None, as_json: bool) -> None:
    """Everything about a job until it has ended: output and events."""
    printer = Printer(logs=True, events=True)
    try:
        async with asyncio.timeout(timeout), aclosing(client.events(job_id)) as events:
            async for event in events:
                output.line(event) if as_json else printer.show(event)
    except TimeoutError:
        printer.end_line()
        raise click.ClickException(f"job {job_id} has not ended in time; it goes on") from None
    printer.end_line()


def finish(job: Job, *, as_json: bool) -> None:
    """The last word about a job that has ended; exit status 1 unless it succeeded."""
    if as_json:
        output.document(job)
    else:
        reason = job.result_summary if job.status == "succeeded" else job.error_message or job.cancel_reason
        said = f": {plain(reason)}" if reason else ""
        click.echo(f"{job.id} {click.style(job.status, fg=output.COLOURS[job.status])}{said}")
    if job.status != "succeeded":
        sys.exit(1)
