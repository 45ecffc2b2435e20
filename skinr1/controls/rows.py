"""Answers of controls -> rows of ``controls.json``: scored as a model is, and paired with the model's own."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from skinr1.metrics.catalogue import HIERARCHICAL_F, TOP1, VALID, Metric, Seen, catalogue, mean
from skinr1.metrics.estimate import estimates, paired_differences
from skinr1.metrics.statistics import RESAMPLES, SEED, Array
from skinr1.metrics.tree import NONE, Nodes, Tree
from skinr1.progress import Watch

# Balanced beside plain accuracy: a prior does well on what is frequent.
SHOWN = (TOP1.name, HIERARCHICAL_F.name, "level_2_balanced_accuracy", VALID.name)
MODEL = "model"


def shown(tree: Tree) -> list[Metric]:
    """The metrics of a row, as the catalogue has them; a tree of one level has no second."""
    found = {metric.name: metric for metric in catalogue(tree)}
    return [found[name] for name in SHOWN if name in found]


def rows(
    own: Seen, controls: Mapping[str, Seen], watch: Watch, resamples: int = RESAMPLES, seed: int = SEED
) -> list[dict[str, Any]]:
    """The model's own row, then one a control.

    A control's row has ``model_minus`` (the model's value minus the control's, same cases, same draws of patients) and
    ``beside``, ``same_diagnosis``: of the cases that the model gave a diagnosis, the share where the control gives the
    same.

    Raises:
        UserError: a control has other cases than the model.
    """
    metrics = shown(own.tree)
    found: list[dict[str, Any]] = [{"name": MODEL, **_numbers(metrics, own, resamples, seed)}]
    for name, control in watch(controls.items(), description="compare with the model"):
        difference = paired_differences(metrics, own, control, resamples, seed)
        same = mean("same_diagnosis", partial(same_diagnosis, control.columns.said))
        found.append(
            {
                "name": name,
                **_numbers(metrics, control, resamples, seed),
                "model_minus": {metric: asdict(estimate) for metric, estimate in difference.items()},
                "beside": _numbers([same], own, resamples, seed),
            }
        )
    return found


def same_diagnosis(said: Nodes, own: Seen) -> Array:
    """(n,) 1 where both give the same node, 0 where not, NaN where the model gave none."""
    return np.where(own.silent, np.nan, (own.columns.said == said) & (said != NONE))


def _numbers(metrics: list[Metric], seen: Seen, resamples: int, seed: int) -> dict[str, Any]:
    return {name: asdict(estimate) for name, estimate in estimates(metrics, seen, resamples, seed).items()}
