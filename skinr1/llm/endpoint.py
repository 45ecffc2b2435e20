"""One request to an OpenAI-compatible server, sent again until it is answered or refused."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from skinr1.errors import UserError
from skinr1.llm.cache import Completion
from skinr1.llm.connections import Connections
from skinr1.llm.responses import completion_of, passes, retry_after, words_of

# This one request is at fault (too long, a picture that is not taken), not the address, the key or the model's name.
REFUSED_STATUS = frozenset({400, 413, 422})
LONGEST_PAUSE = 60.0
LONGEST_RETRY_AFTER = 3600.0
DOWN = "Is a server up there (skinr1 serve starts one), at an address that ends in /v1? Then run again."
T = TypeVar("T")


class Refused(Exception):
    """The endpoint will not answer this request; the message is its own words."""


def read_key(path: Path) -> str:
    """The API key in a file. Raises UserError, which never shows it, when there is none that a header can carry."""
    if not path.is_file():
        raise UserError("key file not found", str(path), "Correct the path.")
    key = path.read_bytes().strip()
    if not key or any(not 0x21 <= byte <= 0x7E for byte in key):
        raise UserError("key file holds no key", str(path), "Write the key into it and nothing else.")
    return key.decode("ascii")


def checked_url(url: str) -> str:
    """A base URL without its last slash.

    Raises:
        UserError: not http(s), no host, user-info, a query or a fragment; what may be secret is not shown.
    """
    shown = repr((f"…@{url.rpartition('@')[2]}" if "@" in url else url).partition("?")[0].partition("#")[0])
    fault = UserError("not the address of an endpoint", shown, "Give one like http://127.0.0.1:8000/v1.")
    if any(sign.isspace() or not sign.isprintable() for sign in url):
        raise fault
    try:
        parts, _ = urlsplit(url), httpx.URL(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except (ValueError, httpx.InvalidURL):  # a port or an address in brackets that is none
        raise fault from None
    if "@" in parts.netloc:
        raise UserError("address holds a user name or a password", shown, "Put the key into a file: key_file.")
    if not known or parts.query or parts.fragment:
        raise fault
    return url.rstrip("/")


class Endpoint:
    """A connection to one server.

    A request is tried again after 429, 5xx, a broken connection, silence longer than ``timeout``, or an answer that
    is no chat completion: after ``pause`` seconds, doubled each time up to :data:`LONGEST_PAUSE`, less a part that the
    request's hash decides, so that many do not come back at once. Where the server says Retry-After, nobody sends
    anything before. No other 4xx is tried twice.

    Args:
        url: base URL, ending in ``/v1`` as a rule.
        key: API key, if the server wants one.
        attempts: tries of a request before the run stops.
        timeout: seconds for one whole answer.
        sleep: what waits; tests count with it.
        transport: for tests, and for servers that are not reached by TCP.

    Raises:
        UserError: as :func:`checked_url`.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        attempts: int = 8,
        pause: float = 1.0,
        timeout: float = 600.0,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ):
        self.url, self.attempts, self.pause, self.timeout = checked_url(url), attempts, pause, timeout
        self.retries = 0
        self._key = key
        self._sleep = sleep
        self._open, self._holding = asyncio.Event(), 0
        self._open.set()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # The number of connections is bounded by the client's slots, and time by `timeout`.
        self._connections = Connections(headers=headers, timeout=None, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connections.aclose()

    async def complete(self, body: Mapping[str, Any], key: str) -> Completion:
        """The answer to one request; ``key`` is its hash. Raises as :meth:`ask`."""
        return await self.ask("POST", f"{self.url}/chat/completions", body, completion_of, key)

    async def ask(
        self,
        method: str,
        address: str,
        body: Mapping[str, Any] | None,
        read: Callable[[httpx.Response], T | None],
        key: str,
    ) -> T:
        """What ``read`` finds in the response to one request.

        Args:
            read: None where the response is no answer (a proxy's page), which may pass; it may raise a UserError.
            key: what the pauses are drawn from.

        Raises:
            Refused: the server refuses this very request.
            UserError: the server refuses all of them, asks to wait beyond :data:`LONGEST_RETRY_AFTER`, or still fails
                at the last attempt.
        """
        for attempt in range(1, self.attempts + 1):
            await self._open.wait()
            response, fault, wait = await self._once(method, address, body)
            answer = None if response is None else read(response)
            if answer is not None:
                return answer
            if response is not None:
                fault = "answer is no chat completion"
            if attempt < self.attempts:
                self.retries += 1
                await self._rest(max(wait, self._pause(key, attempt)), everyone=wait > 0)
        raise UserError(f"{fault}, {self.attempts} times", address, DOWN)

    async def _once(
        self, method: str, address: str, body: Mapping[str, Any] | None
    ) -> tuple[httpx.Response | None, str, float]:
        """The response, or what went wrong and how many seconds the server wants to be left alone."""
        try:
            async with asyncio.timeout(self.timeout), self._connections.lend() as http:
                response = await http.request(method, address, json=body)
        except TimeoutError:
            return None, f"no answer within {self.timeout:g} s", 0.0
        except httpx.RequestError as error:
            return None, f"no answer ({type(error).__name__})", 0.0
        if response.is_success:
            return response, "", 0.0
        fault = f"server answered {response.status_code}: {words_of(response, self._key)}"
        if response.status_code in REFUSED_STATUS:
            raise Refused(fault)
        if not passes(response.status_code):
            raise UserError(fault, address, "Correct the address, the key or the model's name.")
        wait = retry_after(response)
        if wait > LONGEST_RETRY_AFTER:
            raise UserError(f"{fault}; asks to wait {wait:.0f} s", address, "Run again then.")
        return None, fault, wait

    def _pause(self, key: str, attempt: int) -> float:
        digest = hashlib.sha256(f"{key}\t{attempt}".encode()).digest()
        part = int.from_bytes(digest[:4], "big") / 2**32
        return min(LONGEST_PAUSE, self.pause * 2 ** (attempt - 1)) * (1 - part / 2)

    async def _rest(self, seconds: float, everyone: bool) -> None:
        """Waits, and lets nobody send while it does if ``everyone``."""
        if not everyone:
            await self._sleep(seconds)
            return
        self._holding += 1
        self._open.clear()
        try:
            await self._sleep(seconds)
        finally:
            self._holding -= 1
            if not self._holding:
                self._open.set()
