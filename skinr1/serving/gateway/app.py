"""The gateway's application: its routes, and the layers that every request passes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any

import httpx
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from skinr1 import __version__
from skinr1.knowledge import Knowledge
from skinr1.report import DISCLAIMER
from skinr1.serving.envelope import ReportEnvelope
from skinr1.serving.formats import MEDIA_TYPES, Format, write
from skinr1.serving.gateway import batch, chat, openapi
from skinr1.serving.gateway.bodies import fault_words, read_object, read_request
from skinr1.serving.gateway.faults import Refused, documented, unavailable
from skinr1.serving.gateway.guard import Admission, Body, Guard
from skinr1.serving.gateway.keys import KeyRing
from skinr1.serving.gateway.metrics import Metrics
from skinr1.serving.gateway.observe import Observe
from skinr1.serving.gateway.reporting_page import PATH, TellWhen, add_page
from skinr1.serving.gateway.reports import Reporting, make_report, policies_of, report_events
from skinr1.serving.gateway.settings import GatewaySettings
from skinr1.serving.gateway.uploads import CleanUploads
from skinr1.serving.gateway.upstreams import Upstreams
from skinr1.taxonomy import Taxonomy

EVENT_STREAM = "text/event-stream"
OTHER_FORMS = (EVENT_STREAM, *(kind for form, kind in MEDIA_TYPES.items() if form != "json"))


class State(BaseModel):
    """``ok``, or what is waited for."""

    status: str


def create_app(
    settings: GatewaySettings,
    urls: Sequence[str],
    taxonomy: Taxonomy,
    *,
    model_hashes: Mapping[str, str] | None = None,
    max_pixels: int | None = None,
    upstream_key: str | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """The gateway in front of the vLLM servers at ``urls`` (each ending in /v1).

    Args:
        model_hashes: as of :class:`~skinr1.serving.gateway.reports.Reporting`, filled in later if need be.
        upstream_key: API key of the vLLM servers.
        transport: of the connections to them, for tests.

    Raises:
        UserError: the knowledge or the file of API keys is missing or damaged, or another gateway works on the jobs.
    """
    metrics = Metrics()
    upstreams = Upstreams(urls, taxonomy, settings.answer_seconds, upstream_key, transport)
    passages = Knowledge.load(settings.knowledge).passages if settings.knowledge else {}
    hashes = {} if model_hashes is None else model_hashes
    reporting = Reporting(upstreams, taxonomy, settings, hashes, passages, max_pixels, policies_of(settings))
    keys = KeyRing(settings.keys) if settings.keys else None
    jobs = batch.Jobs(reporting, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with jobs.opened():
            tasks = [asyncio.create_task(upstreams.watch(replica)) for replica in upstreams.replicas]
            tasks.append(asyncio.create_task(jobs.run()))
            yield
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await upstreams.close()

    app = FastAPI(
        title="skinr1 gateway",
        version=__version__,
        description=f"Structured reports on skin images. {DISCLAIMER}",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    # the last one added is the outermost
    if settings.page:
        app.add_middleware(TellWhen)
        limits = {"seconds": settings.decode_seconds, "max_depth": settings.max_json_depth}
        app.add_middleware(CleanUploads, page=PATH, **limits, metrics=metrics)
    app.add_middleware(Body, max_bytes=settings.max_body, seconds=settings.body_seconds)
    app.add_middleware(Admission, limit=settings.max_requests, seconds=settings.answer_seconds)
    app.add_middleware(Guard, settings=settings, keys=keys)
    app.add_middleware(Observe, metrics=metrics)

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        metrics.refused.labels(error.code).inc()
        return error.response()

    async def not_found(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = Refused(error.status_code, "http", str(error.detail)).response()
        response.headers.update(error.headers or {})
        return response

    async def wrong_query(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        return await refused(request, Refused(422, "field", fault_words({**first, "loc": first["loc"][1:]})))

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(RequestValidationError, wrong_query)
    app.add_exception_handler(HTTPException, not_found)
    _observed(app, upstreams, metrics)
    _passed_through(app, upstreams, settings)
    _reports(app, reporting, metrics)
    batch.add_routes(app, jobs, settings)
    if settings.page:
        add_page(app, reporting)
    openapi.add_page(app)
    openapi.describe(app)
    app.state.reporting = reporting
    return app


def _observed(app: FastAPI, upstreams: Upstreams, metrics: Metrics) -> None:
    @app.get("/health", tags=["state"], responses=documented())
    async def health() -> State:
        """The gateway lives; says nothing of the model."""
        return State(status="ok")

    @app.get("/ready", tags=["state"], responses=documented(503))
    async def ready() -> State:
        """The model is loaded and has answered."""
        if not upstreams.ready:
            raise unavailable("the model is loading or restarting")
        return State(status="ok")

    @app.get("/metrics", tags=["state"], response_class=Response, responses=documented())
    async def exposition() -> Response:
        """Prometheus: the gateway's counters and those of vLLM, by replica."""
        found = []
        for number, replica in enumerate(upstreams.replicas):
            metrics.up.labels(str(number)).set(replica.up)
            metrics.starts.labels(str(number)).set(replica.started)
            if replica.up:
                with contextlib.suppress(httpx.TransportError):  # skinr1_upstream_up tells of it
                    address = f"{replica.url.removesuffix('/v1')}/metrics"
                    found.append((number, (await upstreams.http.get(address, timeout=5)).text))
        return Response(metrics.text(found), media_type="text/plain; version=0.0.4; charset=utf-8")


def _passed_through(app: FastAPI, upstreams: Upstreams, settings: GatewaySettings) -> None:
    takes_json = {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}, "required": True}}
    faults = documented(400, 404, 408, 413, 415, 422, 429, 502, 503)

    @app.get("/v1/models", tags=["OpenAI"], responses=documented(503))
    async def models() -> dict[str, Any]:
        """The served models and adapters, as vLLM lists them."""
        response = await _get(upstreams, "/v1/models")
        return dict(response.json())

    @app.post(
        "/v1/chat/completions", tags=["OpenAI"], response_class=Response, responses=faults, openapi_extra=takes_json
    )
    async def complete(request: Request) -> Response:
        """OpenAI's chat completion, answered by vLLM; streaming included. Images come as data URLs."""
        return await chat.complete(request, upstreams, settings)

    @app.post("/tokenize", tags=["OpenAI"], response_class=Response, responses=faults, openapi_extra=takes_json)
    async def tokenize(request: Request) -> Response:
        """Token ids of a text (vLLM's own endpoint); of ``prompt`` only."""
        raw = await request.body()
        if not isinstance(read_object(raw, settings.max_json_depth).get("prompt"), str):
            raise Refused(422, "field", "prompt: a text")
        return chat.Passed(upstreams, "/tokenize", raw)


async def _get(upstreams: Upstreams, path: str) -> httpx.Response:
    replica = upstreams.choose()
    try:
        response = await upstreams.http.get(f"{replica.url.removesuffix('/v1')}{path}", timeout=10)
    except httpx.TransportError:
        raise unavailable() from None
    if response.status_code != 200:
        raise unavailable()
    return response


def _reports(app: FastAPI, reporting: Reporting, metrics: Metrics) -> None:
    @app.post(
        "/v1/reports",
        tags=["reports"],
        response_model=ReportEnvelope,
        responses={
            **documented(400, 404, 408, 413, 415, 422, 429, 502, 503),
            200: {"content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in OTHER_FORMS}},
        },
        openapi_extra=openapi.report_body(),
    )
    async def report(
        request: Request,
        stream: Annotated[bool, Query(description="Server-sent events: reasoning, then the report.")] = False,
        form: Annotated[Format, Query(alias="format", description="FHIR is R4.")] = "json",
    ) -> Response:
        """A structured report on 1 to 5 images of one patient, as JSON, Markdown, HTML or a FHIR bundle.

        With `stream=true`, or `Accept: text/event-stream`, the events are `reasoning` ({"text": …}), as the model
        writes, then one `report`, or one `error`.
        """
        asked = await read_request(request, reporting.settings.max_json_depth)
        if stream or EVENT_STREAM in request.headers.get("accept", ""):
            if form != "json":
                raise Refused(422, "format", "events come as JSON only; leave format or stream out")
            events = report_events(asked, reporting)
            first = await anext(events)  # what goes wrong before it still has a status of its own
            return StreamingResponse(_lines(first, events, metrics), media_type=EVENT_STREAM)
        envelope = await make_report(asked, reporting)
        _count(metrics, envelope)
        if form == "json":
            return JSONResponse(envelope.model_dump(mode="json"))
        text = await asyncio.to_thread(write, envelope, form, reporting.taxonomy, reporting.passages)
        return Response(text, media_type=MEDIA_TYPES[form])


def _count(metrics: Metrics, envelope: ReportEnvelope) -> None:
    metrics.reports.labels("refused" if envelope.refused else "given").inc()


async def _lines(
    first: str | ReportEnvelope, events: AsyncGenerator[str | ReportEnvelope], metrics: Metrics
) -> AsyncGenerator[str]:
    """The event stream."""

    def line(event: str | ReportEnvelope) -> str:
        if isinstance(event, str):
            return _event("reasoning", json.dumps({"text": event}))
        _count(metrics, event)
        return _event("report", event.model_dump_json())

    try:
        async with aclosing(events):
            yield line(first)
            async for event in events:
                yield line(event)
    except Refused as refused:
        metrics.refused.labels(refused.code).inc()
        yield _event("error", json.dumps(refused.content()))


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"
