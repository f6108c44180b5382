"""Commands of an attempt: each under a guard, in its own session, ended down to the last descendant."""

from sluicegate.worker.process.command import Command, CommandNotStarted, CommandResult, Grace

__all__ = ["Command", "CommandNotStarted", "CommandResult", "Grace"]
