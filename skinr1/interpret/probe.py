"""A linear probe: what a linear classifier reads out of the vision tower, beside what the model itself says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skinr1.errors import UserError

Array = NDArray[np.float64]
FOLDS = 5
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)


@dataclass(frozen=True)
class Probed:
    """The probe's answers to held-out cases.

    Attributes:
        classes: labels of the training cases, sorted.
        probabilities: (held-out cases, classes).
        strength: inverse weight of the L2 penalty, chosen by cross-validation on training patients alone.
        trained_on: number of cases.
    """

    classes: tuple[str, ...]
    probabilities: Array
    strength: float
    trained_on: int


def probe(train: Array, labels: Sequence[str], groups: Sequence[str], test: Array, seed: int = 17) -> Probed:
    """Logistic regression on standardised activations, (cases, width).

    No patient is in two folds of the cross-validation; that none is in ``train`` and ``test`` is the caller's care.

    Raises:
        UserError: fewer than two labels, or too few patients for the cross-validation.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(set(labels)) < 2 or len(set(groups)) < FOLDS:
        where = f"{len(set(labels))} label(s), {len(set(groups))} patient(s)"
        raise UserError("too little to train a probe on", where, f"Needs 2 labels and {FOLDS} patients.")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        {"logisticregression__C": list(STRENGTHS)},
        cv=StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed),
        scoring="accuracy",
        error_score="raise",
    )
    search.fit(train, np.asarray(labels), groups=np.asarray(groups))
    found = search.predict_proba(test)
    strength = float(search.best_params_["logisticregression__C"])
    return Probed(tuple(str(name) for name in search.classes_), np.asarray(found), strength, len(train))
