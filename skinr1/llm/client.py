"""Questions to a model, each asked once: cache, slots, counts."""

import asyncio
from collections.abc import Mapping
from typing import Any

from skinr1.llm.cache import Cache, Completion, request_key
from skinr1.llm.endpoint import Endpoint, Refused
from skinr1.llm.usage import Usage


class Client:
    """Answers from the cache, else from the endpoint; at most ``concurrency`` requests are under way at once.

    A request holds its slot until its answer is in the cache. So a kill at any moment leaves at most ``concurrency``
    requests that were sent and are not kept, and only those are asked again. Two equal requests at the same time are
    one request.

    Attributes:
        usage: of every distinct request this run used, paid for now or earlier: the same whatever was cached.
        asked, found: distinct requests answered by the endpoint in this run, and by the cache.
    """

    def __init__(self, endpoint: Endpoint, cache: Cache, concurrency: int):
        self.endpoint, self.cache = endpoint, cache
        self.usage = Usage()
        self.asked = self.found = 0
        self._slots = asyncio.Semaphore(concurrency)
        self._pending: dict[str, asyncio.Task[Completion]] = {}
        self._refused: dict[str, Refused] = {}

    async def ask(self, body: Mapping[str, Any]) -> Completion:
        """The answer to a chat completion request.

        Raises:
            Refused, UserError: as :meth:`Endpoint.complete`, which see; refusals are not cached.
        """
        key = request_key(body)
        if key in self._refused:
            raise self._refused[key]
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = asyncio.create_task(self._answer(key, body))
            pending.add_done_callback(lambda _: self._pending.pop(key))
        return await pending

    async def _answer(self, key: str, body: Mapping[str, Any]) -> Completion:
        answer = self.cache.get(key)
        known = self.usage.knows(key)
        if answer is None:
            answer = await self._fetch(key, body)
            self.asked += 1
        elif not known:
            self.found += 1
        self.usage.add(key, str(body["model"]), answer)
        return answer

    async def _fetch(self, key: str, body: Mapping[str, Any]) -> Completion:
        async with self._slots:
            try:
                answer = await self.endpoint.complete(body, key)
            except Refused as error:
                self._refused[key] = error
                raise
            self.cache.put(key, body, answer)
            return answer
