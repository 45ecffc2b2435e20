"""OpenAI's API passed through: read, checked, and sent on byte for byte; the answer comes back as vLLM writes it."""

import base64
import binascii
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from skinr1.errors import UserError
from skinr1.serving.envelope import MAX_IMAGES
from skinr1.serving.gateway.addresses import fetch_image
from skinr1.serving.gateway.bodies import read_object
from skinr1.serving.gateway.faults import Refused, unavailable
from skinr1.serving.gateway.pictures import inspect
from skinr1.serving.gateway.settings import GatewaySettings
from skinr1.serving.gateway.upstreams import Upstreams

# Keys that would let a request undo what the operator has set: the pixel budget, the template, the cache's identity.
CLOSED_KEYS = frozenset(
    {
        "chat_template",
        "documents",
        "kv_transfer_params",
        "media_io_kwargs",
        "mm_processor_kwargs",
        "prompt_embeds",
        "vllm_xargs",
    }
)
MAX_CHOICES = 16
PART_KEYS = {"text": {"type", "text"}, "image_url": {"type", "image_url"}, "refusal": {"type", "refusal"}}
DATA_PREFIX = "data:image/"


async def check_chat(body: dict[str, Any], settings: GatewaySettings) -> tuple[str | None, bool]:
    """Looks through a chat completion request; images behind an allow-listed address are put in place.

    Returns:
        Hash of the first image, and whether ``body`` was changed.

    Raises:
        Refused: it asks for what the gateway does not let through.
    """
    if closed := sorted(CLOSED_KEYS & body.keys()):
        raise Refused(400, "closed_key", f"{', '.join(closed)}: set by the server's operator, not by a request")
    if not isinstance(body.get("n") or 1, int) or (body.get("n") or 1) > MAX_CHOICES:
        raise Refused(400, "n", f"n: at most {MAX_CHOICES}")
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise Refused(422, "field", "messages: a list of objects")
    images, changed = 0, False
    seen: str | None = None
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else []:
            image = _image_of(part)
            if image is not None:
                images += 1
                if images > MAX_IMAGES:
                    raise Refused(400, "images", f"at most {MAX_IMAGES} images")
                changed |= await _settle(image, f"image {images}", settings)
                seen = seen or hashlib.sha256(image["url"].encode()).hexdigest()
    return seen, changed


def _image_of(part: Any) -> dict[str, Any] | None:
    """The address object of an image part, None for text. Raises Refused for every other kind of part."""
    if isinstance(part, str):
        return None
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in PART_KEYS or not part.keys() <= PART_KEYS[kind]:
        raise Refused(400, "content_part", "parts are {type: text, text} or {type: image_url, image_url: {url}}")
    if kind != "image_url":
        return None
    image = part.get("image_url")
    if not isinstance(image, dict) or not isinstance(image.get("url"), str) or not image.keys() <= {"url", "detail"}:
        raise Refused(400, "content_part", "image_url: an object with the key url")
    return image


async def _settle(image: dict[str, Any], where: str, settings: GatewaySettings) -> bool:
    """Checks an image; whether it was fetched and put in place."""
    address = image["url"]
    fetched = not address.startswith(DATA_PREFIX)
    if fetched:
        data = await fetch_image(address, settings.image_hosts, settings.max_body)
    else:
        head, _, encoded = address.partition(",")
        try:
            data = base64.b64decode(encoded, validate=True) if head.endswith(";base64") else b""
        except (binascii.Error, ValueError):
            data = b""
    try:
        inspect(data, where)
    except UserError as error:
        raise Refused(400, "image", str(error)) from None
    if fetched:
        image["url"] = f"{DATA_PREFIX}*;base64,{base64.b64encode(data).decode('ascii')}"
    return fetched


async def complete(request: Request, upstreams: Upstreams, settings: GatewaySettings) -> Response:
    """``/v1/chat/completions``. Raises Refused, as does the response when vLLM turns out to be away."""
    raw = await request.body()
    body = read_object(raw, settings.max_json_depth)
    seen, changed = await check_chat(body, settings)
    return Passed(upstreams, "/v1/chat/completions", json.dumps(body).encode() if changed else raw, seen, body)


class Passed(Response):
    """vLLM's answer to a POST, byte for byte as it comes.

    The connection to vLLM is opened while the response is sent and not before, so that there is no moment at which a
    client could leave and the connection stay.
    """

    def __init__(
        self, upstreams: Upstreams, path: str, raw: bytes, seen: str | None = None, body: dict[str, Any] | None = None
    ):
        super().__init__()
        self.upstreams, self.path, self.raw = upstreams, path, raw
        model = (body or {}).get("model")
        self.upstream = upstreams.choose(seen, model if isinstance(model, str) else None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.upstreams.stream(self.upstream, self.path, self.raw) as response:
            kind = response.headers.get("content-type")
            answer = StreamingResponse(_parts(response, kind), response.status_code, media_type=kind)
            await answer(scope, receive, send)


async def _parts(response: httpx.Response, kind: str | None) -> AsyncIterator[bytes]:
    try:
        async for part in response.aiter_raw():
            yield part
    except httpx.TransportError:
        if kind is None or not kind.startswith("text/event-stream"):
            raise
        fault = unavailable("the connection to the model was lost").content()
        yield f"data: {json.dumps(fault)}\n\n".encode()  # as vLLM itself tells of an error in a stream
