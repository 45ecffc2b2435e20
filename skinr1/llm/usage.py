"""Tokens, and what they cost."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from skinr1.errors import UserError
from skinr1.llm.cache import Completion


class Price(NamedTuple):
    """Of a million tokens, in the currency of whoever wrote the configuration."""

    prompt: float
    completion: float


def read_prices(given: Mapping[str, Any] | str | None) -> dict[str, Price]:
    """Model -> price, from ``{model: [prompt, completion]}``, as JSON text too. Raises UserError for anything else."""
    try:
        table = json.loads(given) if isinstance(given, str) else given or {}
    except ValueError:
        table = None
    if not isinstance(table, Mapping):
        raise UserError("prices are not readable", str(given), 'Write {"model": [prompt, completion]}.')
    prices = {}
    for model, pair in table.items():
        numbers = pair if isinstance(pair, list | tuple) and len(pair) == 2 else ()
        if not numbers or not all(type(n) in (int, float) and 0 <= n < float("inf") for n in numbers):
            raise UserError("price is not readable", f"{model}: {pair!r}", "Write [prompt, completion] per million.")
        prices[model] = Price(*map(float, numbers))
    return prices


class Usage:
    """Counts of distinct requests. Equal requests count once; the order of answers does not matter."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._counts: dict[str, Counter[str]] = {}

    def knows(self, key: str) -> bool:
        return bytes.fromhex(key) in self._seen

    def add(self, key: str, model: str, answer: Completion) -> None:
        if self.knows(key):
            return
        self._seen.add(bytes.fromhex(key))
        counts = self._counts.setdefault(model, Counter())
        counts["requests"] += 1
        if answer.prompt_tokens is None or answer.completion_tokens is None:
            counts["requests_without_token_counts"] += 1
        counts["prompt_tokens"] += answer.prompt_tokens or 0
        counts["completion_tokens"] += answer.completion_tokens or 0

    def summary(self, prices: Mapping[str, Price]) -> dict[str, dict[str, int | float | None]]:
        """Per model: requests, those without token counts, tokens, cost.

        The cost is null when the price, or the tokens of any request, are unknown.
        """
        return {model: _summed(counts, prices.get(model)) for model, counts in sorted(self._counts.items())}


def _summed(counts: Counter[str], price: Price | None) -> dict[str, int | float | None]:
    names = ("requests", "requests_without_token_counts", "prompt_tokens", "completion_tokens")
    found: dict[str, int | float | None] = {name: counts[name] for name in names}
    known = price is not None and not counts["requests_without_token_counts"]
    found["cost"] = (
        round((counts["prompt_tokens"] * price.prompt + counts["completion_tokens"] * price.completion) / 1e6, 6)
        if known and price is not None
        else None
    )
    return found
