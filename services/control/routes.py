"""The addresses of the control service."""

from __future__ import annotations

from aiohttp import web

from services.control.handlers import pages, static_files, system

ROUTES = (
    web.get("/api/system/worker-pause", system.pause_status),
    web.post("/api/system/worker-pause", system.change_pause),
    web.get("/api/system/audit", system.audit_page),
    web.get("/api/system/workers", system.worker_list),
    web.get("/", pages.overview),
    web.get("/events", pages.overview_events),
    web.get("/jobs/{id}", pages.job),
    web.get("/jobs/{id}/events", pages.job_events),
    web.get("/static/{name}", static_files.static_file),
)
