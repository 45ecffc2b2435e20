"""The page for people, hung into the gateway: it asks what /v1/reports asks, through the same code."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import FastAPI

from skinr1.errors import UserError
from skinr1.serving.envelope import ReportEnvelope, ReportRequest
from skinr1.serving.gateway.faults import Refused
from skinr1.serving.gateway.reports import Reporting, report_events

PATH = "/page"


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
