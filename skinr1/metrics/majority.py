"""The baseline that always says the same."""

from collections import Counter
from dataclasses import replace

import numpy as np

from skinr1.metrics.columns import RANKS, Coded, Columns
from skinr1.metrics.tree import NONE, Tree
from skinr1.taxonomy import Bucket


def majority(columns: Columns, tree: Tree) -> Columns:
    """The same cases, all answered with the most frequent true diagnosis and its risk bucket, surely and with no sign.

    Frequencies are of these very cases, which favours the baseline. Ties go to the smaller id.
    """
    n = len(columns)
    counts: Counter[str] = Counter()
    for nodes, cases in zip(columns.truth.values, np.bincount(columns.truth.codes), strict=False):
        counts.update(dict.fromkeys(nodes, int(cases)))
    node = tree.number[min(counts, key=lambda name: (-counts[name], name))]
    bucket = int(tree.bucket[node])
    if bucket == NONE:  # of a group whose members differ
        bucket = list(Bucket).index(Bucket.INDETERMINATE)
    return replace(
        columns,
        valid=np.ones(n, dtype=bool),
        ranking=np.tile(np.array([node, *[NONE] * (RANKS - 1)], dtype=np.int16), (n, 1)),
        probability=np.tile(np.array([100, *[0] * (RANKS - 1)], dtype=np.uint8), (n, 1)),
        said_bucket=np.full(n, bucket, dtype=np.int8),
        reason=Coded(np.zeros(n, dtype=np.int32), ("",)),
        faults=Coded(np.zeros(n, dtype=np.int32), ((),)),
        cut=np.zeros(n, dtype=bool),
        consistency=np.zeros(n, dtype=np.float32),
        signs_said=np.zeros_like(columns.signs_said),
    )
