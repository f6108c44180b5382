"""The command `sluicegate`: exit status 0, 1 (it failed), 2 (used wrongly); errors are plain lines on stderr.

A command's module is imported when the command is used, so that `version` and shell completion do not pay
for HTTP, tables and the store.
"""

from __future__ import annotations

import gc
import importlib
from typing import IO, Any, Final, cast

import click

from sluicegate.errors import ServerUnreachable, SluicegateError

COMMANDS: Final = {
    "dev": "sluicegate.dev.command:dev",
    "api": "sluicegate.cli.services:api",
    "control": "sluicegate.cli.services:control",
    "worker": "sluicegate.cli.services:worker",
    "sweeper": "sluicegate.cli.services:sweeper",
    "drain-hook": "sluicegate.cli.drain_hook:drain_hook",
    "enqueue": "sluicegate.cli.enqueue:enqueue",
    "jobs": "sluicegate.cli.jobs:jobs",
    "attach": "sluicegate.cli.attach:attach",
    "message": "sluicegate.cli.live:message",
    "live": "sluicegate.cli.live:live",
    "grant": "sluicegate.cli.live:grant",
    "revoke": "sluicegate.cli.live:revoke",
    "dlq": "sluicegate.cli.dead_letters:dlq",
    "pause": "sluicegate.cli.pause:pause",
    "resume": "sluicegate.cli.pause:resume",
    "pauses": "sluicegate.cli.pause:pauses",
    "audit": "sluicegate.cli.audit:audit",
    "status": "sluicegate.cli.status:status",
    "workers": "sluicegate.cli.workers:workers",
    "runtimes": "sluicegate.cli.runtimes:runtimes",
    "doctor": "sluicegate.cli.doctor:doctor",
    "drill": "sluicegate.drill.command:drill",
    "mcp": "sluicegate.cli.mcp:mcp",
    "tokens": "sluicegate.cli.tokens:tokens",
    "config": "sluicegate.cli.config:config",
    "version": "sluicegate.cli.version:version",
}
"""In the order of `--help`: start something, give it work, steer it, look at the rest."""


class Failure(click.ClickException):
    """A refusal or a fault, as lines on stderr: what is wrong, each wrong field, what to do about it."""

    exit_code = 1

    def __init__(self, error: SluicegateError) -> None:
        super().__init__(error.detail)
        self.error = error

    def show(self, file: IO[Any] | None = None) -> None:
        fields = self.error.extra.get("errors") or []
        if len(fields) == 1:
            fields = []  # the sentence already names it
        lines = [f"Error: {'some fields are wrong:' if fields else self.error.detail}"]
        lines += [f"  {each['path'] or '(the whole)'}: {each['message']}" for each in fields]
        if isinstance(self.error, ServerUnreachable):
            lines.append("Start one with `sluicegate dev`, or name yours with --url or SLUICEGATE_URL.")
        click.echo("\n".join(lines), file=file, err=file is None)


class Commands(click.Group):
    """The commands, imported one at a time; turns the library's errors into lines."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        return cast(click.Command, getattr(importlib.import_module(module), name))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SluicegateError as error:
            raise Failure(error) from error
        finally:
            gc.freeze()  # else the process ends by looking at all that was imported: a fifth of most commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """A job queue for long-running agent tasks, on Redis Streams.

    \b
    Try it on this machine:
      sluicegate dev                                      everything, on one port
      sluicegate enqueue --type noop --payload '{}' --wait
    """
