"""Answers that no picture went into: from the labels of the training cases, or from what is written about a patient.

They need no model. A model that does no better has earned nothing by looking, whatever its accuracy.
"""

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skinr1.cases import Case
from skinr1.interpret.probe import probe

Ranked = list[tuple[str, float]]  # nodes, most probable first, each with its probability
RANKS = 5


def prior(train: Sequence[Case]) -> Ranked:
    """Share of each diagnosis among cases of one node, most frequent first; ties go to the smaller id."""
    counts = Counter(case.diagnoses[0] for case in train)
    return [(node, counts[node] / len(train)) for node in sorted(counts, key=lambda node: (-counts[node], node))]


def majority(train: Sequence[Case], tested: Sequence[Case]) -> list[Ranked]:
    """The most frequent training diagnoses, the same for every case."""
    return [prior(train)[:RANKS]] * len(tested)


def drawn(train: Sequence[Case], tested: Sequence[Case], seed: int) -> list[Ranked]:
    """One diagnosis a case, drawn as often as training has it. Seed and case id decide, not the order of the cases."""
    shares = prior(train)
    weights = [share for _, share in shares]
    # Seeded by the text's SHA-512, not by its hash().
    return [random.Random(f"prior {seed}\t{case.case_id}").choices(shares, weights) for case in tested]


def metadata(train: Sequence[Case], tested: Sequence[Case], seed: int) -> list[Ranked]:
    """Logistic regression on age, sex, site, skin tone and complaints, as :func:`skinr1.interpret.probe.probe`.

    Raises:
        UserError: fewer than two diagnoses, or too few patients for the cross-validation.
    """
    from sklearn.feature_extraction import DictVectorizer

    features = DictVectorizer(sparse=False)
    seen = features.fit_transform([told(case) for case in train])
    held = features.transform([told(case) for case in tested])
    labels, groups = [case.diagnoses[0] for case in train], [case.group for case in train]
    found = probe(seen, labels, groups, held, seed)
    return [ranked(found.classes, chances) for chances in found.probabilities]


def told(case: Case) -> dict[str, str | float]:
    """What is known of a patient besides the picture, as features; what is unknown is a value of its own.

    Age comes as a number and as a decade, because few diseases rise or fall evenly with it.
    """
    known = {f"complains of {complaint}": 1.0 for complaint in case.history}
    return {
        "age": (case.age or 0) / 100,
        "decade": "unknown" if case.age is None else str(case.age // 10),
        "sex": case.sex or "unknown",
        "site": case.site or "unknown",
        "tone": case.tone_group or "unknown",
        **known,
    }


def ranked(classes: Sequence[str], chances: NDArray[np.float64]) -> Ranked:
    """The most probable classes; equal ones in their order."""
    return [(classes[at], float(chances[at])) for at in np.argsort(-chances, kind="stable")[:RANKS]]
