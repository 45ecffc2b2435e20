"""The vLLM servers behind the gateway: which are up, which has least to do, which has seen an image before."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from skinr1 import prompts
from skinr1.errors import UserError
from skinr1.report import structural_tag
from skinr1.serving.client import AsyncClient
from skinr1.serving.gateway.faults import unavailable
from skinr1.taxonomy import Taxonomy

WATCH_SECONDS = 1.0
# A replica keeps the images it has seen until it has this many more requests than the least busy one.
STICKY_SLACK = 8


@dataclass
class Upstream:
    """One vLLM. ``banned`` are its image placeholder tokens, which an answer must not hold."""

    url: str
    up: bool = False
    running: int = 0
    models: tuple[str, ...] = ()
    banned: tuple[int, ...] = ()
    started: int = field(default=0, metadata={"help": "Times it came up."})


class Upstreams:
    """The replicas and the connections to them.

    Args:
        urls: base URLs ending in ``/v1``.
        key: what they take as API key, if any.
        transport: for tests.
    """

    def __init__(
        self,
        urls: Sequence[str],
        taxonomy: Taxonomy,
        seconds: float,
        key: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ):
        self.replicas = [Upstream(url.rstrip("/")) for url in urls]
        self.taxonomy, self._key, self._transport = taxonomy, key, transport
        self.tag = structural_tag(taxonomy)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.AsyncClient(
            timeout=httpx.Timeout(seconds, connect=5.0),
            # vLLM closes a connection that is idle for 5 s: one must not be taken up at that moment
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=2),
            headers=headers,
            transport=transport,
            trust_env=False,
        )

    @property
    def ready(self) -> bool:
        return any(replica.up for replica in self.replicas)

    @property
    def models(self) -> tuple[str, ...]:
        """Served names, of all replicas that are up."""
        return tuple(dict.fromkeys(name for replica in self.replicas if replica.up for name in replica.models))

    def choose(self, seen: str | None = None, model: str | None = None) -> Upstream:
        """The replica for a request.

        Args:
            seen: hash of its image. The same image goes to the same replica, whose caches hold it, by rendezvous
                hashing (Thaler and Ravishankar 1998), as long as that one is not much busier than the others.
            model: served name that the replica must have, if any has.

        Raises:
            Refused: none is up.
        """
        able = [replica for replica in self.replicas if replica.up]
        able = [replica for replica in able if model in replica.models] or able
        if not able:
            raise unavailable()
        least = min(able, key=lambda replica: replica.running)
        if seen is None:
            return least
        home = max(able, key=lambda replica: hashlib.sha256(f"{replica.url} {seen}".encode()).digest())
        return home if home.running <= least.running + STICKY_SLACK else least

    @contextlib.asynccontextmanager
    async def stream(self, upstream: Upstream, path: str, body: bytes) -> AsyncIterator[httpx.Response]:
        """An open response to a POST; leaving the block closes the connection, which makes vLLM abort the request.

        Raises:
            Refused: vLLM is gone or its engine is dead.
        """
        upstream.running += 1
        try:
            address = f"{upstream.url.removesuffix('/v1')}{path}"
            headers = {"Content-Type": "application/json"}
            async with self.http.stream("POST", address, content=body, headers=headers) as response:
                if response.status_code >= 500 and not await self._alive(upstream):
                    raise unavailable("the model's server has failed")
                yield response
        except httpx.TransportError as error:
            if isinstance(error, httpx.ConnectError):
                upstream.up = False
            raise unavailable("the connection to the model was lost") from None
        finally:
            upstream.running -= 1

    async def _alive(self, upstream: Upstream) -> bool:
        try:
            response = await self.http.get(f"{upstream.url.removesuffix('/v1')}/health", timeout=1.5)
        except httpx.ReadTimeout:
            return upstream.up  # busy, which is no sign of death
        except httpx.TransportError:
            return False
        return response.status_code == 200

    async def watch(self, upstream: Upstream) -> None:
        """Keeps ``up`` true to the facts, until cancelled."""
        while True:
            alive = await self._alive(upstream)
            if alive and not upstream.up:
                with contextlib.suppress(UserError, httpx.HTTPError, KeyError, ValueError):  # not ready yet
                    await self._meet(upstream)
                    upstream.up, upstream.started = True, upstream.started + 1
            elif not alive:
                upstream.up = False
            await asyncio.sleep(WATCH_SECONDS if upstream.up else WATCH_SECONDS / 4)

    async def _meet(self, upstream: Upstream) -> None:
        """Learns what it serves and has it compile the report's grammar, so that no patient waits for that."""
        async with AsyncClient(upstream.url, attempts=1, transport=self._transport, key=self._key) as client:
            upstream.models = tuple(await client.models())
            upstream.banned = await client.image_tokens(upstream.models[-1])
            await client.complete(self.request(upstream, upstream.models[-1], prompts.messages("", 0), max_tokens=1))

    def request(
        self, upstream: Upstream, model: str, messages: Sequence[Mapping[str, Any]], **further: Any
    ) -> dict[str, Any]:
        """The JSON of a request for a report, whose form the grammar forces."""
        bias = {str(token): -100 for token in upstream.banned}
        body = {"model": model, "messages": list(messages), "temperature": 0.0, "response_format": self.tag, **further}
        return body | ({"logit_bias": bias} if bias else {})

    async def lines(self, response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
        """The events of a streamed completion. Raises Refused when the server breaks off with an error."""
        async for line in response.aiter_lines():
            data = line.removeprefix("data: ") if line.startswith("data: ") else ""
            if data == "[DONE]":
                return
            if data:
                event = json.loads(data)
                if "error" in event:
                    raise unavailable("the model broke off")
                yield event
        raise unavailable("the model broke off")

    async def close(self) -> None:
        await self.http.aclose()
