"""The reasoning beside the report: does it say the same, cite what exists, stop, repeat itself?"""

from collections.abc import Mapping
from functools import lru_cache

from skinr1.knowledge.rules import assertions
from skinr1.report import Answer, inconsistencies
from skinr1.taxonomy import Taxonomy
from skinr1.taxonomy.node import normalise

LENGTH = 1200  # characters of reasoning that cost nothing; the paper's trajectories are shorter
GRAM = 4
DENIALS = frozenset(
    ["no", "not", "without", "never", "neither", "nor", "unlikely", "unlike", "cannot", "against", "than"]
)


def consistency(answer: Answer | None, taxonomy: Taxonomy) -> float:
    """Share of the report that its reasoning bears out; 0 where the report contradicts itself.

    Counted are the findings (mentioned, and not denied) and the diagnosis (its name or an alias occurs, and not only
    denied: "not melanoma", "rather than a nevus").
    """
    if answer is None or inconsistencies(answer.report, taxonomy):
        return 0.0
    diagnosis = answer.report.diagnosis
    missing = set(answer.report.findings)
    for name in assertions(answer.thinking):
        missing.discard(name)
        if not missing:  # as a rule the signs come first
            break
    borne_out = [name not in missing for name in answer.report.findings]
    if diagnosis is not None:
        words = f" {' '.join(answer.words)} "
        borne_out.append(any(_affirmed(label, words) for label in _labels(taxonomy.node(diagnosis).labels)))
    return sum(borne_out) / len(borne_out) if borne_out else 0.0


def _affirmed(label: str, words: str) -> bool:
    """Whether a name occurs with no denial among the two words before it."""
    at = words.find(label)
    while at >= 0:
        if DENIALS.isdisjoint(words[:at].rsplit(maxsplit=2)[-2:]):
            return True
        at = words.find(label, at + 1)
    return False


@lru_cache(maxsize=4096)
def _labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """A node's names as whole words."""
    return tuple(f" {normalise(label)} " for label in names)


def citations_valid(answer: Answer | None, passages: Mapping[str, tuple[str, ...]], taxonomy: Taxonomy) -> float:
    """Share of the report's citations that bear on it; 0 without any.

    Such a citation is a passage of the book, stands in the reasoning, and is about a diagnosis of the report (its own
    or a rival), or about a node above or below one.

    Args:
        passages: id -> the nodes that the passage is about.
    """
    if answer is None or not answer.report.citations:
        return 0.0
    report = answer.report
    named = [node for node in (report.diagnosis, *(entry.diagnosis for entry in report.differential)) if node]
    cited = report.citations
    good = {
        passage
        for passage in cited
        if f"[{passage}]" in answer.thinking
        and any(_on_one_path(about, node, taxonomy) for about in passages.get(passage, ()) for node in named)
    }
    return len(good) / len(cited)


def _on_one_path(first: str, second: str, taxonomy: Taxonomy) -> bool:
    return first in taxonomy.path(second) or second in taxonomy.path(first)


def brevity(answer: Answer | None) -> float:
    """1 up to :data:`LENGTH` characters of reasoning, falling to 0 at twice that."""
    if answer is None:
        return 0.0
    return min(1.0, max(0.0, 2 - len(answer.thinking) / LENGTH))


def variety(answer: Answer | None) -> float:
    """Share of the reasoning's runs of four words that are not a repetition; 1 where there is none."""
    if answer is None:
        return 0.0
    words = answer.words
    grams = len(words) - GRAM + 1
    # the shortest ends them
    return len(set(zip(*(words[start:] for start in range(GRAM)), strict=False))) / grams if grams > 0 else 1.0
