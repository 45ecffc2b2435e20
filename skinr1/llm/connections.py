"""HTTP connections for many requests at once: one of its own for each that is under way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx


class Connections:
    """Lends clients of one connection each. A lent one is nobody else's; returned, it is kept open for the next.

    A pool of httpx's goes through all of its connections several times a request, which held vLLM up by a third.

    Args:
        settings: of every :class:`httpx.AsyncClient`; its limits are ours.
    """

    def __init__(self, **settings: Any):
        # one TLS context for all: to make one takes longer than a request
        shared = {"verify": httpx.create_ssl_context(), **settings}
        self._settings = {**shared, "limits": httpx.Limits(max_connections=1)}
        self._made, self._free = list[httpx.AsyncClient](), list[httpx.AsyncClient]()

    async def aclose(self) -> None:
        """Closes every connection; none may be lent."""
        for connection in self._made:
            await connection.aclose()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[httpx.AsyncClient]:
        """The one given back last, or a new one.

        One whose request was cancelled is closed: httpcore may have lost sight of its connection, and wait for it.
        """
        connection = self._free.pop() if self._free else self._new()
        try:
            yield connection
        except asyncio.CancelledError:
            await connection.aclose()
            raise
        finally:
            if connection.is_closed:
                self._made.remove(connection)
            else:
                self._free.append(connection)

    def _new(self) -> httpx.AsyncClient:
        self._made.append(httpx.AsyncClient(**self._settings))
        return self._made[-1]
