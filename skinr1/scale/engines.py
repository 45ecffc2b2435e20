"""Where pieces are worked on: in this process, in processes beside it, or on a Ray cluster. Same function, same bytes.

On a cluster every machine must see the input and the output folder under the same path, and have skinr1 installed.
"""

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from skinr1.errors import UserError

ENGINES = ("local", "ray")
_OBJECT_STORE = 128 * 2**20  # bytes; only names of files travel through it

Work = Callable[[Any], str]
Fault = tuple[str, str, str]


@dataclass(frozen=True)
class Engine:
    """Which engine, how wide.

    Attributes:
        workers: processes of ``local``; CPUs of the Ray cluster that ``ray`` starts on this machine.
        address: of a Ray cluster that runs already; None starts one and stops it again.
    """

    name: str = "local"
    workers: int = 1
    address: str | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise UserError("unknown engine", repr(self.name), f"Use {' or '.join(ENGINES)}.")
        if self.workers < 1:
            raise UserError("workers is under 1", str(self.workers), "Give at least 1.")

    def map(self, work: Work, items: Sequence[Any]) -> Iterator[str]:
        """``work`` of each item, in order, a few items at a time.

        Args:
            work: a function of a module, or a partial of one, so that other processes can be told of it.

        Raises:
            UserError: as ``work`` does.
        """
        results = _on_ray(self, work, items) if self.name == "ray" else _here(self, work, items)
        for result, fault in results:
            if fault is not None:
                raise UserError(*fault)
            yield result


@dataclass(frozen=True)
class _Guarded:
    """Processes hand over plain values: the result, or the parts of the error."""

    work: Work

    def __call__(self, item: Any) -> tuple[str, Fault | None]:
        try:
            return self.work(item), None
        except UserError as error:
            return "", (error.what, error.where, error.do)


def _here(engine: Engine, work: Work, items: Sequence[Any]) -> Iterator[tuple[str, Fault | None]]:
    if engine.workers == 1 or len(items) < 2:
        yield from map(_Guarded(work), items)
        return
    spawn = multiprocessing.get_context("spawn")
    # unlike a Pool, it raises when a process dies (killed for memory, say) and does not wait for ever
    with ProcessPoolExecutor(min(engine.workers, len(items)), spawn) as pool:
        yield from pool.map(_Guarded(work), items)


def _on_ray(engine: Engine, work: Work, items: Sequence[Any]) -> Iterator[tuple[str, Fault | None]]:
    if not items:
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report home; it reads this at import
    try:
        import ray
        import ray.data
    except ImportError:
        raise UserError("Ray is not installed", "--engine ray", "Install skinr1[scale], or use local.") from None
    guarded = _Guarded(work)

    def task(row: dict[str, Any]) -> dict[str, Any]:
        result, fault = guarded(items[row["item"]])
        return {"result": result, "fault": list(fault or ())}

    started = not ray.is_initialized()
    if started:
        _start(engine)
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars, context.print_on_execution_start = False, False
        context.execution_options.preserve_order = True
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        places = [{"item": place} for place in range(len(items))]
        # a block an item, so that a task is a piece
        done = ray.data.from_items(places, override_num_blocks=len(places)).map(task)
        for row in done.iter_rows():
            yield row["result"], tuple(row["fault"]) or None
    finally:
        if started:
            ray.shutdown()


def _start(engine: Engine) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if engine.address is not None:
        try:
            ray.init(address=engine.address, **quiet)
        except (ConnectionError, ValueError) as error:
            raise UserError(f"no Ray cluster ({str(error)[:120]})", engine.address, "Correct the address.") from None
        return
    ray.init(
        address="local",
        num_cpus=engine.workers,
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE,
        **quiet,
    )
