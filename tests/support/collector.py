"""A collector of OpenTelemetry on loopback: takes spans by OTLP over HTTP and keeps what they say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Sent(NamedTuple):
    """A span as it arrived. parent: empty for a root."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    kind: int
    failed: bool
    facts: dict[str, Any]


class Collector:
    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Sent] = []
        self.bodies: list[bytes] = []
        self.credentials: set[str | None] = set()

    def named(self, name: str) -> list[Sent]:
        return [each for each in self.spans if each.name == name]

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies.append(body)
        self.credentials.add(request.headers.get("authorization"))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _facts(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_sent(service, span) for span in scope.spans]
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """It listens inside the block."""
    collector, app = Collector(), web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield collector
    finally:
        await runner.cleanup()


def _sent(service: str, span: Any) -> Sent:
    return Sent(
        service,
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.status.code == span.status.STATUS_CODE_ERROR,
        _facts(span.attributes),
    )


def _facts(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
