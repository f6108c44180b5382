"""What the handlers of this service share beside what every app has."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from services.queue_api.alarms import Alarms
from services.queue_api.controls import Controls
from sluicegate.artifacts import ArtifactStore
from sluicegate.errors import RequestError
from sluicegate.gathering import Gathering
from sluicegate.guard_hits import GuardHits
from sluicegate.operations.jobs import Accepted
from sluicegate.store.bells import Bells
from sluicegate.store.jobs import Submission
from sluicegate.store.live_events import LiveEvents
from sluicegate.store.streams import Streams

BELLS: Final = web.AppKey("bells", Bells)
ALARMS: Final = web.AppKey("alarms", Alarms)
CONTROLS: Final = web.AppKey("controls", Controls)
GUARD_HITS: Final = web.AppKey("guard_hits", GuardHits)
FILES: Final[web.AppKey[ArtifactStore]] = web.AppKey("files")
LIVE_EVENTS: Final = web.AppKey("live_events", LiveEvents[bytes])
STREAMS: Final = web.AppKey("streams", Streams)
Submissions = Gathering[Submission, Accepted | RequestError]
SUBMISSIONS: Final[web.AppKey[Submissions]] = web.AppKey("submissions", Gathering)
"""Concurrent enqueues: one call to the store for all that come while another is under way."""
