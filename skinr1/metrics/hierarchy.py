"""Scores on the tree, one case at a time. The root is excluded: a top-level group has depth 1.

A label may denote several nodes. Each function then takes the node that suits the prediction best; where
all suit equally badly (an invalid answer, a wrong branch) it takes the deepest, so that silence is never the
cheaper answer.
"""

from skinr1.metrics.outcomes import Outcome
from skinr1.taxonomy import Taxonomy


def as_fine_as(truth: str, predicted: str, taxonomy: Taxonomy) -> str:
    """The prediction as finely as the truth is known: a label on a group leaves the subtype open, so any is right."""
    return truth if truth in taxonomy.path(predicted) else predicted


def shared_depth(a: str, b: str, taxonomy: Taxonomy) -> int:
    """Depth of the lowest common ancestor; 0 when only the root joins the two."""
    ancestor = taxonomy.lca(a, b)
    return taxonomy.node(ancestor).depth if ancestor else 0


def best_truth(outcome: Outcome, taxonomy: Taxonomy) -> str:
    """The true node with the largest ancestor-F against the prediction; then the deepest, then the smallest id."""

    def fitness(node: str) -> tuple[float, int]:
        depth = taxonomy.node(node).depth
        if outcome.predicted is None:
            return 0.0, depth
        said = as_fine_as(node, outcome.predicted, taxonomy)
        return 2 * shared_depth(said, node, taxonomy) / (taxonomy.node(said).depth + depth), depth

    return max(sorted(outcome.row.diagnoses), key=fitness)


def top1(outcome: Outcome, taxonomy: Taxonomy) -> float:
    """1 when the given diagnosis is one of the true nodes or below one, else 0."""
    said = outcome.predicted
    return float(said is not None and not set(taxonomy.path(said)).isdisjoint(outcome.row.diagnoses))


def ancestor_counts(outcome: Outcome, taxonomy: Taxonomy) -> tuple[int, int, int]:
    """(shared, predicted, true) sizes of the ancestor sets, node included, root excluded (Kiritchenko).

    Summed over cases these give the micro scores. An invalid answer gives (0, true, true), as a wrong one of the true
    depth does: with 0 predicted nodes it would leave precision's denominator, and silence would pay.
    """
    truth = best_truth(outcome, taxonomy)
    depth = taxonomy.node(truth).depth
    if outcome.predicted is None:
        return 0, depth, depth
    said = as_fine_as(truth, outcome.predicted, taxonomy)
    return shared_depth(said, truth, taxonomy), taxonomy.node(said).depth, depth


def case_f(outcome: Outcome, taxonomy: Taxonomy) -> float:
    """F of one case."""
    shared, predicted, true = ancestor_counts(outcome, taxonomy)
    return 2 * shared / (predicted + true)


def depth_credit(outcome: Outcome, taxonomy: Taxonomy) -> float:
    """depth(LCA) / depth(truth), the best over the true nodes; 0 when invalid."""
    if outcome.predicted is None:
        return 0.0
    return max(
        shared_depth(outcome.predicted, node, taxonomy) / taxonomy.node(node).depth for node in outcome.row.diagnoses
    )


def tree_distance(outcome: Outcome, taxonomy: Taxonomy) -> float:
    """Edges between prediction and nearest true node, through the root if need be.

    An invalid answer is as far away as any node of the tree can be: depth(truth) + depth of the deepest leaf.
    """
    if outcome.predicted is None:
        return taxonomy.node(best_truth(outcome, taxonomy)).depth + tree_depth(taxonomy)
    said = {node: as_fine_as(node, outcome.predicted, taxonomy) for node in outcome.row.diagnoses}
    return min(
        taxonomy.node(near).depth + taxonomy.node(node).depth - 2 * shared_depth(near, node, taxonomy)
        for node, near in said.items()
    )


def level_hit(outcome: Outcome, taxonomy: Taxonomy, level: int) -> float | None:
    """1 when prediction and truth share their ancestor at ``level`` (1 = top), else 0; None when no truth is that deep.

    A prediction that stops above the level misses it.
    """
    deep = [node for node in outcome.row.diagnoses if taxonomy.node(node).depth >= level]
    if not deep:
        return None
    predicted = outcome.predicted
    return float(predicted is not None and any(shared_depth(predicted, node, taxonomy) >= level for node in deep))


def tree_depth(taxonomy: Taxonomy) -> int:
    """Depth of the deepest node."""
    return max(node.depth for node in taxonomy.nodes.values())
