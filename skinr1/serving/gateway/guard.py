"""What every request passes before anything reads it: size of headers, host, origin, key, number of requests, body.

Plain ASGI, each a layer around the next, because a layer that starts a response early must be able to leave the rest
of the body unread.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import anyio

from skinr1.serving.gateway.faults import Refused
from skinr1.serving.gateway.keys import KeyRing
from skinr1.serving.gateway.settings import LOOPBACK, GatewaySettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/health", "/ready"})
# Paths that make the model work; only these are counted against the bound.
COSTLY = ("/v1/chat/completions", "/v1/reports", "/tokenize")


def headers_of(scope: Scope) -> dict[str, str]:
    """Lower-case name -> value; of a repeated header the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


class Guard:
    """Size of headers, host and origin, key. Puts the key's name into the request's state as ``key``."""

    def __init__(self, app: App, settings: GatewaySettings, keys: KeyRing | None):
        self.app, self.keys = app, keys
        self.max_header = settings.max_header_kib * 1024

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no websocket is served
        scope.setdefault("state", {})["key"] = self._check(scope)
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> str:
        size = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
        if size + sum(len(name) + len(value) for name, value in scope["headers"]) > self.max_header:
            raise Refused(431, "headers", f"headers are larger than {self.max_header // 1024} KiB")
        headers = headers_of(scope)
        # Where no key is needed, a web page must not reach us through a name that it points at this machine.
        if self.keys is None and _hostname(headers.get("host", "")) not in LOOPBACK:
            raise Refused(403, "host", "without API keys the gateway answers to localhost only")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            raise Refused(403, "origin", "a page of another site may not ask")
        if self.keys is None or scope["path"] in OPEN_PATHS:
            return "local"
        holder = self.keys.holder(headers.get("authorization", ""))
        if holder is None:
            raise Refused(401, "api_key", "no valid API key; send it as `Authorization: Bearer KEY`")
        return holder


def _hostname(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""


class Admission:
    """At most ``limit`` costly requests at once, each for at most ``seconds``; the next is told when to come again.

    The time also ends a client that asks and then does not read.
    """

    def __init__(self, app: App, limit: int, seconds: float):
        self.app, self.limit, self.seconds = app, limit, seconds
        self.running = 0
        self._seconds = 1.0  # of a request, smoothed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(COSTLY):
            await self.app(scope, receive, send)
            return
        if self.running >= self.limit:
            raise Refused(429, "busy", f"{self.limit} requests are under way", min(60, max(1, round(self._seconds))))
        started = asyncio.get_running_loop().time()
        self.running += 1
        try:
            async with asyncio.timeout(self.seconds):
                await self.app(scope, receive, send)
        except TimeoutError:
            raise Refused(503, "time", f"no whole answer within {self.seconds:g} s", retry_after=30) from None
        finally:
            self.running -= 1
            self._seconds += 0.1 * (asyncio.get_running_loop().time() - started - self._seconds)


class Body:
    """Reads the body within its limits, then runs the application, and ends it when the client goes away."""

    def __init__(self, app: App, max_bytes: int, seconds: float):
        self.app, self.max_bytes, self.seconds = app, max_bytes, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.seconds):
                body = await self._read(headers_of(scope), receive)
        except TimeoutError:
            raise Refused(408, "slow_body", f"the body did not arrive within {self.seconds:g} s") from None
        if body is not None:
            await self._run(scope, body, receive, send)

    async def _read(self, headers: dict[str, str], receive: Receive) -> bytes | None:
        """The whole body; None when the client left."""
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Refused(415, "encoding", "a compressed body is not taken")
        declared = headers.get("content-length", "0")
        if not declared.isdigit():
            raise Refused(400, "content_length", "Content-Length is not a number")
        parts: list[bytes] = []
        size = int(declared)
        while size <= self.max_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                whole = b"".join(parts)
                if len(whole) <= self.max_bytes:
                    return whole
            size = sum(map(len, parts))
        raise Refused(413, "body", f"the body is larger than {self.max_bytes // 2**20} MiB")

    async def _run(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        given, gone = False, anyio.Event()

        async def whole() -> Message:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": body, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async with anyio.create_task_group() as group:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                gone.set()
                group.cancel_scope.cancel()  # closes the connection to vLLM, which aborts the request

            group.start_soon(watch)
            await self.app(scope, whole, send)
            group.cancel_scope.cancel()
