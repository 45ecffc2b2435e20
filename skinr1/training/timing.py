"""Where the time of a GRPO step goes: rollout, reward, scoring, update."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class StepTimes:
    """Seconds of the step under way, by part. Parts lie inside one another: reward inside prepare inside step."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Adds the time of the block to ``part``."""
        _finish()
        started = time.perf_counter()
        try:
            yield
        finally:
            _finish()
            self._seconds[part] += time.perf_counter() - started

    def split(self) -> dict[str, float]:
        """Disjoint parts of the step that just ended, which add up to it; the next step starts at zero.

        ``rollout`` samples the completions, ``reward`` judges them, ``score`` is the rest of the preparation (old and
        reference log-probabilities), ``update`` is the loss with its gradients; what the optimizer then takes is in
        none of them.
        """
        taken, self._seconds = self._seconds, defaultdict(float)
        inner = taken["rollout"] + taken["reward"]
        parts = {"rollout": taken["rollout"], "reward": taken["reward"], "score": taken["prepare"] - inner}
        return {**parts, "update": taken["step"] - taken["prepare"]}


def _finish() -> None:
    """Waits for the GPU: what was only begun would count as the next part's."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
