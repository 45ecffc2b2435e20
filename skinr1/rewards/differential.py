"""The ranked differential against a set of true nodes, or against several readers' weighted differential.

A faulty list earns nothing: a node twice, an ancestor beside its descendant, an entry with probability 0,
probabilities that add up to more than 1, a rank that contradicts them, or a first entry that is not the diagnosis.
Distinct rivals are no fault: what a right one earns is discounted by rank, and a wrong one costs its probability.
"""

import math

from skinr1.report import Answer, Report
from skinr1.rewards.truth import Truth
from skinr1.taxonomy import Taxonomy


def ranked_hit(answer: Answer | None, truth: Truth, taxonomy: Taxonomy) -> float:
    """The best of weight / log2(rank + 1) over the right entries (DCG's discount); 0 for none or a faulty list.

    The weight is a reader weight over the highest one, or 1 for a plain label.
    """
    if answer is None or not is_honest(answer.report, taxonomy):
        return 0.0
    right = _weights(truth)
    highest = max((weight for _, weight in right.values()), default=0.0)
    best = 0.0
    for rank, entry in enumerate(answer.report.differential, 1):
        event = _event(entry.diagnosis, right, taxonomy)
        if event is not None:
            best = max(best, event[1] / highest / math.log2(rank + 1))
    return best


def differential_score(answer: Answer | None, truth: Truth, taxonomy: Taxonomy) -> float:
    """1 - sum((p - w)^2) / 2 over the diagnoses either side names (the Brier score, turned round); in [0, 1].

    ``w`` is a reader weight, or 1 for a plain label, whose nodes count as one. A probability for a descendant of a
    true node counts for that node. The score is proper: honest probabilities earn most, and an entry more that is
    wrong can only cost.
    """
    if answer is None or not is_honest(answer.report, taxonomy):
        return 0.0
    right = _weights(truth)
    if not right:
        return 0.0
    given = dict.fromkeys(right.values(), 0.0)
    wrong = 0.0
    for entry in answer.report.differential:
        event = _event(entry.diagnosis, right, taxonomy)
        if event is None:
            wrong += entry.probability**2
        else:
            given[event] += entry.probability
    return max(0.0, 1 - (sum((p - event[1]) ** 2 for event, p in given.items()) + wrong) / 2)


_Event = tuple[int, float]  # number and weight


def _weights(truth: Truth) -> dict[str, _Event]:
    """True node -> the event it belongs to. Readers' nodes are an event each; the nodes of a label are one together."""
    if truth.differential:
        return {node: (number, weight) for number, (node, weight) in enumerate(truth.differential)}
    return dict.fromkeys(truth.diagnoses, (0, 1.0))


def _event(node: str, right: dict[str, _Event], taxonomy: Taxonomy) -> _Event | None:
    """The event of the node or of its nearest ancestor among the true nodes."""
    for part in reversed(taxonomy.path(node)):
        if part in right:
            return right[part]
    return None


def is_honest(report: Report, taxonomy: Taxonomy) -> bool:
    """Whether the list begins with the diagnosis and names each node once, with falling probabilities, 1 in all."""
    entries = report.differential
    probabilities = [entry.probability for entry in entries]
    if sum(probabilities) > 1.005 or probabilities != sorted(probabilities, reverse=True):
        return False
    if not entries or entries[0].diagnosis != report.diagnosis or not probabilities[-1]:
        return False
    named = {entry.diagnosis for entry in entries}
    return len(named) == len(entries) and all(named.isdisjoint(taxonomy.path(node)[:-1]) for node in named)
