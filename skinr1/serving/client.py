"""Asking an OpenAI-compatible server for reports: requests, and at most so many at once."""

import asyncio
import base64
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from skinr1.errors import UserError
from skinr1.llm.endpoint import Endpoint, Refused
from skinr1.llm.responses import completion_of
from skinr1.report import structural_tag
from skinr1.taxonomy import Taxonomy

T = TypeVar("T")
NO_SERVER = "Is this the address of an OpenAI-compatible server (vLLM's for /tokenize), ending in /v1?"
# A model may write these; as input they would announce an image that does not exist. Barred as in training's rollouts.
IMAGE_TOKENS = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn. ``structured`` forces a valid report; without it the model speaks for itself."""

    structured: bool = True
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int = 17
    banned: tuple[int, ...] = ()


@dataclass(frozen=True)
class Completion:
    """What came back. ``finish_reason`` is ``stop`` for a finished answer, ``length`` for one cut at max_tokens.

    ``tokens`` are those of prompt and answer together; None where the server does not say.
    """

    text: str
    finish_reason: str
    tokens: int | None = None


def data_url(png: bytes) -> str:
    """A PNG as a data URL, which a server needs no file or network access to read."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def with_images(messages: Sequence[Mapping[str, Any]], images: Sequence[bytes]) -> list[dict[str, Any]]:
    """Chat messages with each image placeholder replaced by a picture (PNG bytes), in order.

    Raises:
        ValueError: placeholders and pictures differ in number.
    """
    rest = list(images)

    def part(content: Mapping[str, Any]) -> dict[str, Any]:
        if content["type"] != "image":
            return dict(content)
        if not rest:
            raise ValueError("more image placeholders than images")
        return {"type": "image_url", "image_url": {"url": data_url(rest.pop(0))}}

    filled = [{"role": m["role"], "content": [part(content) for content in m["content"]]} for m in messages]
    if rest:
        raise ValueError("more images than image placeholders")
    return filled


def request_body(
    model: str,
    messages: Sequence[Mapping[str, Any]],
    images: Sequence[bytes],
    sampling: Sampling,
    taxonomy: Taxonomy,
    response_format: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The JSON of one chat completion request.

    Args:
        model: served name of the model or adapter.
        messages: as :func:`skinr1.prompts.messages` makes them.
        images: PNG bytes, one for each placeholder.
        response_format: what is forced where sampling is structured; default: a report.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": with_images(messages, images),
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "seed": sampling.seed,
    }
    if sampling.banned:
        body["logit_bias"] = {str(token): -100 for token in sampling.banned}
    if sampling.structured:
        body["response_format"] = structural_tag(taxonomy) if response_format is None else dict(response_format)
    return body


class AsyncClient:
    """A connection to one server; at most ``concurrency`` requests are under way at once.

    Args:
        url: base URL ending in ``/v1``.
        attempts, pause, timeout, transport: as of :class:`skinr1.llm.Endpoint`, which sends the requests.
        key: API key, where the server wants one.

    Raises:
        UserError: as :func:`skinr1.llm.endpoint.checked_url`.
    """

    def __init__(
        self,
        url: str,
        concurrency: int = 32,
        attempts: int = 6,
        pause: float = 0.5,
        timeout: float = 600.0,
        transport: httpx.AsyncBaseTransport | None = None,
        key: str | None = None,
    ):
        self._endpoint = Endpoint(url, key, attempts=attempts, pause=pause, timeout=timeout, transport=transport)
        self.url = self._endpoint.url
        self._slots, self._numbers = asyncio.Semaphore(concurrency), itertools.count()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._endpoint.__aexit__(kind, error, trace)

    async def complete(self, body: Mapping[str, Any]) -> Completion:
        """One answer.

        Raises:
            UserError: the server refuses the request, or still fails at the last attempt.
        """
        found = await self._ask("POST", f"{self.url}/chat/completions", body, completion_of)
        counts = found.prompt_tokens, found.completion_tokens
        return Completion(found.text, found.finish_reason, None if None in counts else sum(filter(None, counts)))

    async def models(self) -> list[str]:
        """Names the server answers to. Raises UserError when the answer is no list of models."""
        return await self._ask("GET", f"{self.url}/models", None, _names)

    async def check_model(self, model: str) -> None:
        """Raises UserError when the server does not serve ``model``."""
        served = await self.models()
        if model not in served:
            raise UserError(f"model {model!r} is not served", self.url, f"Served: {', '.join(served)}.")

    async def image_tokens(self, model: str) -> tuple[int, ...]:
        """Ids of the model's image placeholder tokens, from vLLM's ``/tokenize``."""
        address = f"{self.url.removesuffix('/v1')}/tokenize"
        found: list[int] = []
        for token in IMAGE_TOKENS:
            body = {"model": model, "prompt": token, "add_special_tokens": False}
            ids = await self._ask("POST", address, body, _tokens)
            found += ids if len(ids) == 1 else []
        return tuple(found)

    async def _ask(
        self,
        method: str,
        address: str,
        body: Mapping[str, Any] | None,
        read: Callable[[httpx.Response], T | None],
    ) -> T:
        async with self._slots:
            try:
                return await self._endpoint.ask(method, address, body, read, str(next(self._numbers)))
            except Refused as refusal:
                fix = "Correct the request; the server will not take it as it is."
                raise UserError(str(refusal), address, fix) from None


def _names(response: httpx.Response) -> list[str]:
    try:
        return [str(entry["id"]) for entry in response.json()["data"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError("answer is no list of models", str(response.url), NO_SERVER) from None


def _tokens(response: httpx.Response) -> list[int]:
    try:
        return [int(token) for token in response.json()["tokens"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError("answer is no list of tokens", str(response.url), NO_SERVER) from None
