"""The reasoning beside the report: does it say the same, cite what exists, stop, repeat itself?"""

from collections.abc import Container

from skinr1.knowledge.rules import signs
from skinr1.report import Answer, inconsistencies
from skinr1.taxonomy import Taxonomy
from skinr1.taxonomy.tree import normalise

LENGTH = 1200  # characters of reasoning that cost nothing; the paper's trajectories are shorter
GRAM = 4


def consistency(answer: Answer | None, taxonomy: Taxonomy) -> float:
    """Share of the report that its reasoning bears out; 0 where the report contradicts itself.

    Counted are the findings (mentioned, and not denied) and the diagnosis (its name or an alias occurs).
    """
    if answer is None or inconsistencies(answer.report, taxonomy):
        return 0.0
    diagnosis = answer.report.diagnosis
    said = {name for name, denied, _ in signs(answer.thinking) if not denied}
    words = f" {normalise(answer.thinking)} "
    borne_out = [name in said for name in answer.report.findings]
    if diagnosis is not None:
        node = taxonomy.node(diagnosis)
        borne_out.append(any(f" {normalise(label)} " in words for label in (node.name, *node.aliases)))
    return sum(borne_out) / len(borne_out) if borne_out else 0.0


def citations_exist(answer: Answer | None, passages: Container[str]) -> float:
    """Share of the report's citations that are passages of the book and stand in the reasoning; 0 without any."""
    if answer is None or not answer.report.citations:
        return 0.0
    cited = answer.report.citations
    good = {passage for passage in cited if passage in passages and f"[{passage}]" in answer.thinking}
    return len(good) / len(cited)


def brevity(answer: Answer | None) -> float:
    """1 up to :data:`LENGTH` characters of reasoning, falling to 0 at twice that."""
    if answer is None:
        return 0.0
    return min(1.0, max(0.0, 2 - len(answer.thinking) / LENGTH))


def variety(answer: Answer | None) -> float:
    """Share of the reasoning's runs of four words that are not a repetition; 1 where there is none."""
    if answer is None:
        return 0.0
    words = normalise(answer.thinking).split()
    grams = [tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0
