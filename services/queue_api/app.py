"""The queue's REST service as an app: one reader of each kind for all its requests."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from services.queue_api.alarms import Alarms
from services.queue_api.controls import Controls
from services.queue_api.keys import (
    ALARMS,
    BELLS,
    CONTROLS,
    FILES,
    GUARD_HITS,
    LIVE_EVENTS,
    STREAMS,
    SUBMISSIONS,
)
from services.queue_api.routes import ROUTES
from sluicegate.artifacts import open_store
from sluicegate.gathering import Gathering
from sluicegate.guard_hits import GuardHits
from sluicegate.http import METRICS, application
from sluicegate.http.sse import event_frame
from sluicegate.operations.jobs import submit
from sluicegate.settings import QueueApiSettings
from sluicegate.store import Store
from sluicegate.store.bells import Bells
from sluicegate.store.live_events import LiveEvents
from sluicegate.store.notices import Notices
from sluicegate.store.streams import Streams


def build(settings: QueueApiSettings, store: Store) -> web.Application:
    """The app; the store stays the caller's to close, after the app's cleanup."""
    app = application(settings, store, ROUTES)
    app[BELLS] = Bells(store)
    app[ALARMS] = Alarms(app[BELLS])
    app[CONTROLS] = Controls(store)
    app[GUARD_HITS] = GuardHits(app[METRICS].jobs.guard_hits)
    app[FILES] = open_store(settings)
    app[LIVE_EVENTS] = LiveEvents(store, Notices(store), event_frame)
    app[STREAMS] = Streams(store)
    app[SUBMISSIONS] = Gathering(partial(submit, store))
    app.on_cleanup.append(_close_readers)
    return app


async def _close_readers(app: web.Application) -> None:
    app[ALARMS].close()
    await app[BELLS].close()
    await app[CONTROLS].close()
    await app[LIVE_EVENTS].close()
    await app[STREAMS].close()
    await app[SUBMISSIONS].close()
