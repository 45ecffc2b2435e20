"""Scores on the tree. The root is excluded: a top-level group has depth 1.

A label may denote several nodes. Each function then takes the node that suits the prediction best; where
all suit equally badly (an invalid answer, a wrong branch) it takes the deepest, so that silence is never the
cheaper answer.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.columns import Columns
from skinr1.metrics.outcomes import Outcome
from skinr1.metrics.statistics import Array
from skinr1.metrics.tree import NONE, Nodes, Tree
from skinr1.taxonomy import Taxonomy


def shared_depth(a: str, b: str, taxonomy: Taxonomy) -> int:
    """Depth of the lowest common ancestor; 0 when only the root joins the two."""
    ancestor = taxonomy.lca(a, b)
    return taxonomy.node(ancestor).depth if ancestor else 0


def top1(outcome: Outcome, taxonomy: Taxonomy) -> float:
    """1 when the given diagnosis is one of the true nodes or below one, else 0."""
    said = outcome.predicted
    return float(said is not None and not set(taxonomy.path(said)).isdisjoint(outcome.row.diagnoses))


@dataclass(frozen=True)
class Placed:
    """Where truths and answers lie in the tree: what the scores of this module have in common."""

    columns: Columns
    tree: Tree

    @cached_property
    def truths(self) -> Nodes:
        """(n, most) true nodes in the order of their ids, padded with -1."""
        sets = self.columns.truth.values
        padded = np.full((len(sets), max(map(len, sets))), NONE, dtype=np.int16)
        for place, nodes in enumerate(sets):
            padded[place, : len(nodes)] = [self.tree.number[node] for node in nodes]
        return padded[self.columns.truth.codes]

    def as_fine_as(self, truth: Nodes) -> Nodes:
        """What was said as finely as the truth is known: a label on a group leaves the subtype open."""
        said = self.columns.said
        return np.where(self.tree.covers(truth, said), truth, said)

    @cached_property
    def nearest(self) -> Nodes:
        """(n,) the true node with the largest ancestor-F against the answer; then the deepest, then the smallest id."""
        best = self.truths[:, 0].copy()
        fitness = self._fitness(best)
        for truth in self.truths.T[1:]:
            other = self._fitness(truth)
            better = (truth >= 0) & (other > fitness)
            best[better], fitness[better] = truth[better], other[better]
        return best

    def _fitness(self, truth: Nodes) -> Array:
        """Ancestor-F, and as little more as the depth is: it only decides between equals."""
        said = self.as_fine_as(truth)
        depth = self.tree.depth[truth]
        f = 2 * self.tree.shared_depth(said, truth) / np.maximum(1, self.tree.depth[said] + depth)
        return f + depth * 1e-6

    @cached_property
    def hits(self) -> NDArray[np.bool_]:
        """(n, 6) whether each entry of the ranking is a true node or below one."""
        return np.stack([self._hit(said) for said in self.columns.ranking.T], axis=1)

    def _hit(self, said: Nodes) -> NDArray[np.bool_]:
        found = np.zeros(len(said), dtype=bool)
        for truth in self.truths.T:
            found |= self.tree.covers(truth, said)
        return found

    @cached_property
    def ancestor_counts(self) -> Array:
        """(n, 3): sizes of the shared, predicted and true ancestor sets, node included, root excluded (Kiritchenko).

        Summed over cases these give the micro scores. An invalid answer gives (0, true, true), as a wrong one of the
        true depth does: with 0 predicted nodes it would leave precision's denominator, and silence would pay.
        """
        truth = self.nearest
        said, depth = self.as_fine_as(truth), self.tree.depth[truth]
        predicted = np.where(said >= 0, self.tree.depth[said], depth)
        return np.stack([self.tree.shared_depth(said, truth), predicted, depth], axis=1).astype(np.float64)

    def case_f(self) -> Array:
        """(n,) F of each case."""
        shared, predicted, true = self.ancestor_counts.T
        return 2 * shared / (predicted + true)

    def depth_credit(self) -> Array:
        """(n,) depth(LCA) / depth(truth), the best over the true nodes; 0 when invalid."""
        said = self.columns.said
        credits = [
            self.tree.shared_depth(said, truth) / np.maximum(1, self.tree.depth[truth]) for truth in self.truths.T
        ]
        return np.max(credits, axis=0)

    def tree_distance(self) -> Array:
        """(n,) edges between answer and nearest true node, through the root if need be.

        An invalid answer is as far away as any node can be: depth(truth) + depth of the deepest leaf.
        """
        nearest = np.full(len(self.columns), np.inf)
        for truth in self.truths.T:
            said, depth = self.as_fine_as(truth), self.tree.depth[truth]
            edges = self.tree.depth[said] + depth - 2 * self.tree.shared_depth(said, truth)
            nearest = np.minimum(nearest, np.where(truth >= 0, edges, np.inf))
        silent = self.tree.depth[self.nearest] + self.tree.levels
        return np.where(self.columns.said >= 0, nearest, silent)

    def level_classes(self, level: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """((n,) true, (n,) said) places among the classes of a level (1 = top); -1 where there is none.

        A case without a true node so deep has no true class. Of several the one said counts, else the nearest to
        what was said, else the first. An answer that stops above the level has no class: a miss.
        """
        place = self.tree.by_level[level - 1]
        said = place[self.columns.said]
        nearest = place[self.nearest]
        true = nearest.copy()
        for truth in self.truths.T[::-1]:
            here = place[truth]
            true = np.where((nearest < 0) & (here >= 0), here, true)
        for truth in self.truths.T:
            here = place[truth]
            true = np.where((here >= 0) & (here == said), here, true)
        return true, said
