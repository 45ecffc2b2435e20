"""The reasoning beside the report: does it say the same, cite what exists, stop, repeat itself?"""

from collections.abc import Mapping

from skinr1.knowledge.rules import assertions
from skinr1.report import Answer, inconsistencies
from skinr1.rewards.conclusion import concludes
from skinr1.taxonomy import Taxonomy
from skinr1.taxonomy.node import normalise

LENGTH = 1200  # characters of reasoning that cost nothing; the paper's trajectories are shorter
GRAM = 4
REPEATED = 0.2  # share of repetition that costs nothing: signs are named again where they are weighed


def consistency(answer: Answer | None, taxonomy: Taxonomy) -> float:
    """Share of the report's findings that its reasoning mentions and does not deny, if it concludes the diagnosis.

    0 where the report contradicts itself, where the reasoning's last naming sentence does not affirm the diagnosis
    (:func:`skinr1.rewards.conclusion.concludes`), and for a diagnosis without a finding. What stands in a citation's
    brackets says nothing. Whether the signs are there, only an annotation can say: that is the reward ``findings``.
    """
    if answer is None or inconsistencies(answer.report, taxonomy):
        return 0.0
    findings, diagnosis = answer.report.findings, answer.report.diagnosis
    if not findings or (diagnosis is not None and not concludes(answer.spoken, diagnosis, taxonomy)):
        return 0.0
    missing = set(findings)
    for name in assertions(answer.spoken):
        missing.discard(name)
        if not missing:  # as a rule the signs come first
            break
    return sum(name not in missing for name in findings) / len(findings)


def citations_valid(answer: Answer | None, passages: Mapping[str, tuple[str, ...]], taxonomy: Taxonomy) -> float:
    """Share of the report's citations that bear on it; 0 without any.

    Such a citation is a passage of the book, stands in the reasoning, and is about the report's diagnosis, about a node
    above or below it, or about one that the reasoning names. The list of rivals opens no passage: else a wrong rival
    more could earn.

    Args:
        passages: id -> the nodes that the passage is about.
    """
    if answer is None or not answer.report.citations:
        return 0.0
    cited, own = answer.report.citations, answer.report.diagnosis
    standing = {passage: passages.get(passage, ()) for passage in cited if f"[{passage}]" in answer.thinking}
    good = {
        passage for passage, nodes in standing.items() if own and any(_on_one_path(own, n, taxonomy) for n in nodes)
    }
    if len(good) < len(standing):  # as a rule they are about the diagnosis
        said = f" {normalise(answer.spoken)} "
        good |= {passage for passage, nodes in standing.items() if any(taxonomy.names(node, said) for node in nodes)}
    return len(good) / len(cited)


def _on_one_path(first: str, second: str, taxonomy: Taxonomy) -> bool:
    return first in taxonomy.path(second) or second in taxonomy.path(first)


def brevity(answer: Answer | None) -> float:
    """1 up to :data:`LENGTH` characters of reasoning, falling to 0 at twice that."""
    if answer is None:
        return 0.0
    return min(1.0, max(0.0, 2 - len(answer.thinking) / LENGTH))


def variety(answer: Answer | None) -> float:
    """1 while at most a fifth of the reasoning's runs of four words repeat an earlier one, then falling to 0."""
    if answer is None:
        return 0.0
    said = answer.spoken.casefold().split()
    grams = len(said) - GRAM + 1
    if grams < 1:
        return 1.0
    # the shortest ends them
    different = len(set(zip(*(said[start:] for start in range(GRAM)), strict=False)))
    return min(1.0, different / grams / (1 - REPEATED))
