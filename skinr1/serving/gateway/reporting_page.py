"""The page for people, hung into the gateway: it asks what /v1/reports asks, through the same code."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skinr1.errors import UserError
from skinr1.serving.envelope import ReportEnvelope, ReportRequest
from skinr1.serving.gateway.faults import Refused
from skinr1.serving.gateway.reports import Reporting, report_events

PATH = "/page"
FULL_QUEUE_SECONDS = 30  # until some of those who wait have their report


class TellWhen:
    """Gradio's 503 of a full queue says when to come again, as the gateway's own refusals do."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 503:
                MutableHeaders(scope=message).setdefault("Retry-After", str(FULL_QUEUE_SECONDS))
            await send(message)

        joins = scope["type"] == "http" and scope["path"] == f"{PATH}/gradio_api/queue/join"
        await self.app(scope, receive, told if joins else send)


def add_page(app: FastAPI, reporting: Reporting) -> None:
    """Mounts the page at ``/page``."""
    from skinr1.serving.page import mount  # Gradio takes seconds to import
    from skinr1.serving.page.examples import rendered_examples

    async def stream(request: ReportRequest) -> AsyncGenerator[str | ReportEnvelope]:
        try:
            async with aclosing(report_events(request, reporting)) as events:
                async for event in events:
                    yield event
        except Refused as refused:
            raise UserError(refused.message, "report", "Please correct it, or try again later.") from None

    mount(
        app,
        stream,
        reporting.taxonomy,
        reporting.passages,
        path=PATH,
        examples=rendered_examples(),
        max_file_bytes=reporting.settings.max_body,
    )
