"""Addresses, paths and other content in a request: nothing is fetched that the operator has not allowed."""

import asyncio
from typing import Any

import httpx
import pytest

from skinr1.serving.gateway.addresses import fetch_image
from skinr1.serving.gateway.faults import Refused
from tests.skinr1.gateway_rig import (
    FILE,
    ask_chat,
    code,
)


@pytest.mark.parametrize(
    "address",
    [
        FILE,
        "/etc/passwd",
        "http://127.0.0.1:22/",
        "http://169.254.169.254/latest/meta-data",
        "https://other.example/x.png",
        "https://images.example" + "@evil.example/x.png",
        "https://images.example:8080/x.png",
        "https://images.example.evil.example/x.png",
        "data:text/html;base64,AAAA",
        "data:image/png,rawbytes",
        "ftp://images.example/x.png",
        "http://[::1",
    ],
)
def test_addresses_and_paths_are_refused_in_chat(url: str, address: str) -> None:
    assert ask_chat(url, address).status_code == 400


@pytest.mark.parametrize(
    "part",
    [
        {"image_url": {"url": "http://127.0.0.1/"}},  # vLLM would guess the type
        {"type": "image_url", "image_url": "http://127.0.0.1/"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}, "uuid": "another patient's"},
        {"type": "video_url", "video_url": {"url": "http://127.0.0.1/"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "image_embeds", "image_embeds": "AAAA"},
        {"type": "file", "file": {"file_data": "AAAA"}},
        {"type": ["image_url"]},
        7,
    ],
)
def test_other_content_is_refused_in_chat(url: str, part: Any) -> None:
    body = {"model": "sft", "messages": [{"role": "user", "content": [part]}]}
    assert code(httpx.post(f"{url}/v1/chat/completions", json=body)) == (400, "content_part")


@pytest.mark.parametrize("key", ["mm_processor_kwargs", "chat_template", "media_io_kwargs", "kv_transfer_params"])
def test_a_request_cannot_undo_the_operator_s_settings(url: str, key: str) -> None:
    body = {"model": "sft", "messages": [], key: {}}
    assert code(httpx.post(f"{url}/v1/chat/completions", json=body)) == (400, "closed_key")


def fetch(hosts: dict[str, str], answers: dict[str, httpx.Response], address: str) -> tuple[bytes, list[httpx.Request]]:
    """Fetches with a resolver and a network of our own."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answers[request.url.path]

    async def resolver(host: str, port: int) -> list[str]:
        return [hosts[host]]

    transport = httpx.MockTransport(answer)
    return asyncio.run(fetch_image(address, list(hosts), 1000, resolver, transport)), seen


def test_an_allowed_host_is_asked_at_the_address_that_was_checked() -> None:
    data, seen = fetch(
        {"images.example": "93.184.216.34"},
        {"/x": httpx.Response(200, stream=httpx.ByteStream(b"p"))},
        "https://images.example/x",
    )
    assert data == b"p"
    assert (seen[0].url.host, seen[0].headers["host"]) == ("93.184.216.34", "images.example")
    assert seen[0].extensions["sni_hostname"] == "images.example"


@pytest.mark.parametrize(
    "inside",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.7",
        "172.20.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "0.0.0.0",
        "224.0.0.1",
    ],
)
def test_no_request_goes_inside(inside: str) -> None:
    with pytest.raises(Refused, match="private address"):
        fetch({"images.example": inside}, {}, "https://images.example/x")
    # nor by a redirect
    away = {"/x": httpx.Response(302, headers={"location": "https://cdn.example/y"})}
    with pytest.raises(Refused, match="private address"):
        fetch({"images.example": "93.184.216.34", "cdn.example": inside}, away, "https://images.example/x")


@pytest.mark.parametrize("target", ["https://evil.example/", "http://127.0.0.1/", FILE])
def test_redirects_are_checked_like_the_first_address(target: str) -> None:
    away = {"/x": httpx.Response(302, headers={"location": target})}
    with pytest.raises(Refused, match="not fetched"):
        fetch({"images.example": "93.184.216.34"}, away, "https://images.example/x")


def test_redirects_and_sizes_are_bounded() -> None:
    around = {"/x": httpx.Response(302, headers={"location": "/x"})}
    with pytest.raises(Refused, match="more than 3 times"):
        fetch({"images.example": "93.184.216.34"}, around, "https://images.example/x")
    large = {"/x": httpx.Response(200, stream=httpx.ByteStream(b"p" * 1001))}
    with pytest.raises(Refused, match="larger"):
        fetch({"images.example": "93.184.216.34"}, large, "https://images.example/x")
