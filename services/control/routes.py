"""The addresses of the control service: its API, and the pages for people."""

from __future__ import annotations

from typing import Final

from services.control.handlers import pages, sessions, static_files, system
from sluicegate.http import Endpoint
from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import NoFields, PageQuery
from sluicegate.operations.pause import PauseCall, PauseStatus
from sluicegate.store.audit import AuditEntry
from sluicegate.store.workers import Presence

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
        method="GET", path="/api/system/audit", handler=system.audit_page, may="viewer", tag="system",
        summary="Who did what, newest first", query=PageQuery, replies={200: Listed[AuditEntry]},
    ),
    Endpoint(
        method="GET", path="/api/system/workers", handler=system.worker_list, may="viewer", tag="system",
        summary="Who is there, what they can do, what they run", query=system.WorkersPage,
        replies={200: Listed[Presence]},
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
