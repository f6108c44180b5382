"""Where an app keeps what its handlers need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from sluicegate.auth.identities import Identities
from sluicegate.auth.identity import Identity
from sluicegate.errors import SluicegateError
from sluicegate.http.endpoints import Endpoints
from sluicegate.http.long_requests import LongRequests
from sluicegate.http.rate_limits import RateLimits
from sluicegate.metrics import ServerMetrics
from sluicegate.settings import ServerSettings
from sluicegate.store import Store

SETTINGS: Final[web.AppKey[ServerSettings]] = web.AppKey("settings", ServerSettings)
STORE: Final[web.AppKey[Store]] = web.AppKey("store", Store)
METRICS: Final[web.AppKey[ServerMetrics]] = web.AppKey("metrics", ServerMetrics)
LONG_REQUESTS: Final[web.AppKey[LongRequests]] = web.AppKey("long_requests", LongRequests)
IDENTITIES: Final[web.AppKey[Identities]] = web.AppKey("identities", Identities)
ENDPOINTS: Final[web.AppKey[Endpoints]] = web.AppKey("endpoints", Endpoints)
RATE_LIMITS: Final[web.AppKey[RateLimits]] = web.AppKey("rate_limits", RateLimits)
RefusalPage = Callable[[web.Request, SluicegateError], Awaitable[web.Response | None]]
REFUSAL_PAGE: Final[web.AppKey[RefusalPage]] = web.AppKey("refusal_page", Callable)  # type: ignore[arg-type]
"""Of an app with pages: what a person is shown instead of a problem document; None for a program."""
IDENTITY: Final[web.RequestKey[Identity]] = web.RequestKey("identity", Identity)
