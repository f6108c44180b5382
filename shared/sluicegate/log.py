"""Logs are JSON lines on stderr, each with `ts`, `level`, `event` and the fields that were given.

A line that is written inside a span also has its `trace_id` and `span_id`.

The event is a fixed name to search for (`service_listening`), never a sentence with values in it: values
are fields. Other libraries' records come out in the same form, as the event `library`.

    from sluicegate.log import log
    log.info("lease_expired", job_id=job_id, attempt=2)
    log.bind(job_id=job_id, worker=worker_id).warning("heartbeat_late", seconds=4.2)
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

import orjson

from sluicegate.times import to_rfc3339
from sluicegate.tracing import context as tracing

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
RESERVED: Final = frozenset(
    {"ts", "level", "event", "service", "logger", "error", "traceback", "trace_id", "span_id"}
)


class Log:
    """One logger with the fields that every line of it carries."""

    __slots__ = ("_fields", "_logger")

    def __init__(self, logger: logging.Logger, fields: dict[str, Any] | None = None) -> None:
        self._logger = logger
        self._fields = fields or {}

    def bind(self, **fields: Any) -> Log:
        return Log(self._logger, {**self._fields, **fields})

    def debug(self, event: str, **fields: Any) -> None:
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, *, error: BaseException | None = None, **fields: Any) -> None:
        """`error` adds the exception's class, text and traceback."""
        self._write(logging.ERROR, event, fields, error)

    def _write(
        self, level: int, event: str, fields: dict[str, Any], error: BaseException | None = None
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, exc_info=error, extra={"fields": {**self._fields, **fields}})


def get(name: str) -> Log:
    """A logger of its own name, for a part whose lines someone may want to tell apart or silence."""
    return Log(logging.getLogger(name))


log: Final = get("sluicegate")


class JsonLines(logging.Formatter):
    """A record as one line of JSON. A field cannot replace the line's own; it gets a trailing `_`."""

    def __init__(self, service: str, clean: Callable[[str], str]) -> None:
        super().__init__()
        self._service = service
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] | None = getattr(record, "fields", None)
        line: dict[str, Any] = {
            "ts": to_rfc3339(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "event": record.getMessage() if fields is not None else "library",
            "service": self._service,
            "logger": record.name,
        }
        if fields is None:
            line["message"] = record.getMessage()
        else:
            line |= {f"{name}_" if name in RESERVED else name: value for name, value in fields.items()}
        if (context := tracing.current()) is not None:
            line |= {"trace_id": context.trace_id, "span_id": context.span_id}
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
            line["traceback"] = self.formatException(record.exc_info)
        return self._clean(orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode())


class Output(logging.StreamHandler[TextIO]):
    """The handler that `configure` installs, told apart from those of a test or an embedding program."""


def configure(
    service: str, level: str = "info", stream: TextIO | None = None, clean: Callable[[str], str] = str
) -> None:
    """Send everything that this process logs to `stream` (stderr). May be repeated; the last call holds.

    clean: takes secrets out of each line.
    """
    output = Output(stream or sys.stderr)
    output.setFormatter(JsonLines(service, clean))
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, Output)]:
        root.removeHandler(handler)
    root.addHandler(output)
    root.setLevel(LEVELS[level])
