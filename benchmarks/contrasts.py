"""Arms x sets of cases -> estimates and paired differences, pooled over seeds; then tables and drawings of them.

Patients are the unit that is resampled, each seed's its own; the seeds themselves are not resampled, so an interval
says how sure the result is for these training runs. Whether another run would agree, the signs of the single seeds say.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from skinr1.metrics import Columns, Outcome, columns_of, estimates, paired_differences, show
from skinr1.metrics.catalogue import HIERARCHICAL_F, SENSITIVITY, TOP1, VALID, Counted, Metric, Seen
from skinr1.metrics.columns import Coded
from skinr1.metrics.majority import majority
from skinr1.metrics.statistics import RESAMPLES, Array
from skinr1.metrics.tree import Tree
from skinr1.page.svg import COLOURS, drawing
from skinr1.taxonomy import Taxonomy

MAJORITY = "majority class"  # of each column's cases, always answered
# seed -> model -> set of cases -> its answers
Answers = Mapping[int, Mapping[str, Mapping[str, Sequence[Outcome]]]]


@dataclass(frozen=True)
class Slice:
    """What a column is about: sets of cases taken together, and the metric over them."""

    name: str
    sets: tuple[str, ...]
    metric: Metric


def by_group(
    name: str, metric: Metric, width: int, key: Callable[[Columns], Coded], join: Callable[..., Array]
) -> Metric:
    """A metric in each group of the cases, joined to one number (``np.nanmin``: the worst; ``np.nanmean``).

    Args:
        width: numbers that the metric sums of a case.
    """

    def statistics(seen: Seen) -> Counted:
        own, groups = metric.statistics(seen), key(seen.columns)
        wide = np.zeros((len(groups.codes), len(groups.values), width))
        wide[np.arange(len(groups.codes)), groups.codes] = np.asarray(own.sums)
        return Counted(wide.reshape(len(wide), -1), own.cases)

    def value(sums: Array) -> Array:
        return join(metric.value(sums.reshape(*sums.shape[:-1], -1, width)), axis=-1)

    return Metric(name, statistics, value)


worst_tone = by_group("worst_tone_f", HIERARCHICAL_F, 3, lambda columns: columns.tone, np.nanmin)
balanced_top1 = by_group("balanced_top1", TOP1, 2, lambda columns: columns.truth, np.nanmean)


def slices(in_distribution: str, shifts: Iterable[str]) -> list[Slice]:
    """The columns of the ablation."""
    shifted = tuple(shifts)
    return [
        Slice("in-distribution hF", (in_distribution,), HIERARCHICAL_F),
        Slice("out-of-distribution hF", shifted, HIERARCHICAL_F),
        *(Slice(f"{name} hF", (name,), HIERARCHICAL_F) for name in shifted),
        Slice("worst tone hF", (in_distribution, "tones"), worst_tone),
        Slice("top-1", (in_distribution,), TOP1),
        Slice("top-1, mean over diagnoses", (in_distribution,), balanced_top1),
        Slice("malignancy sensitivity", (in_distribution,), SENSITIVITY),
        Slice("valid reports", (in_distribution,), VALID),
    ]


def _of_seed(outcome: Outcome, seed: int, name: str) -> Outcome:
    """The case and its patient under names of their own: every seed and set of cases counts from 0."""
    row = outcome.row
    return replace(
        outcome,
        row=row.model_copy(
            update={
                "case_id": f"{seed}/{name}/{row.case_id}",
                "patient_id": f"{seed}/{name}/{outcome.cluster}",
                "group": None,
            }
        ),
    )


def pooled(answers: Answers, seeds: Iterable[int], model: str, sets: Iterable[str], taxonomy: Taxonomy) -> Seen:
    """A model's answers over seeds and sets of cases."""
    found = [
        _of_seed(outcome, seed, name)
        for seed in seeds
        for name in sets
        for outcome in answers[seed][model].get(name, ())
    ]
    return Seen(columns_of(found, taxonomy), Tree(taxonomy))


def seeds_with(answers: Answers, models: Sequence[str], sets: Iterable[str]) -> list[int]:
    """The seeds in which each of the models has answered each of the sets."""
    wanted = set(sets)
    return [seed for seed, run in answers.items() if all(wanted <= run.get(model, {}).keys() for model in models)]


def compare(
    answers: Answers,
    models: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    columns: Sequence[Slice],
    taxonomy: Taxonomy,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Everything the tables show, as a JSON object.

    Returns:
        ``models``: model, :data:`MAJORITY` first -> column -> estimate; ``differences``: "a minus b" -> column ->
        paired estimate over the seeds that have both, with each seed's own value. Each carries its seeds; none is
        there where no seed has it.
    """
    found: dict[str, Any] = {"models": {}, "differences": {}}
    for column in columns:
        fullest = max(models, key=lambda name: len(seeds_with(answers, [name], column.sets)))
        for model, source in ((MAJORITY, fullest), *((model, model) for model in models)):
            if seeds := seeds_with(answers, [source], column.sets):
                seen = pooled(answers, seeds, source, column.sets, taxonomy)
                if model == MAJORITY:
                    seen = Seen(majority(seen.columns, seen.tree), seen.tree)
                (estimate,) = estimates([column.metric], seen, resamples).values()
                found["models"].setdefault(model, {})[column.name] = {**asdict(estimate), "seeds": seeds}
        for one, other in pairs:
            if seeds := seeds_with(answers, [one, other], column.sets):
                difference = partial(_difference, answers, one, other, column, taxonomy, resamples)
                by_seed = {str(seed): difference([seed])["value"] for seed in seeds}
                row = {**difference(seeds), "seeds": seeds, "by_seed": by_seed}
                found["differences"].setdefault(f"{one} minus {other}", {})[column.name] = row
    return found


def _difference(
    answers: Answers, one: str, other: str, column: Slice, taxonomy: Taxonomy, resamples: int, seeds: Sequence[int]
) -> dict[str, Any]:
    ours, theirs = (pooled(answers, seeds, model, column.sets, taxonomy) for model in (one, other))
    (estimate,) = paired_differences([column.metric], ours, theirs, resamples).values()
    return asdict(estimate)


def table(found: Mapping[str, Mapping[str, Any]], columns: Sequence[Slice], first: str, sign: str = "") -> str:
    """Markdown: a row a model or difference; ``*`` where the interval of a difference excludes 0."""
    names = [column.name for column in columns]
    lines = [f"| {first} | seeds | {' | '.join(names)} |", "| --- " * (len(names) + 2) + "|"]
    for row, cells in found.items():
        seeds = sorted({seed for cell in cells.values() for seed in cell["seeds"]})
        shown = [_cell(cells[name], sign) if name in cells else "not run" for name in names]
        lines.append(f"| {row} | {', '.join(map(str, seeds))} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def _cell(estimate: Mapping[str, Any], sign: str) -> str:
    low, high = estimate["low"], estimate["high"]
    sure = sign and low is not None and (low > 0 or high < 0)
    return show(estimate, f"{sign}.3f") + ("*" if sure else "")


def seed_table(differences: Mapping[str, Mapping[str, Any]], columns: Sequence[Slice]) -> str:
    """Markdown: the difference of each seed alone."""
    names = [column.name for column in columns]
    lines = [f"| difference | {' | '.join(names)} |", "| --- " * (len(names) + 1) + "|"]
    for row, cells in differences.items():
        shown = [
            ", ".join(f"{seed}: {value:+.3f}" for seed, value in cells[name]["by_seed"].items() if value is not None)
            if name in cells
            else "not run"
            for name in names
        ]
        lines.append(f"| {row} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def plot(found: Mapping[str, Mapping[str, Any]], columns: Sequence[Slice]) -> str:
    """An SVG: a row a model, a mark a column, with its interval."""

    def draw(axes: Any) -> None:
        models = list(found)
        for number, column in enumerate(columns):
            shift = (number - (len(columns) - 1) / 2) * 0.18
            points = [
                (row, found[model][column.name]) for row, model in enumerate(models) if column.name in found[model]
            ]
            points = [(row, estimate) for row, estimate in points if estimate["low"] is not None]
            colour, marker = COLOURS[number % len(COLOURS)], "osD^v"[number % 5]
            rows = [row + shift for row, _ in points]
            axes.hlines(rows, [e["low"] for _, e in points], [e["high"] for _, e in points], color=colour)
            axes.plot([e["value"] for _, e in points], rows, marker, color=colour, label=column.name, markersize=4)
        axes.set_yticks(range(len(models)), models)
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.set_xlabel("hierarchical F, 95 % interval")
        axes.grid(axis="x", color="#888888", alpha=0.25, linewidth=0.6)
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncol=3)

    words = f"Hierarchical F of {', '.join(found)}: {', '.join(column.name for column in columns)}."
    return drawing("ablation", (6.4, 1.4 + 0.42 * len(found)), draw, words) + "\n"
