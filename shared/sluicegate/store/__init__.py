"""The state machine: the only place that touches Redis. One Lua script per transition; see LIFECYCLE.md."""

from sluicegate.store.connection import Store

__all__ = ["Store"]
