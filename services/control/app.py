"""The control service: it publishes what operators decide, and shows what is; it never runs a job."""

from __future__ import annotations

from aiohttp import web

from services.control.dashboard.live_board import LiveBoard
from services.control.dashboard.live_rows import LiveRows
from services.control.dashboard.lookout import Lookout
from services.control.dashboard.pieces import Piece
from services.control.dashboard.rendering import Pages
from services.control.dashboard.timelines import Timelines
from services.control.handlers.job_page import LIVE_EVENTS, TIMELINES
from services.control.handlers.jobs_page import ROWS
from services.control.handlers.many_jobs import ARTIFACTS
from services.control.handlers.pages import BOARD, LOOKOUT, PAGES, refused
from services.control.handlers.static_files import FILES, files
from services.control.handlers.terminal import TERMINAL_METRICS, TERMINALS
from services.control.routes import ROUTES
from services.control.terminals import Terminals
from sluicegate.artifacts import open_store
from sluicegate.http import METRICS, REFUSAL_PAGE, application
from sluicegate.metrics import TerminalMetrics
from sluicegate.settings import ControlSettings
from sluicegate.store.connection import Store
from sluicegate.store.live_events import LiveEvents
from sluicegate.store.notices import Notices


def build(settings: ControlSettings, store: Store) -> web.Application:
    """The app; the store stays the caller's to close, after the app's cleanup."""
    app = application(settings, store, ROUTES)
    app[PAGES] = Pages(settings.page_refresh_seconds)
    app[REFUSAL_PAGE] = refused
    notices = Notices(store)
    app[ROWS] = LiveRows(store, notices, app[PAGES])
    app[LOOKOUT] = Lookout(settings, store)
    app[BOARD] = LiveBoard(app[LOOKOUT], notices, app[PAGES])
    app[LIVE_EVENTS] = LiveEvents(store, notices, Piece)
    app[TIMELINES] = Timelines(store)
    app[FILES] = files()
    app[ARTIFACTS] = open_store(settings)
    app[TERMINAL_METRICS] = TerminalMetrics(app[METRICS].registry)
    app[TERMINALS] = Terminals(settings, store, notices, app[TERMINAL_METRICS])
    app.on_cleanup.append(_close_reader)
    return app


async def _close_reader(app: web.Application) -> None:
    await app[TERMINALS].close()
    await app[LIVE_EVENTS].close()
