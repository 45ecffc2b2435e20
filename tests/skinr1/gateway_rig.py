"""A gateway in front of a small fake of vLLM, both on real sockets in this process, for the tests of the gateway."""

import asyncio
import base64
import contextlib
import io
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from skinr1.knowledge import Knowledge, Passage
from skinr1.report import Answer, render
from skinr1.serving.gateway.app import create_app
from skinr1.serving.gateway.settings import GatewaySettings
from skinr1.serving.rules import apply_rules
from tests.skinr1.sample_report import REPORT, TREE

EXPECTED = apply_rules(REPORT, TREE)[0]  # what comes out where REPORT goes in
ANSWER = render(Answer("A brown papule with a sharp border.", REPORT))
# Bounds of the image gate that noise passes; tests/skinr1/test_gateway_safety.py has the real ones.
ANY: dict[str, float] = {
    **dict.fromkeys(("side_refused", "side", "sharpness_refused", "sharpness", "edges_refused", "edges"), 0),
    **dict.fromkeys(("highlight_refused", "highlight", "skin_refused", "skin"), 0),
    **dict.fromkeys(("blown_refused", "blown", "flatness_refused"), 1),
    "smoothness_refused": -1,
}
METRICS = '# HELP vllm:ran Requests.\n# TYPE vllm:ran counter\nvllm:ran_total{model_name="m"} 3.0\n'


# Narrow limits, so that tests of them are short.
STRICT: dict[str, Any] = {
    **{"max_body_mib": 1, "body_seconds": 1, "decode_seconds": 20},
    "image_hosts": ["images.example"],
}
# Put together: a test of the whole tree takes such an address for one of this machine.
FILE = "file:" + "///etc/passwd"


class FakeVllm:
    """Answers every chat with ``text``; ``bodies`` holds what it was asked, ``running`` what is not over.

    Args:
        gap: seconds between the pieces of a streamed answer, and before a whole one.
    """

    def __init__(self, text: str | Callable[[dict[str, Any]], str] = ANSWER, gap: float = 0.0):
        self.text, self.gap = text, gap
        self.bodies: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.running = self.aborted = self.finished = 0
        self.healthy = True
        self.fault: Response | None = None
        self.finish = "stop"

    async def chat(self, request: Request) -> Response:
        self.raw.append(await request.body())
        body = json.loads(self.raw[-1])
        if body.get("max_tokens") == 1:  # the gateway's first call
            return JSONResponse(self._whole("x"))
        self.bodies.append(body)
        if self.fault is not None:
            return self.fault
        text = self.text(body) if callable(self.text) else self.text
        if body.get("stream"):
            return StreamingResponse(self._pieces(text), media_type="text/event-stream")
        self.running += 1
        try:
            left = asyncio.ensure_future(self._left(request))
            done = asyncio.ensure_future(asyncio.sleep(self.gap))
            await asyncio.wait({left, done}, return_when=asyncio.FIRST_COMPLETED)
            self.aborted += not done.done()
            self.finished += done.done()
            left.cancel()
        finally:
            self.running -= 1
        return JSONResponse(self._whole(text))

    async def _left(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    def _whole(self, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}

    async def _pieces(self, text: str) -> AsyncIterator[bytes]:
        self.running += 1
        complete = False
        try:
            for place in range(0, len(text), 9):
                yield self._chunk(text[place : place + 9], None)
                await asyncio.sleep(self.gap)
            yield self._chunk("", self.finish) + b"data: [DONE]\n\n"
            complete = True
        finally:
            self.running -= 1
            self.aborted += not complete
            self.finished += complete

    def _chunk(self, text: str, finish: str | None) -> bytes:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return f"data: {json.dumps(chunk)}\n\n".encode()

    async def models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "base", "object": "model"}, {"id": "sft"}]})

    async def tokenize(self, request: Request) -> Response:
        return JSONResponse({"tokens": [len((await request.json())["prompt"])]})

    async def health(self, request: Request) -> Response:
        return Response(status_code=200 if self.healthy else 503)

    async def metrics(self, request: Request) -> Response:
        return PlainTextResponse(METRICS)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/models", self.models),
                Route("/tokenize", self.tokenize, methods=["POST"]),
                Route("/health", self.health),
                Route("/metrics", self.metrics),
            ]
        )


@contextlib.contextmanager
def listening(app: Any, port: int = 0) -> Iterator[str]:
    """Serves an application on a thread; yields ``http://127.0.0.1:port``."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="warning", http="h11", timeout_graceful_shutdown=1, lifespan="on")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    assert thread.is_alive(), "the server ended at its start"
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)


def until(true: Callable[[], bool], seconds: float = 180.0) -> None:
    """Waits for a condition; fails when it does not come true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.01)


@contextlib.contextmanager
def gateway(fake: FakeVllm, folder: Path, **settings: Any) -> Iterator[str]:
    """A gateway in front of the fake, ready; yields its address."""
    cited = (
        Passage(name, "primer", "Section", (), "morphology", f"Text of {name}.", 0, 9) for name in REPORT.citations
    )
    Knowledge({passage.id: passage for passage in cited}, (), ()).save(folder / "knowledge")
    settings = {"jobs": folder / "jobs", "knowledge": folder / "knowledge", "quality": ANY, "page": False, **settings}
    with listening(fake.app()) as upstream:
        app = create_app(GatewaySettings(**settings), [f"{upstream}/v1"], TREE)
        with listening(app) as address:
            until(lambda: app.state.reporting.upstreams.ready)
            yield address


def photo(kind: str = "PNG", size: tuple[int, int] = (64, 56), **options: Any) -> bytes:
    """A noisy picture as a file."""
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def as_json(data: bytes, **further: Any) -> dict[str, Any]:
    """The JSON of a request for a report on one image."""
    return {"images": [{"data": encoded(data)}], **further}


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def ask_report(url: str, data: bytes) -> httpx.Response:
    return httpx.post(f"{url}/v1/reports", json=as_json(data), timeout=60)


def ask_chat(url: str, address: str) -> httpx.Response:
    part = {"type": "image_url", "image_url": {"url": address}}
    body = {"model": "sft", "messages": [{"role": "user", "content": [part]}]}
    return httpx.post(f"{url}/v1/chat/completions", json=body)
