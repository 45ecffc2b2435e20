"""The worst errors of a model: which they are, and at which level of the tree each first goes wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

from skinr1.metrics.hierarchy import shared_depth, top1
from skinr1.metrics.outcomes import Outcome
from skinr1.taxonomy import Bucket, Taxonomy


@dataclass(frozen=True)
class Level:
    """One level of the answer's path: what was said, and the truth where that differs."""

    number: int
    said: str
    truth: str
    right: bool


def nearest(outcome: Outcome, taxonomy: Taxonomy) -> str:
    """The true node with the deepest ancestor in common with the answer; then the deepest, then the smallest id."""
    said = outcome.predicted

    def fitness(node: str) -> tuple[int, int]:
        return 0 if said is None else shared_depth(said, node, taxonomy), taxonomy.node(node).depth

    return max(sorted(outcome.row.diagnoses), key=fitness)


def severity(outcome: Outcome, taxonomy: Taxonomy) -> tuple[bool, bool, int, float]:
    """What makes an error worse, most important first.

    Returns:
        a malignant lesion not called malignant; a benign one called malignant; edges of the tree between answer and
        nearest truth; probability that the answer states for itself.
    """
    said, truth = outcome.predicted_condition, outcome.row.condition
    missed = truth is Bucket.MALIGNANT and said is not Bucket.MALIGNANT
    false_alarm = said is Bucket.MALIGNANT and truth is not None and truth is not Bucket.MALIGNANT
    entries = outcome.answer.report.differential if outcome.answer else ()
    stated = entries[0].probability if entries else 0.0
    truth_node = nearest(outcome, taxonomy)
    distance = 0
    if outcome.predicted is not None:
        shared = shared_depth(outcome.predicted, truth_node, taxonomy)
        distance = taxonomy.node(outcome.predicted).depth + taxonomy.node(truth_node).depth - 2 * shared
    return missed, false_alarm, distance, stated


def worst(outcomes: Sequence[Outcome], taxonomy: Taxonomy, size: int) -> list[str]:
    """Ids of the worst valid answers with a wrong diagnosis, worst first; ties in order of id."""
    wrong = [o for o in outcomes if o.predicted is not None and not top1(o, taxonomy)]
    ranked = sorted(wrong, key=lambda o: (*(-float(part) for part in severity(o, taxonomy)), o.case_id))
    return [outcome.case_id for outcome in ranked[:size]]


def levels(outcome: Outcome, taxonomy: Taxonomy) -> tuple[Level, ...]:
    """The answer's path down to its first wrong level, against the true node nearest to it; all of it when right."""
    if outcome.predicted is None:
        return ()
    truth = taxonomy.path(nearest(outcome, taxonomy))
    said = taxonomy.path(outcome.predicted)
    shared = shared_depth(outcome.predicted, truth[-1], taxonomy)
    shown = []
    for number, node in enumerate(said[: shared + 1], 1):
        own = truth[number - 1] if number <= len(truth) else truth[-1]
        shown.append(Level(number, taxonomy.node(node).name, taxonomy.node(own).name, number <= shared))
    if len(said) <= shared < len(truth):  # right so far, but not as fine as the truth
        shown.append(Level(shared + 1, "not said", taxonomy.node(truth[shared]).name, False))
    return tuple(shown)


def error_in_words(outcome: Outcome, taxonomy: Taxonomy) -> str:
    """One sentence: the kind of the error, the first wrong level, and the distance."""
    wrong = next((level for level in levels(outcome, taxonomy) if not level.right), None)
    if wrong is None:
        return ""
    missed, false_alarm, distance, stated = severity(outcome, taxonomy)
    kind = "Malignancy missed. " if missed else "False alarm of malignancy. " if false_alarm else ""
    return (
        f"{kind}First wrong at level {wrong.number}: said {wrong.said}, truth {wrong.truth}; "
        f"{distance} edges from the truth, stated with {stated:.0%}."
    )
