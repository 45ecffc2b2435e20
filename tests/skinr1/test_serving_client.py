"""Requests to the endpoint: images, retries, concurrency."""

import asyncio

import httpx
import pytest

from skinr1 import prompts
from skinr1.errors import UserError
from skinr1.report import (
    structural_tag,
)
from skinr1.serving.client import AsyncClient, Sampling, request_body, with_images
from tests.skinr1.sample_report import TREE


def test_request_body_fills_images_in_order() -> None:
    messages = prompts.messages("Look.", 2)
    body = request_body("m", messages, [b"one", b"two"], Sampling(True, 9, 0.0, 1, (4, 5)), TREE)
    parts = body["messages"][1]["content"]
    assert [part["type"] for part in parts] == ["image_url", "image_url", "text"]
    assert parts[1]["image_url"]["url"] == "data:image/png;base64,dHdv"
    assert body["logit_bias"] == {"4": -100, "5": -100}
    assert body["response_format"] == structural_tag(TREE)
    assert "response_format" not in request_body("m", messages, [b"1", b"2"], Sampling(False), TREE)


@pytest.mark.parametrize("count", [0, 2])
def test_images_must_match_their_placeholders(count: int) -> None:
    with pytest.raises(ValueError, match="image"):
        with_images(prompts.messages("Look.", 1), [b"x"] * count)


def replies(*script: int | str) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A transport that plays a script of status codes and ``drop`` (a broken connection)."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        step = script[len(seen)]
        seen.append(request)
        if isinstance(step, str):
            raise httpx.ConnectError("refused")
        good = {"choices": [{"message": {"content": "text"}, "finish_reason": "stop"}]}
        return httpx.Response(step, json=good if step == 200 else {"error": {"message": "bad\nwords"}})

    return httpx.MockTransport(handle), seen


def complete(transport: httpx.MockTransport, attempts: int = 4) -> str:
    async def run() -> str:
        async with AsyncClient("http://x/v1", attempts=attempts, pause=0.0, transport=transport) as client:
            return (await client.complete({})).text

    return asyncio.run(run())


def test_client_tries_again_after_passing_faults() -> None:
    transport, seen = replies(429, "drop", 503, 200)
    assert complete(transport) == "text"
    assert len(seen) == 4


def test_client_gives_up_with_one_line() -> None:
    transport, seen = replies("drop", "drop")
    with pytest.raises(UserError, match=r"no answer \(ConnectError\), 2 times") as caught:
        complete(transport, attempts=2)
    assert len(seen) == 2
    assert "skinr1 serve" in str(caught.value)


def test_client_does_not_repeat_a_refused_request() -> None:
    transport, seen = replies(400)
    with pytest.raises(UserError, match="server answered 400: bad words"):
        complete(transport)
    assert len(seen) == 1


@pytest.mark.parametrize(
    "body",
    [b"<html>proxy</html>", b"{}", b'{"choices": []}', b'{"choices": [{"message": null}]}', b"[" * 100_000],
)
def test_an_answer_of_another_kind_of_server_is_one_line(body: bytes) -> None:
    with pytest.raises(UserError, match="no chat completion"):
        complete(httpx.MockTransport(lambda request: httpx.Response(200, content=body)))


def test_half_a_character_is_spelt_out_and_missing_counts_are_none() -> None:
    choices = b'[{"message": {"content": "a\\ud800"}, "finish_reason": "stop"}]'
    content = b'{"choices": ' + choices + b', "usage": {"prompt_tokens": null}}'
    assert complete(httpx.MockTransport(lambda request: httpx.Response(200, content=content))) == "a\\ud800"


def test_a_key_that_a_server_repeats_is_not_shown() -> None:
    key = "k" * 40
    fault = {"error": {"message": "x" * 290 + f" {key}"}}

    async def run() -> None:
        transport = httpx.MockTransport(lambda request: httpx.Response(401, json=fault))
        async with AsyncClient("http://x/v1", transport=transport, key=key) as client:
            await client.complete({})

    with pytest.raises(UserError) as caught:
        asyncio.run(run())
    assert "kkk" not in str(caught.value)


def test_client_bounds_concurrency() -> None:
    running, most = 0, 0

    async def handle(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await asyncio.sleep(0.005)
        running -= 1
        return httpx.Response(200, json={"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]})

    async def run() -> None:
        async with AsyncClient("http://x/v1", concurrency=3, transport=httpx.MockTransport(handle)) as client:
            await asyncio.gather(*(client.complete({}) for _ in range(12)))

    asyncio.run(run())
    assert most == 3
