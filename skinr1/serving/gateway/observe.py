"""The outermost layer: a number for each request, one log line without content, counters, and refusals as responses."""

import logging
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skinr1.serving.gateway.faults import Refused
from skinr1.serving.gateway.guard import OPEN_PATHS
from skinr1.serving.gateway.metrics import Metrics

LOG = logging.getLogger("skinr1.gateway")


class Observe:
    """What is logged: the route's template (not the path, which may hold an id), status, time, name of the key."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        number, started, status = uuid.uuid4().hex[:12], time.monotonic(), 0

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                safe = [(b"x-request-id", number.encode()), (b"x-content-type-options", b"nosniff")]
                message = {**message, "headers": [*message["headers"], *safe]}
            await send(message)

        self.metrics.running.inc()
        try:
            await self.app(scope, receive, numbered)
        except Refused as refused:
            self.metrics.refused.labels(refused.code).inc()
            if status:  # a part of an answer is out: nothing but the end of the connection can tell of it
                raise
            await refused.response()(scope, receive, numbered)
        finally:
            self.metrics.running.dec()
            self._count(scope, status, number, time.monotonic() - started)

    def _count(self, scope: Scope, status: int, number: str, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or ("page" if status < 400 and status else "other")
        method = scope["method"] if scope["method"] in ("GET", "POST", "DELETE", "HEAD") else "other"
        # a client that left before any answer has no status; 499 as nginx writes it
        self.metrics.requests.labels(route, method, str(status or 499)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        key = scope.get("state", {}).get("key", "-")
        level = logging.DEBUG if route in OPEN_PATHS else logging.INFO  # probes ask every second
        LOG.log(level, "%s %s %s %d %.0f ms key=%s", number, method, route, status or 499, seconds * 1000, key)
