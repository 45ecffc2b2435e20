"""Two ways of doing the same, timed side by side."""

import time
from collections.abc import Callable
from statistics import median

import torch


def turns(ways: list[Callable[[], None]], repeats: int) -> list[float]:
    """Median seconds of each way; they take turns, after one warm-up each."""
    seconds: list[list[float]] = [[] for _ in ways]
    for turn in range(repeats + 1):
        for way, taken in zip(ways, seconds, strict=True):
            started = time.perf_counter()
            way()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                taken.append(time.perf_counter() - started)
    return [median(taken) for taken in seconds]


def saved_bytes(action: Callable[[], None]) -> int:
    """Bytes that the forward pass keeps for the backward pass, each storage once."""
    storages: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        action()
    return sum(storages.values())
