"""Labels that look like a text: typing errors, other spellings, missing words."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

_POOL = 40


@dataclass(frozen=True)
class Candidate:
    """A node, its label that looked most like the text, and how much (0 to 1)."""

    node: str
    label: str
    score: float


class LabelIndex:
    """Labels by their trigrams.

    A text's nearest labels are picked by the Dice coefficient of letter trigrams (Dice 1945), which an inverted index
    gives without a look at every label, and scored by the mean of that and difflib's ratio, which minds the order.

    Args:
        entries: (normalised label, node id).
    """

    def __init__(self, entries: Iterable[tuple[str, str]]):
        self._entries = tuple(entries)
        self._sizes = []
        self._postings: dict[str, list[int]] = {}
        for number, (label, _) in enumerate(self._entries):
            grams = _trigrams(label)
            self._sizes.append(len(grams))
            for gram in grams:
                self._postings.setdefault(gram, []).append(number)

    def nearest(self, text: str, limit: int) -> tuple[Candidate, ...]:
        """At most ``limit`` nodes, best first, each once; ties are broken by label, then node."""
        grams = _trigrams(text)
        shared = Counter(number for gram in grams for number in self._postings.get(gram, ()))
        dice = {number: 2 * count / (len(grams) + self._sizes[number]) for number, count in shared.items()}
        pool = sorted(dice, key=lambda number: (-dice[number], self._entries[number]))[:_POOL]
        scored = sorted(
            (
                -(dice[n] + SequenceMatcher(None, text, self._entries[n][0], autojunk=False).ratio()) / 2,
                *self._entries[n],
            )
            for n in pool
        )
        best: dict[str, Candidate] = {}
        for score, label, node in scored:
            best.setdefault(node, Candidate(node, label, round(-score, 3)))
        return tuple(best.values())[:limit]


@lru_cache(maxsize=4096)
def _trigrams(text: str) -> frozenset[str]:
    padded = f"  {text} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))
