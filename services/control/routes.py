"""The addresses of the control service: its API, and the pages for people."""

from __future__ import annotations

from typing import Final

from services.control.handlers import pages, sessions, static_files, system, task_runs, terminal
from sluicegate.http import Endpoint
from sluicegate.http.endpoints import WEBSOCKET
from sluicegate.model import Job, Pauses
from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import AuditQuery, NoFields, PageQuery
from sluicegate.operations.narrow_pauses import NarrowPauseCall
from sluicegate.operations.pause import PauseCall, PauseStatus
from sluicegate.operations.run_control import ControlCall
from sluicegate.store.audit import AuditEntry
from sluicegate.store.controls import ControlEvent
from sluicegate.store.workers import Presence

RUN: Final = "/api/task-runs/{id}"

API: Final = (
    Endpoint(
        method="GET", path="/api/system/worker-pause", handler=system.pause_status, may="viewer",
        tag="system", summary="The pause state, the counts, what holds up a drain, the latest changes",
        query=NoFields, replies={200: PauseStatus},
    ),
    Endpoint(
        method="POST", path="/api/system/worker-pause", handler=system.change_pause, may="operator",
        tag="system", summary="Pause all workers, or let them go on", body=PauseCall,
        replies={200: PauseStatus}, errors=("pause_unchanged", "not_drained", "version_conflict"),
    ),
    Endpoint(
        method="GET", path="/api/system/pauses", handler=system.pauses, may="viewer", tag="system",
        summary="The pauses of one type, repository, capability or worker that are in force", query=NoFields,
        replies={200: Pauses},
    ),
    Endpoint(
        method="POST", path="/api/system/pauses", handler=system.change_pauses, may="operator", tag="system",
        summary="Pause one type, repository, capability or worker, or let it go on", body=NarrowPauseCall,
        replies={200: Pauses}, errors=("pause_unchanged", "version_conflict", "too_many_pauses"),
    ),
    Endpoint(
        method="GET", path="/api/system/audit", handler=system.audit_page, may="viewer", tag="system",
        summary="Who did what, newest first", query=AuditQuery, replies={200: Listed[AuditEntry]},
    ),
    Endpoint(
        method="GET", path="/api/system/workers", handler=system.worker_list, may="viewer", tag="system",
        summary="Who is there, what they can do, what they run", query=system.WorkersPage,
        replies={200: Listed[Presence]},
    ),
    Endpoint(
        method="POST", path=RUN + "/control", handler=task_runs.control, may="operator", tag="task runs",
        summary="Pause one run, take it over, let it go on, or send it back to a step", body=ControlCall,
        replies={200: Job}, errors=("job_not_found", "job_state_conflict", "payload_too_large"),
    ),
    Endpoint(
        method="GET", path=RUN + "/control-events", handler=task_runs.control_events, may="viewer",
        tag="task runs", summary="What operators did to a run, oldest first", query=PageQuery,
        replies={200: Listed[ControlEvent]}, errors=("job_not_found",),
    ),
    Endpoint(
        method="GET", path=RUN + "/terminal", handler=terminal.terminal, may="viewer", tag="live sessions",
        summary="The run's terminal, to watch and under a grant to type into (a WebSocket)",
        replies={101: None}, media=WEBSOCKET,
        errors=("bad_request", "csrf_failed", "job_not_found", "live_session_not_found"),
    ),
)  # fmt: skip

PAGES: Final = (
    Endpoint(method="GET", path="/", handler=pages.overview, may="viewer", login="/login"),
    Endpoint(
        method="GET", path="/events", handler=pages.overview_events, may="viewer", media="text/event-stream"
    ),
    Endpoint(method="GET", path="/jobs/{id}", handler=pages.job, may="viewer", login="/login"),
    Endpoint(
        method="GET", path="/jobs/{id}/events", handler=pages.job_events, may="viewer",
        media="text/event-stream",
    ),
    Endpoint(method="GET", path="/login", handler=sessions.login_page, may="open"),
    Endpoint(
        method="POST", path="/login", handler=sessions.login, may="open", form=sessions.LoginForm
    ),
    Endpoint(
        method="POST", path="/logout", handler=sessions.logout, may="viewer", form=sessions.LogoutForm
    ),
    Endpoint(method="GET", path="/static/{name}", handler=static_files.static_file, may="open"),
)  # fmt: skip

ROUTES: Final = (*API, *PAGES)
