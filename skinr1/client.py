"""A client of the gateway for programs: synchronous and asynchronous, with retries and typed results.

with Client("http://127.0.0.1:8000", key="sk-skinr1-…") as client:
    envelope = client.report(["lesion.jpg"], age=61, site="back", symptoms=["bleeding"])
    print(envelope.report.diagnosis, envelope.red_flags)
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import ValidationError

from skinr1.errors import UserError
from skinr1.llm.responses import passes, retry_after, words_of
from skinr1.serving.envelope import ImageInput, ReportEnvelope, ReportRequest

BATCH_BYTES = 12 * 2**20  # of images a job; base64 and JSON add a third, and a body may have 20 MiB
POLL_SECONDS = 1.0
LONGEST_PAUSE, LONGEST_WAIT = 20.0, 120.0  # seconds: of our own accord, and where the gateway asks for it
Image = Path | str | bytes
Outcome = ReportEnvelope | UserError


def request(images: Sequence[Image | ImageInput], **told: Any) -> ReportRequest:
    """A request from paths or bytes of images and the fields of :class:`ReportRequest`.

    Raises:
        UserError: an image is not there, or a field is wrong.
    """
    try:
        return ReportRequest(images=tuple(_image(image) for image in images), **told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"request is wrong ({first['msg']})", where, "Correct the field.") from None


def _image(image: Image | ImageInput) -> ImageInput:
    if isinstance(image, ImageInput):
        return image
    if isinstance(image, bytes):
        return ImageInput(data=image)
    if not Path(image).is_file():
        raise UserError("image not found", str(image), "Correct the path.")
    return ImageInput(data=Path(image).read_bytes())


class _Attempts:
    """How often and when a request is sent again; shared by both clients.

    Args:
        attempts: tries of a request before its failure is the caller's.
        pause: seconds before the first repetition; doubled each time, and longer if the gateway says so.
    """

    def __init__(self, url: str, key: str | None, attempts: int, pause: float):
        self.url, self.attempts, self.pause = url.rstrip("/").removesuffix("/v1"), attempts, pause
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def waits(self, address: str) -> Generator[float, httpx.Response | httpx.TransportError | None, httpx.Response]:
        """Yields the seconds to wait before the next try, is sent its outcome, returns the response that counts.

        Raises:
            UserError: the gateway refuses the request, asks to wait beyond :data:`LONGEST_WAIT`, or still fails at the
                last attempt.
        """
        outcome = yield 0.0
        for attempt in range(1, self.attempts + 1):
            if isinstance(outcome, httpx.Response):
                if outcome.is_success:
                    return outcome
                fault, wait = _fault(outcome), retry_after(outcome)
                if not passes(outcome.status_code):
                    raise UserError(fault, address, "Correct the request.")
                if wait > LONGEST_WAIT:
                    raise UserError(f"{fault}; asks to wait {wait:.0f} s", address, "Try again then.")
            else:
                fault, wait = f"no answer ({type(outcome).__name__})", 0.0
            if attempt < self.attempts:
                outcome = yield max(wait, min(LONGEST_PAUSE, self.pause * 2 ** (attempt - 1)))
        raise UserError(f"{fault}, {self.attempts} times", address, "Is the gateway up? Start it with: skinr1 serve.")


def _fault(response: httpx.Response) -> str:
    return f"gateway answered {response.status_code}: {words_of(response)}"


class Client:
    """Asks one gateway.

    Args:
        url: the gateway's, as ``http://127.0.0.1:8000``.
        key: API key, where it wants one.
        transport: for tests.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        attempts: int = 6,
        pause: float = 0.5,
        timeout: float = 600.0,
        transport: httpx.BaseTransport | None = None,
    ):
        self._plan = _Attempts(url, key, attempts, pause)
        self._http = httpx.Client(timeout=timeout, transport=transport, headers=self._plan.headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def report(self, images: Sequence[Image | ImageInput], **told: Any) -> ReportEnvelope:
        """One report. Raises UserError as :func:`request`, or when the gateway refuses or stays away."""
        body = request(images, **told).model_dump(mode="json", exclude_none=True)
        return ReportEnvelope.model_validate_json(self._send("POST", "/v1/reports", body).text)

    def batch(self, cases: Mapping[str, ReportRequest]) -> Iterator[tuple[str, Outcome]]:
        """The outcome of every case, as they are finished; a :class:`UserError` for one that failed.

        The cases go in as jobs that outlive this program: the same call finds them again and goes on.
        """
        jobs = [self._send("POST", "/v1/reports/batch", body).json()["job"] for body in _batches(cases)]
        for job in jobs:
            after, done = 0, False
            while not done:
                page = self._send("GET", f"/v1/reports/batch/{job}/results?after={after}").json()
                yield from map(_outcome, page["results"])
                after, done = page["next"], page["done"]
                if not done:
                    time.sleep(POLL_SECONDS)

    def _send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        waits = self._plan.waits(self._plan.url + path)
        wait = next(waits)
        while True:
            time.sleep(wait)
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self._http.request(method, self._plan.url + path, json=body)
            except httpx.TransportError as error:
                outcome = error
            try:
                wait = waits.send(outcome)
            except StopIteration as stop:
                response: httpx.Response = stop.value
                return response


class AsyncClient:
    """As :class:`Client`, for asyncio."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        attempts: int = 6,
        pause: float = 0.5,
        timeout: float = 600.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ):
        self._plan = _Attempts(url, key, attempts, pause)
        self._http = httpx.AsyncClient(timeout=timeout, transport=transport, headers=self._plan.headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def report(self, images: Sequence[Image | ImageInput], **told: Any) -> ReportEnvelope:
        """As :meth:`Client.report`."""
        body = request(images, **told).model_dump(mode="json", exclude_none=True)
        return ReportEnvelope.model_validate_json((await self._send("POST", "/v1/reports", body)).text)

    async def stream(self, images: Sequence[Image | ImageInput], **told: Any) -> AsyncIterator[str | ReportEnvelope]:
        """The reasoning in pieces as it is written, and last the report. It is not sent again when it breaks off.

        Raises:
            UserError: as :meth:`report`, or it breaks off.
        """
        body = request(images, **told).model_dump(mode="json", exclude_none=True)
        address = f"{self._plan.url}/v1/reports?stream=true"
        try:
            async with self._http.stream("POST", address, json=body) as response:
                if not response.is_success:
                    await response.aread()
                    raise UserError(_fault(response), address, "Correct the request, or try again.")
                name = ""
                async for line in response.aiter_lines():
                    kind, _, data = line.partition(": ")
                    if kind == "event":
                        name = data
                    elif kind == "data" and name == "reasoning":
                        yield str(json.loads(data)["text"])
                    elif kind == "data" and name == "report":
                        yield ReportEnvelope.model_validate_json(data)
                        return
                    elif kind == "data":
                        raise UserError(json.loads(data)["error"]["message"], address, "Try again.")
        except httpx.TransportError as error:
            raise UserError(f"no answer ({type(error).__name__})", address, "Is the gateway up?") from None
        raise UserError("the stream ended without a report", address, "Try again.")

    async def batch(self, cases: Mapping[str, ReportRequest]) -> AsyncIterator[tuple[str, Outcome]]:
        """As :meth:`Client.batch`."""
        jobs = [(await self._send("POST", "/v1/reports/batch", body)).json()["job"] for body in _batches(cases)]
        for job in jobs:
            after, done = 0, False
            while not done:
                page = (await self._send("GET", f"/v1/reports/batch/{job}/results?after={after}")).json()
                for row in page["results"]:
                    yield _outcome(row)
                after, done = page["next"], page["done"]
                if not done:
                    await asyncio.sleep(POLL_SECONDS)

    async def _send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        waits = self._plan.waits(self._plan.url + path)
        wait = next(waits)
        while True:
            await asyncio.sleep(wait)
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._http.request(method, self._plan.url + path, json=body)
            except httpx.TransportError as error:
                outcome = error
            try:
                wait = waits.send(outcome)
            except StopIteration as stop:
                response: httpx.Response = stop.value
                return response


def _batches(cases: Mapping[str, ReportRequest]) -> Iterator[dict[str, Any]]:
    """The bodies of as few jobs as their size allows."""
    held: list[dict[str, Any]] = []
    size = 0
    for name, asked in cases.items():
        own = sum(len(image.data) for image in asked.images)
        if held and size + own > BATCH_BYTES:
            yield {"cases": held}
            held, size = [], 0
        held.append({"id": name, "request": asked.model_dump(mode="json", exclude_none=True)})
        size += own
    if held:
        yield {"cases": held}


def _outcome(row: Mapping[str, Any]) -> tuple[str, Outcome]:
    if row.get("error"):
        return row["id"], UserError(row["error"]["message"], row["id"], "Correct this case.")
    return row["id"], ReportEnvelope.model_validate_json(json.dumps(row["envelope"]))
