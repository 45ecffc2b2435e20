"""What only the shorter answer forms can be asked: choices, descents, the 7-point score; and what chance would do.

Pure functions of a row and its parsed answer. An invalid answer is wrong, and as far off as a score can be.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from skinr1.answer_forms import LISTS, Form, Options, read_answer, unknown_names
from skinr1.letters import CONDITION_LETTERS, LETTERS, released_letter
from skinr1.metrics.catalogue import Counted, Metric, Seen
from skinr1.metrics.outcomes import Outcome, Prediction
from skinr1.questions.shortcuts import Rivals, deepest_related_pair, most_rivals
from skinr1.report import InvalidAnswer
from skinr1.seven_point import Checklist
from skinr1.taxonomy import Taxonomy

HIGHEST_SCORE = 10  # of the classic 7-point checklist
MOST_SHOWN = 20  # unknown names that are told one by one, the most frequent first
Share = tuple[float, float]  # part and whole; (0, 0) where a metric does not concern the row


@dataclass(frozen=True)
class FormReading:
    """One row. Each field is (part, whole), and a metric is the sum of parts over the sum of wholes.

    Attributes:
        option_given: the answer names an option.
        choice: the answer is the best option: see :func:`best_options`. ``level`` is that of all options, 0 if mixed.
        chance: right by drawing an option; ``shortcut``: right by the names of the options alone, the deeper one of
            the two that are most closely related; ``hub``: by a differential graph alone, the option with the most
            rivals among the others.
        released: right as the released evaluation of Skin-R1 reads and keys it, the deepest option on the label's way.
        steps: rounds of a descent that could go right or wrong, and went right; ``walk``: all of them did.
        seven_point: points between the score of the answer and that of the annotation.
    """

    level: int = 0
    option_given: Share = (0, 0)
    choice: Share = (0, 0)
    chance: Share = (0, 0)
    shortcut: Share = (0, 0)
    hub: Share = (0, 0)
    released: Share = (0, 0)
    steps: Share = (0, 0)
    walk: Share = (0, 0)
    seven_point: Share = (0, 0)


def read(outcome: Outcome, taxonomy: Taxonomy, rivals: Rivals | None = None) -> FormReading:
    """The numbers of one row; ``rivals`` is the differential graph that its options were drawn from, if any."""
    row, seven_point = outcome.row, _seven_point(outcome)
    if row.form == "descent":
        steps = _steps(row, taxonomy)
        return FormReading(steps=steps, walk=_share(steps[0] == steps[1] and outcome.answer is not None))
    if row.form == "condition_letter":
        return FormReading(released=_released_condition(row), seven_point=seven_point)
    if not row.options:
        return FormReading(seven_point=seven_point)
    best, said = best_options(row.options, row.diagnoses, taxonomy), chosen(row.options, outcome.predicted, taxonomy)
    levels = {taxonomy.node(node).depth for nodes in row.options for node in nodes}
    return FormReading(
        level=levels.pop() if len(levels) == 1 else 0,
        option_given=_share(said is not None),
        choice=_share(said in best),
        chance=(len(best) / len(row.options), 1),
        shortcut=_share(deepest_related_pair(row.options, taxonomy, {}) in best),
        hub=(0, 0) if rivals is None else _share(most_rivals(row.options, rivals) in best),
        released=_released(row, taxonomy) if row.form == "letter" else (0, 0),
    )


def best_options(options: Options, truths: Iterable[str], taxonomy: Taxonomy) -> set[int]:
    """Places of the right options: true nodes and those below; where no true one is offered, the deepest above too.

    Empty: none is. A label on a group leaves the subtype open, so its subtypes and, in its absence, the next group
    above it are equally right.
    """
    truths = set(truths)
    above = {node for truth in truths for node in taxonomy.path(truth)}
    right = {place for place, nodes in enumerate(options) if any(truths & set(taxonomy.path(node)) for node in nodes)}
    if any(node in truths for nodes in options for node in nodes):
        return right
    depths = [max((taxonomy.node(node).depth for node in nodes if node in above), default=0) for nodes in options]
    most = max(depths, default=0)
    return right | {place for place, depth in enumerate(depths) if depth == most > 0}


def chosen(options: Options, said: str | None, taxonomy: Taxonomy) -> int | None:
    """Place of the option that a diagnosis names: the deepest at or above it; None where it names none."""
    for node in reversed(taxonomy.path(said) if said else ()):
        for place, nodes in enumerate(options):
            if node in nodes:
                return place
    return None


def _steps(row: Prediction, taxonomy: Taxonomy) -> Share:
    """Right rounds, and rounds that had a right and a wrong option: none after a wrong turn, and none below the label.

    Without a round that counts (no step at all) the walk is one wrong round.
    """
    right = counted = 0
    for step in row.steps:
        best = best_options(step.options, row.diagnoses, taxonomy)
        if 0 < len(best) < len(step.options):
            counted += 1
            right += _chosen_in(step.text, step.options, taxonomy) in best
    return (right, counted) if row.steps else (0, 1)


def _chosen_in(text: str, options: Options, taxonomy: Taxonomy) -> int | None:
    try:
        return chosen(options, read_answer("choice", text, taxonomy, options).report.diagnosis, taxonomy)
    except InvalidAnswer:
        return None


def _released(row: Prediction, taxonomy: Taxonomy) -> Share:
    """The key is the deepest option on the way to the first true node; what lies below the label is wrong there."""
    way = taxonomy.path(row.diagnoses[0])
    places = [max((way.index(node) for node in nodes if node in way), default=-1) for nodes in row.options]
    return _share(released_letter(row.text) == LETTERS[places.index(max(places))])


def _released_condition(row: Prediction) -> Share:
    if row.condition not in CONDITION_LETTERS.values():
        return (0, 0)
    return _share(CONDITION_LETTERS.get(released_letter(row.text)) == row.condition)


def _seven_point(outcome: Outcome) -> Share:
    true = Checklist.of(outcome.row.findings, outcome.row.findings_absent)
    if true.unrecorded:
        return (0, 0)
    if outcome.answer is None:
        return (max(true.score, HIGHEST_SCORE - true.score), 1)
    return (abs(Checklist.of(outcome.answer.report.findings, ()).score - true.score), 1)


def _share(right: bool) -> Share:
    return (float(right), 1)


# Metric -> field, whether it is a share of 1, whether more is better.
_METRICS = {
    "option_given_rate": ("option_given", True, True),
    "choice_accuracy": ("choice", True, True),
    "chance_level": ("chance", True, True),
    "shortcut_accuracy": ("shortcut", True, True),
    "rivals_shortcut_accuracy": ("hub", True, True),
    "released_parser_accuracy": ("released", True, True),
    "step_accuracy": ("steps", True, True),
    "whole_walk_rate": ("walk", True, True),
    "seven_point_error": ("seven_point", False, False),
}


# The same whatever is answered: nothing to test between runs that were asked the same.
WITHOUT_ANSWERS = ("chance_level", "shortcut_accuracy", "rivals_shortcut_accuracy")
LEVEL = "choice_accuracy_level_"
NAMES = (*_METRICS, f"{LEVEL}1")  # and so on for each level


def metrics(outcomes: Sequence[Outcome], taxonomy: Taxonomy, rivals: Rivals | None = None) -> tuple[Metric, ...]:
    """The metrics that concern any row of a run, whose rows are those of ``outcomes``; ``rivals``: see :func:`read`."""
    found = {outcome.case_id: read(outcome, taxonomy, rivals) for outcome in outcomes}
    made = [
        Metric(name, partial(_counted, found, field, None), bounded=bounded, higher=higher)
        for name, (field, bounded, higher) in _METRICS.items()
        if any(getattr(reading, field)[1] for reading in found.values())
    ]
    levels = sorted({reading.level for reading in found.values()} - {0})
    made += [Metric(f"{LEVEL}{level}", partial(_counted, found, "choice", level)) for level in levels]
    return tuple(made)


def _counted(found: Mapping[str, FormReading], field: str, level: int | None, seen: Seen) -> Counted:
    readings = (found[case] for case in seen.columns.case_id.tolist())
    shares = [getattr(reading, field) if level in (None, reading.level) else (0, 0) for reading in readings]
    sums = np.array(shares, dtype=np.float64)
    return Counted(sums, sums[:, 1] > 0)


def unknown(outcomes: Iterable[Outcome], taxonomy: Taxonomy) -> dict[str, dict[str, Any]]:
    """Form of a list -> how many of its names nobody knows, and what that cost; empty where no row asks for a list.

    Returns:
        ``answers``, ``with_unknown`` of them, ``names`` in these, ``distinct`` ones, the most frequent as
        ``[name, count]``; ``cut`` answers that keep what stands before the first one, ``invalid`` ones that keep
        nothing, and ``lost`` known names that do not count because of them.
    """
    outcomes = list(outcomes)
    asked = {form: [outcome for outcome in outcomes if outcome.row.form == form] for form in LISTS}
    return {str(form): _unknown(form, of, taxonomy) for form, of in asked.items() if of}


def _unknown(form: Form, outcomes: Sequence[Outcome], taxonomy: Taxonomy) -> dict[str, Any]:
    read = [(outcome, unknown_names(form, outcome.row.text, taxonomy)) for outcome in outcomes]
    having = [(outcome, found) for outcome, found in read if found.names]
    names = Counter(name for _, found in having for name in found.names)
    ranked = sorted(names, key=lambda name: (-names[name], name))
    return {
        "answers": len(outcomes),
        "with_unknown": len(having),
        "names": names.total(),
        "distinct": len(names),
        "cut": sum(outcome.answer is not None for outcome, _ in having),
        "invalid": sum(outcome.answer is None for outcome, _ in having),
        "lost": sum(found.lost for _, found in having),
        "most_frequent": [[name, names[name]] for name in ranked[:MOST_SHOWN]],
    }
