"""Uploads of the page, cleaned on their way to Gradio, which writes them to the disk as it gets them."""

import httpx
from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skinr1.serving.gateway.bodies import read_form, read_json
from skinr1.serving.gateway.faults import Refused
from skinr1.serving.gateway.metrics import Metrics
from skinr1.serving.gateway.pictures import clean_all


class CleanUploads:
    """Puts new PNGs of the pixels in the place of uploaded files, numbered in the place of their names.

    So neither metadata (place, camera) nor a file name (of a patient, maybe) is ever stored. An upload that is no
    picture as /v1/reports takes it is refused, and so is whatever is posted to a door of Gradio's that the page does
    not use: some write what they get to the disk.

    Args:
        page: where the page is mounted.
        seconds: for decoding the pictures of one upload.
        max_depth: of the JSON that is posted to the page's other doors.
    """

    def __init__(self, app: ASGIApp, page: str, seconds: float, max_depth: int, metrics: Metrics):
        self.app, self.page, self.seconds, self.max_depth, self.metrics = app, page, seconds, max_depth, metrics
        self.upload, *self.open = (f"{page}/gradio_api/{door}" for door in ("upload", "queue/join", "cancel", "reset"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(f"{self.page}/"):
            await self.app(scope, receive, send)
            return
        try:
            await self.app(*await self._let_in(scope, receive), send)
        except Refused as refused:
            self.metrics.refused.labels(refused.code).inc()
            await refused.response()(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """What Gradio gets in the place of a request. Raises Refused."""
        request = Request(scope, receive)
        if scope["path"] in self.open:
            body = await request.body()
            read_json(body, self.max_depth)
            return scope, _once(body, receive)
        if scope["path"] != self.upload:
            raise Refused(404, "http", "the page does not use this")
        made = await self._cleaned(request)
        new = {name.lower().encode(): made.headers[name].encode() for name in ("Content-Type", "Content-Length")}
        kept = [(name, value) for name, value in scope["headers"] if name not in new]
        return {**scope, "headers": [*kept, *new.items()]}, _once(made.read(), receive)

    async def _cleaned(self, request: Request) -> httpx.Request:
        form = await read_form(request)
        given = [(name, await value.read()) for name, value in form.multi_items() if isinstance(value, UploadFile)]
        pictures = await clean_all([data for _, data in given], self.seconds, None)
        return httpx.Request(
            "POST",
            "http://page",
            files=[
                (name, (f"image-{number}.png", picture.png, "image/png"))
                for number, ((name, _), picture) in enumerate(zip(given, pictures, strict=True), 1)
            ],
        )


def _once(body: bytes, then: Receive) -> Receive:
    """Gives the body first, and then what comes."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await then()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
