"""The addresses of the control service: its API, and the pages for people."""

from __future__ import annotations

from typing import Final

from services.control.dashboard.forms import AnyForm
from services.control.dashboard.output_view import OutputQuery
from services.control.handlers import (
    artifact_page,
    audit_page,
    dead_letters_page,
    job_actions,
    job_page,
    jobs_page,
    live_sessions,
    new_job_page,
    pages,
    pauses_page,
    sessions,
    static_files,
    system,
    task_runs,
    terminal,
    tokens_page,
    workers_page,
)
from sluicegate.http import Endpoint
from sluicegate.http.endpoints import WEBSOCKET
from sluicegate.model import Job, Pauses
from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import AuditQuery, NoFields, PageQuery
from sluicegate.operations.live_sessions import (
    CreateCall,
    GrantAnswer,
    GrantCall,
    RenewCall,
    ReportCall,
    RevokeCall,
    SessionAnswer,
    WorkerSessionAnswer,
    WorkerSessionQuery,
)
from sluicegate.operations.messages import MessageCall
from sluicegate.operations.narrow_pauses import NarrowPauseCall
from sluicegate.operations.pause import PauseCall, PauseStatus
from sluicegate.operations.run_control import ControlCall
from sluicegate.store.audit import AuditEntry
from sluicegate.store.controls import ControlEvent
from sluicegate.store.workers import Presence

RUN: Final = "/api/task-runs/{id}"
LIVE: Final = RUN + "/live-session"
OF_WORKER: Final = (
    "job_not_found", "job_not_authorized", "job_ownership_mismatch", "lease_lost", "live_session_not_found",
    "live_session_state_conflict",
)  # fmt: skip

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
    Endpoint(
        method="POST", path=RUN + "/operator-messages", handler=task_runs.message, may="operator",
        tag="task runs", summary="Say something to the agent: into its inbox, and with its next prompt",
        body=MessageCall, replies={201: ControlEvent},
        errors=("job_not_found", "job_state_conflict", "payload_too_large"),
    ),
    Endpoint(
        method="POST", path=LIVE, handler=live_sessions.create, may="operator", tag="live sessions",
        summary="Have a terminal opened on a running task; one that is open stays", body=CreateCall,
        optional_body=True, replies={201: SessionAnswer, 200: SessionAnswer},
        errors=("job_not_found", "job_state_conflict", "live_session_state_conflict", "payload_too_large"),
    ),
    Endpoint(
        method="GET", path=LIVE, handler=live_sessions.get, may="viewer", tag="live sessions",
        summary="The run's newest live session; no way to write is in it", query=NoFields,
        replies={200: SessionAnswer}, errors=("job_not_found", "live_session_not_found"),
    ),
    Endpoint(
        method="POST", path=LIVE + "/grant-write", handler=live_sessions.grant, may="operator",
        tag="live sessions", summary="Let the caller type for a while; 422 unless the session is ready",
        body=GrantCall, optional_body=True, replies={200: GrantAnswer},
        errors=("job_not_found", "live_session_not_found", "payload_too_large"),
    ),
    Endpoint(
        method="POST", path=LIVE + "/revoke", handler=live_sessions.revoke, may="operator",
        tag="live sessions", summary="End the session for everyone, at once", body=RevokeCall,
        optional_body=True, replies={200: SessionAnswer},
        errors=("job_not_found", "live_session_not_found", "live_session_state_conflict"),
    ),
    Endpoint(
        method="POST", path=LIVE + "/report", handler=live_sessions.report, may="worker", unlimited=True,
        tag="live sessions", summary="How the session is, by the worker that holds the run",
        body=ReportCall, replies={200: WorkerSessionAnswer}, errors=OF_WORKER,
    ),
    Endpoint(
        method="POST", path=LIVE + "/heartbeat", handler=live_sessions.renew, may="worker", unlimited=True,
        tag="live sessions", summary="The session's worker is there; the heartbeat of its lease says it too",
        body=RenewCall, replies={200: WorkerSessionAnswer}, errors=OF_WORKER,
    ),
    Endpoint(
        method="GET", path=LIVE + "/worker", handler=live_sessions.wanted, may="worker",
        tag="live sessions", summary="What the session's worker has to do", query=WorkerSessionQuery,
        replies={200: WorkerSessionAnswer},
        errors=("job_not_found", "job_not_authorized", "live_session_not_found"),
    ),
)  # fmt: skip

PAGES: Final = (
    Endpoint(method="GET", path="/", handler=pages.overview, may="viewer", login="/login"),
    Endpoint(
        method="GET", path="/events", handler=pages.overview_events, may="viewer",
        query=pages.PartsQuery, media="text/event-stream",
    ),
    Endpoint(method="GET", path="/jobs", handler=jobs_page.show, may="viewer", login="/login"),
    Endpoint(
        method="POST", path="/jobs", handler=jobs_page.change, may="operator", login="/login", form=AnyForm
    ),
    Endpoint(
        method="GET", path="/dead-letters", handler=dead_letters_page.show, may="viewer", login="/login"
    ),
    Endpoint(
        method="POST", path="/dead-letters", handler=dead_letters_page.change, may="operator",
        login="/login", form=AnyForm,
    ),
    Endpoint(method="GET", path="/jobs/new", handler=new_job_page.show, may="operator", login="/login"),
    Endpoint(
        method="POST", path="/jobs/new", handler=new_job_page.change, may="operator", login="/login",
        form=AnyForm,
    ),
    Endpoint(method="POST", path="/jobs/new/check", handler=new_job_page.check, may="operator", form=AnyForm),
    Endpoint(method="GET", path="/tokens", handler=tokens_page.show, may="admin", login="/login"),
    Endpoint(
        method="POST", path="/tokens", handler=tokens_page.change, may="admin", login="/login", form=AnyForm
    ),
    Endpoint(method="GET", path="/workers", handler=workers_page.show, may="viewer", login="/login"),
    Endpoint(
        method="GET", path="/jobs/events", handler=jobs_page.events, may="viewer", media="text/event-stream"
    ),
    Endpoint(
        method="GET", path="/jobs/{id}", handler=job_page.show, may="viewer", login="/login",
        query=OutputQuery,
    ),
    Endpoint(
        method="GET", path="/jobs/{id}/events", handler=job_page.events, may="viewer",
        query=job_page.StreamQuery, media="text/event-stream",
    ),
    Endpoint(
        method="GET", path="/jobs/{id}/artifacts/{artifactId}", handler=artifact_page.show, may="viewer",
        login="/login", query=artifact_page.PartQuery,
    ),
    Endpoint(
        method="GET", path="/jobs/{id}/artifacts/{artifactId}/download", handler=artifact_page.download,
        may="viewer", login="/login",
    ),
    Endpoint(
        method="GET", path="/jobs/{id}/actions/{action}", handler=job_actions.ask, may="operator",
        login="/login",
    ),
    Endpoint(
        method="POST", path="/jobs/{id}/actions/{action}", handler=job_actions.act, may="operator",
        login="/login", form=AnyForm,
    ),
    Endpoint(method="GET", path="/pauses", handler=pauses_page.show, may="viewer", login="/login"),
    Endpoint(
        method="POST", path="/pauses", handler=pauses_page.change, may="operator", login="/login",
        form=AnyForm,
    ),
    Endpoint(method="GET", path="/audit", handler=audit_page.show, may="viewer", login="/login"),
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
