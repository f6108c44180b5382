"""Which trace a job belongs to, from its producer to its attempts (W3C Trace Context)."""

from sluicegate.tracing.context import TraceContext, current, from_headers, from_text, of_request, parsed

__all__ = ["TraceContext", "current", "from_headers", "from_text", "of_request", "parsed"]
