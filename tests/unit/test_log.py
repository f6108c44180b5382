"""Logs are JSON lines with fixed event names."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from sluicegate import log as logs


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    logs.configure("queue_api", "info", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_time_level_event_and_the_given_fields(written: io.StringIO) -> None:
    logs.log.info("lease_expired", job_id="j1", attempt=2)
    (line,) = lines(written)
    assert line["ts"].endswith("Z")
    assert {**line, "ts": ""} == {
        "ts": "",
        "level": "info",
        "event": "lease_expired",
        "service": "queue_api",
        "logger": "sluicegate",
        "job_id": "j1",
        "attempt": 2,
    }


def test_bound_fields_are_on_every_line(written: io.StringIO) -> None:
    bound = logs.get("sluicegate.worker").bind(worker="w1").bind(job_id="j1")
    bound.warning("heartbeat_late", seconds=4.5)
    bound.info("heartbeat", worker="w2")
    first, second = lines(written)
    assert (first["worker"], first["job_id"], first["seconds"]) == ("w1", "j1", 4.5)
    assert (second["worker"], second["job_id"]) == ("w2", "j1")


def test_a_field_does_not_replace_the_lines_own(written: io.StringIO) -> None:
    logs.log.info("started", level="x", ts="y", event_="z", service="s")
    (line,) = lines(written)
    assert (line["level"], line["level_"], line["ts_"], line["service_"]) == ("info", "x", "y", "s")


def test_an_error_carries_its_traceback(written: io.StringIO) -> None:
    try:
        int("no")
    except ValueError as error:
        logs.log.error("request_failed", error=error)
    (line,) = lines(written)
    assert line["error"] == "ValueError: invalid literal for int() with base 10: 'no'"
    assert "test_an_error_carries_its_traceback" in line["traceback"]


def test_other_libraries_lines_have_the_same_form(written: io.StringIO) -> None:
    logging.getLogger("aiohttp.server").warning("odd %s", "thing")
    (line,) = lines(written)
    assert (line["event"], line["message"], line["logger"]) == ("library", "odd thing", "aiohttp.server")


def test_lines_below_the_level_are_left_out_and_what_is_no_json_is_text(written: io.StringIO) -> None:
    logs.log.debug("detail")
    logs.log.info("odd", value={1, 2}, path=object)
    (line,) = lines(written)
    assert line["value"] == "{1, 2}"


def test_configuring_again_replaces_the_output(written: io.StringIO) -> None:
    second = io.StringIO()
    logs.configure("control", "warning", second)
    logs.log.info("unseen")
    logs.log.warning("seen")
    assert written.getvalue() == ""
    assert [line["service"] for line in lines(second)] == ["control"]
