"""Many things at once, results in the order of the things."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def ordered(
    work: Callable[[T], Awaitable[R]], things: Iterable[T], workers: int, done: Callable[[], object] = lambda: None
) -> list[R]:
    """``[await work(thing) for thing in things]`` with at most ``workers`` under way; ``done`` is called after each.

    Things are taken one by one as workers fall free, so a generator is never unrolled.

    Raises:
        The first error of ``work``; what else is under way is cancelled.
    """
    results: dict[int, R] = {}
    queue = iter(enumerate(things))

    async def worker() -> None:
        for place, thing in queue:
            results[place] = await work(thing)
            done()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [results[place] for place in sorted(results)]
