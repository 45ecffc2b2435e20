"""Fetching an image from an allow-listed host, without being led into the network we stand in.

The host's name is resolved once, every address must be public, and the connection goes to the address that was
checked; each redirect is checked as if it were the first address.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection

import httpx

from skinr1.serving.gateway.faults import Refused

MAX_REDIRECTS = 3
SECONDS = 10.0
Resolver = Callable[[str, int], Awaitable[list[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """The numeric addresses of a host. Raises OSError when it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def fetch_image(
    address: str,
    allowed: Collection[str],
    max_bytes: int,
    resolver: Resolver = resolve,
    transport: httpx.AsyncBaseTransport | None = None,
) -> bytes:
    """The bytes behind an address.

    Raises:
        Refused: the host is not allow-listed, leads to a private address, or gives no file of at most ``max_bytes``.
    """
    async with httpx.AsyncClient(transport=transport, timeout=SECONDS, trust_env=False) as client:
        for _ in range(MAX_REDIRECTS + 1):
            url = _checked(address, allowed)
            request = client.build_request(
                "GET",
                url.copy_with(host=await _public(url, resolver)),
                headers={"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity"},
                extensions={"sni_hostname": url.host},
            )
            try:
                async with asyncio.timeout(SECONDS):
                    response = await client.send(request, stream=True)
                    try:
                        if not response.has_redirect_location:
                            return await _read(response, max_bytes)
                        address = str(url.join(response.headers["location"]))
                    finally:
                        await response.aclose()
            except (httpx.HTTPError, TimeoutError):
                raise Refused(400, "image_address", "the image's host does not answer") from None
    raise Refused(400, "image_address", f"the image's address redirects more than {MAX_REDIRECTS} times")


def _checked(address: str, allowed: Collection[str]) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        raise Refused(400, "image_address", "an image's address is not readable; send the image itself") from None
    if url.scheme not in ("http", "https") or url.host not in allowed or url.userinfo or url.port is not None:
        told = "images are not fetched from this address; send the image itself, as base64"
        raise Refused(400, "image_address", told)
    return url


async def _public(url: httpx.URL, resolver: Resolver) -> str:
    """One of the host's addresses, all of which are public."""
    port = 443 if url.scheme == "https" else 80
    try:
        found = [ipaddress.ip_address(entry) for entry in await resolver(url.host, port)]
    except (OSError, ValueError):
        raise Refused(400, "image_address", "the image's host has no address") from None
    if not found or not all(entry.is_global and not entry.is_multicast for entry in map(_unmapped, found)):
        raise Refused(400, "image_address", "the image's host leads to a private address")
    return str(found[0])


def _unmapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address in its IPv6 clothes (mapped, 6to4, Teredo) as what it reaches."""
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address
    return address


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    if response.status_code != 200:
        raise Refused(400, "image_address", f"the image's host answers {response.status_code}")
    data = b""
    async for part in response.aiter_raw():
        data += part
        if len(data) > max_bytes:
            raise Refused(413, "image_address", f"the image is larger than {max_bytes // 2**20} MiB")
    return data
