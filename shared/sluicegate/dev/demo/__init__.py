"""A few real tasks on a deployment of one's own: what Sluicegate does, shown and checked in a minute."""

from sluicegate.dev.demo.stories import ENVIRONMENT, Demo

__all__ = ["ENVIRONMENT", "Demo"]
