"""The findings against the annotation: signs as a set, and the seven criteria of dermoscopy one by one.

Cases without an annotated sign are outside. An invalid answer names none and scores 0.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.columns import Columns, bits_of, popcount
from skinr1.metrics.statistics import Array
from skinr1.seven_point import CRITERIA, MAJOR, THRESHOLD


def annotated(columns: Columns) -> NDArray[np.bool_]:
    """(n,) a sign is annotated as present."""
    return popcount(columns.signs_present) > 0


def set_f1(columns: Columns) -> Array:
    """(n,) F1 of the reported signs against the annotated ones; NaN without annotation."""
    shared = popcount(columns.signs_said & columns.signs_present)
    total = popcount(columns.signs_said) + popcount(columns.signs_present)
    return np.where(annotated(columns), 2 * shared / np.maximum(1, total), np.nan)


def set_counts(columns: Columns) -> Array:
    """(n, 3): signs said and annotated, said, annotated, for micro precision and recall; an empty or invalid answer
    counts as many said, all wrong, as are annotated, so that silence does not raise precision.
    """
    said, present = popcount(columns.signs_said), popcount(columns.signs_present)
    shared = popcount(columns.signs_said & columns.signs_present)
    table = np.stack([shared, np.where(said > 0, said, present), present], axis=1).astype(np.float64)
    return np.where(annotated(columns)[:, None], table, 0.0)


def contradicted(columns: Columns) -> Array:
    """(n,) share of the reported signs that are annotated as absent, 1 when invalid; NaN without annotated absence."""
    said = popcount(columns.signs_said)
    share = popcount(columns.signs_said & columns.signs_absent) / np.maximum(1, said)
    return np.where(popcount(columns.signs_absent) > 0, np.where(columns.valid, share, 1.0), np.nan)


def criterion_values(columns: Columns) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
    """(criterion, (n,) true, (n,) said): places of values, 0 is absent, -1 is not annotated.

    A criterion is annotated where a sign of it is present or all signs of it that count are annotated as absent.
    Of several signs of a criterion the one of most points counts, then the first in the checklist's order.
    """
    for criterion, values in CRITERIA.items():
        order = sorted(range(len(values)), key=lambda place: not list(values.values())[place][0])
        names = [list(values.values())[place][1] for place in order]
        counting = bits_of(name for counts, name in values.values() if counts)
        absent = ((columns.signs_absent & counting) == counting).all(axis=1)
        true = _first(columns.signs_present, names)
        yield criterion, np.where((true > 0) | absent, true, -1), _first(columns.signs_said, names)


def _first(sets: NDArray[np.uint8], names: list[str]) -> NDArray[np.int64]:
    """(n,) 1 + place of the first name in each set; 0 for none."""
    inside = np.stack([(sets & bits_of([name])).any(axis=1) for name in names], axis=1)
    return np.where(inside.any(axis=1), 1 + inside.argmax(axis=1), 0)


def field_counts(columns: Columns) -> Array:
    """(n, 2): criteria whose value is right, criteria annotated. An invalid answer has none right, absent ones
    included: two empty fields are not an agreement when nothing was said.
    """
    right = np.zeros(len(columns))
    known = np.zeros(len(columns))
    for _, true, said in criterion_values(columns):
        known += true >= 0
        right += (true >= 0) & (true == said) & columns.valid
    return np.stack([right, known], axis=1)


def suspicious_agreement(columns: Columns) -> Array:
    """(n,): 1 when annotation and findings agree on a classic score of 3 or more; NaN unless all are annotated."""
    true_score, said_score = np.zeros(len(columns)), np.zeros(len(columns))
    complete = np.ones(len(columns), dtype=bool)
    for criterion, true, said in criterion_values(columns):
        counting = sum(counts for counts, _ in CRITERIA[criterion].values())  # those come first in the order
        points = 2 if criterion in MAJOR else 1
        complete &= true >= 0
        true_score += points * ((true > 0) & (true <= counting))
        said_score += points * ((said > 0) & (said <= counting))
    same = (true_score >= THRESHOLD["classic"]) == (said_score >= THRESHOLD["classic"])
    return np.where(complete, same & columns.valid, np.nan)


def fields(columns: Columns) -> dict[str, Any]:
    """Criterion -> cases annotated and right."""
    return {
        name: {"n": int((true >= 0).sum()), "correct": int(((true >= 0) & (true == said) & columns.valid).sum())}
        for name, true, said in criterion_values(columns)
    }
