"""``skinr1 serve``: vLLM on a private port, the gateway in front of it on the public one."""

import asyncio
import contextlib
import logging
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence

import uvicorn
from fastapi import FastAPI
from rich.console import Console

from skinr1 import config
from skinr1.serving.gateway.app import create_app
from skinr1.serving.gateway.journal import locked
from skinr1.serving.gateway.reporting_page import PATH
from skinr1.serving.gateway.settings import GatewaySettings, check_exposure, read_key
from skinr1.serving.pixels import pixel_budget
from skinr1.serving.process import ServeConfig, check_port, command, free_port
from skinr1.serving.supervisor import Supervisor, model_hashes
from skinr1.taxonomy import Taxonomy


def serve_main(argv: Sequence[str] | None = None) -> None:
    """``skinr1 serve --config recipes/serve/tiny.yaml [--port 8001 …]``: serves until SIGTERM or Ctrl-C, then drains.

    Raises:
        UserError: something is wrong before the start or at it; the line says what.
    """
    serving, settings = config.parse_many((ServeConfig, GatewaySettings), argv, "skinr1 serve")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("skinr1").setLevel(logging.INFO)
    check_exposure(serving.host, settings)
    serving.port = serving.port or free_port(serving.host)
    check_port(serving.host, serving.port)
    asyncio.run(_serve(serving, settings, Console(stderr=True)))


async def _serve(serving: ServeConfig, settings: GatewaySettings, console: Console) -> None:
    """Runs the gateway and, unless the models are served elsewhere, vLLM; ends when either does."""
    key = read_key(settings.upstream_key) if settings.upstream_key else secrets.token_urlsafe(32)
    hashes: dict[str, str] = {}
    supervisor = None
    with locked(settings.jobs):
        pass  # what is wrong is told in one line before anything starts: here the jobs, below the models
    if not settings.upstreams:
        command(serving)
        supervisor = Supervisor(serving, key, lambda line: console.print(line, highlight=False, soft_wrap=True))
    app = create_app(
        settings,
        [supervisor.url] if supervisor else settings.upstreams,
        Taxonomy.load(),
        model_hashes=hashes,
        max_pixels=_max_pixels(serving),
        upstream_key=key if supervisor or settings.upstream_key else None,
    )
    server = _Server(
        uvicorn.Config(
            app,
            host=serving.host,
            port=serving.port,
            http="h11",  # it bounds the size of headers
            h11_max_incomplete_event_size=settings.max_header_kib * 1024,
            access_log=False,  # it would log paths and queries; the gateway's own says less
            server_header=False,
            log_level="warning",
            timeout_graceful_shutdown=settings.drain_seconds,
            timeout_keep_alive=75,  # clients drop an idle connection after 5 s as a rule: we must not be first
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.end)
    gateway = asyncio.create_task(server.serve())
    work = [gateway, asyncio.create_task(supervisor.run())] if supervisor else [gateway]
    announcing = asyncio.create_task(_announce(app, serving, supervisor, console, hashes))
    try:
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # raises what went wrong
        console.print("drained; server ended")
    finally:
        server.should_exit = True
        await asyncio.wait([gateway])
        for task in (*work, announcing):
            task.cancel()
        await asyncio.gather(*work, announcing, return_exceptions=True)


async def _announce(
    app: FastAPI, serving: ServeConfig, supervisor: Supervisor | None, console: Console, hashes: dict[str, str]
) -> None:
    """Hashes the weights while vLLM loads them, and says when there is something to ask."""
    if serving.model:
        hashes.update(await asyncio.to_thread(model_hashes, serving))
    if supervisor:
        await supervisor.sound.wait()
    upstreams = app.state.reporting.upstreams
    while not upstreams.ready:
        await asyncio.sleep(0.2)
    host = f"[{serving.host}]" if ":" in serving.host else serving.host
    url = f"http://{host}:{serving.port}"
    page = f"   page: {url}{PATH}" if app.state.reporting.settings.page else ""
    console.print(f"serving {', '.join(upstreams.models)} at {url}{page}   docs: {url}/docs", soft_wrap=True)
    console.print(f"try: skinr1 report IMAGE --url {url}/v1   (Ctrl-C ends)", soft_wrap=True)


def _max_pixels(serving: ServeConfig) -> int | None:
    """The pixel budget the model was trained with, where its folder is here."""
    budget = pixel_budget(serving.model, serving.adapter_folders) if serving.model else None
    return budget[1] if budget else None


class _Server(uvicorn.Server):
    """uvicorn, whose signals are ours: the first drains, with exit code 0; the second ends at once."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def end(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
