"""The taxonomy as arrays: nodes are numbers in the order of their ids, and -1 is no node.

Every array has one row more than there are nodes. Index -1 finds it, so no answer needs no case of its own.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skinr1.taxonomy import Bucket, Taxonomy

Nodes = NDArray[np.int16]
BUCKETS = tuple(Bucket)
INFECTIOUS = "infectious"  # the top-level group of infections
NONE = -1


class Tree:
    """Arrays of a taxonomy.

    Attributes:
        ids: node ids, sorted.
        ancestors: (nodes + 1, levels) number of the ancestor at each level, the node itself included, -1 below it.
        depth: (nodes + 1,) levels from the top; 0 for no node.
        bucket: (nodes + 1,) place in :data:`BUCKETS`; -1 where members differ and for no node.
        infectious: (nodes + 1,) whether the node lies among the infections.
    """

    def __init__(self, taxonomy: Taxonomy):
        if len(taxonomy.nodes) > np.iinfo(np.int16).max:
            raise ValueError("more nodes than a 16-bit number can count")
        self.ids = tuple(sorted(taxonomy.nodes))
        self.number = {node: place for place, node in enumerate(self.ids)}
        nodes = [taxonomy.node(node) for node in self.ids]
        self.depth = np.array([*(node.depth for node in nodes), 0], dtype=np.int16)
        self.ancestors = np.full((len(nodes) + 1, int(self.depth.max())), NONE, dtype=np.int16)
        for place, node in enumerate(self.ids):
            path = taxonomy.path(node)
            self.ancestors[place, : len(path)] = [self.number[part] for part in path]
        places = [NONE if node.bucket is None else BUCKETS.index(node.bucket) for node in nodes]
        self.bucket = np.array([*places, NONE], dtype=np.int8)
        groups = [taxonomy.path(node.id)[0] for node in nodes]
        contagious = [node.contagious or group == INFECTIOUS for node, group in zip(nodes, groups, strict=True)]
        self.infectious = np.array([*contagious, False])

    @property
    def levels(self) -> int:
        """Depth of the deepest node."""
        return self.ancestors.shape[1]

    @cached_property
    def by_level(self) -> tuple[NDArray[np.int64], ...]:
        """For each level (nodes + 1,): the place of each node's ancestor among the classes of that level, else -1."""
        found = []
        for level in range(self.levels):
            classes = np.flatnonzero(self.depth[:-1] == level + 1)
            place = np.full(len(self.depth), NONE, dtype=np.int64)
            place[classes] = np.arange(len(classes))
            found.append(np.where(self.ancestors[:, level] >= 0, place[self.ancestors[:, level]], NONE))
        return tuple(found)

    def classes(self, level: int) -> int:
        """Number of nodes at a level (1 = top)."""
        return int((self.depth[:-1] == level).sum())

    def shared_depth(self, a: Nodes, b: Nodes) -> Nodes:
        """Depth of the lowest common ancestor; 0 where only the root joins the two, or one is no node."""
        return ((self.ancestors[a] == self.ancestors[b]) & (self.ancestors[a] >= 0)).sum(axis=-1, dtype=np.int16)

    def covers(self, truth: Nodes, said: Nodes) -> NDArray[np.bool_]:
        """Whether what was said is the truth or below it: a label on a group leaves the subtype open."""
        level = np.maximum(self.depth[truth] - 1, 0)
        return (truth >= 0) & (said >= 0) & (self.ancestors[said, level] == truth)
