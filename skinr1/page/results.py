"""Sections about how good: the headline with intervals, paired differences, levels of the tree, ranks, confidence."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skinr1.metrics.catalogue import HEADLINE
from skinr1.metrics.outcomes import Outcome
from skinr1.page.content import Plot, Section, Table, cell, metric_name
from skinr1.page.plots import Line, bars, lines

SHORT = {
    "valid_report_rate": "Answers in the form that was asked for",
    "top1": "The exact diagnosis",
    "level_1_accuracy": "The right main group (level 1 of the tree)",
    "malignancy_sensitivity": "Malignant lesions called malignant",
    "malignancy_specificity": "Other lesions called something else",
}


@dataclass(frozen=True)
class Run:
    """One model's part of the page: its name, its ``scores.json`` and its outcomes."""

    name: str
    scores: Mapping[str, Any]
    outcomes: Sequence[Outcome]


def results(runs: Sequence[Run], majority: str) -> Section:
    """The headline table, the paired differences, all metrics, and what was no valid answer.

    Args:
        majority: name of the most frequent diagnosis.
    """
    first = runs[0].scores
    caption = (
        f"Headline, with 95 % intervals (patients resampled {first['resamples']} times; for a value of 0 or 1, "
        "Wilson’s interval over patients)"
    )
    rows = [(run.name, *(cell(run.scores["metrics"][name]) for name in HEADLINE)) for run in runs]
    constant = first["majority_class"]["metrics"]
    rows.append((f"always “{majority}”", *(cell(constant[name]) for name in HEADLINE)))
    headline = Table(caption, ("model", *HEADLINE.values()), tuple(rows))
    paired = [_paired(run) for run in runs]
    return Section("results", "Results", tables=(headline, _all(runs)), parts=(*paired, _invalid(runs)))


def in_short(run: Run) -> Section:
    """The last model in a few sentences, each a number with its interval; of a task, only those that it counts."""
    metrics, told = run.scores["metrics"], []
    counted = run.scores["task"]["metrics"] if run.scores.get("task") else SHORT
    for name, words in SHORT.items():
        found = metrics.get(name)
        if found and found["value"] is not None and name in counted:
            bounds = "" if found["low"] is None else f" [{found['low']:.0%} to {found['high']:.0%}]"
            told.append(f"{words}: {found['value']:.0%}{bounds} of {found['n']} cases.")
    if "top1" in counted:
        told.append(_by_tone(run))
    remarks = tuple(map(str, run.scores.get("notes") or ()))
    parts = (Section("remarks", "Remarks of the scorer", points=remarks),) if remarks else ()
    return Section("short", f"In short: {run.name}", points=tuple(told), parts=parts)


def _by_tone(run: Run) -> str:
    tones = {
        name: group["top1"]
        for name, group in run.scores["by_tone"].items()
        if group["top1"]["value"] is not None and name != "unknown"
    }
    if len(tones) < 2:
        return "Skin tone: fewer than two groups, so nothing can be said about differences."
    least = min(tones, key=lambda name: (tones[name]["value"], name))
    most = max(tones, key=lambda name: (tones[name]["value"], name))
    return (
        f"By skin tone, the exact diagnosis lies between {tones[least]['value']:.0%} ({least}, {tones[least]['n']} "
        f"cases) and {tones[most]['value']:.0%} ({most}, {tones[most]['n']} cases)."
    )


def _paired(run: Run) -> Section:
    baseline = run.scores["paired"]["baseline"] if run.scores["paired"] else None
    title = f"{run.name} compared with {baseline}" if baseline else f"{run.name}, by itself"
    alone = "" if baseline else "Scored without --baseline: compared with the most frequent class only."
    return Section(f"paired-{run.name}", title, points=tuple(differences(run.scores)), absent=alone)


def _all(runs: Sequence[Run]) -> Table:
    shared = runs[0].scores["metrics"]
    rows = [
        (metric_name(name), str(found["n"]), *(cell(run.scores["metrics"].get(name)) for run in runs))
        for name, found in shared.items()
    ]
    head = ("metric", "n", *(run.name for run in runs))
    caption = "All metrics. n is the denominator, invalid answers included. Tree distance: less is better."
    return Table(caption, head, tuple(rows), folded=True)


def _invalid(runs: Sequence[Run]) -> Section:
    points = []
    for run in runs:
        scores = run.scores
        invalid = sum(scores["invalid"].values())
        reasons = ", ".join(f"{reason} {count}" for reason, count in scores["invalid"].items())
        self_ = "itself" if scores["inconsistent"] == 1 else "themselves"
        points.append(
            f"{run.name}: {invalid} invalid of {scores['n']} answers{': ' + reasons if reasons else ''} · "
            f"{scores['cut_off']} cut off at the token limit · {scores['inconsistent']} valid but contradicting "
            f"{self_}."
        )
    return Section("invalid", "Answers outside the contract, and contradictions inside it", points=tuple(points))


def differences(scores: Mapping[str, Any]) -> list[str]:
    """The paired differences of the headline metrics in words, against the baseline and the majority class."""
    told = []
    if scores["paired"]:
        told += [
            difference_in_words(words, scores["paired"]["metrics"][name], scores["paired"]["baseline"])
            for name, words in HEADLINE.items()
        ]
    told += [
        difference_in_words(
            HEADLINE[name], scores["majority_class"]["paired"][name], "always answering the most frequent class"
        )
        for name in ("top1", "hierarchical_f")
    ]
    return told


def difference_in_words(metric: str, found: Mapping[str, Any], other: str) -> str:
    """One sentence: direction, size, interval, and whether chance alone could explain it."""
    if found["value"] is None:
        return f"{metric}: not computable on these cases"
    size = abs(found["value"])
    moved = "equal to" if size == 0 else f"{size:.3f} {'above' if found['value'] > 0 else 'below'}"
    if found["low"] is None:
        return f"{metric}: {moved} {other}; too few patients for an interval"
    verdict = "excludes 0" if found["excludes_zero"] else "includes 0: no difference shown"
    interval = f"95 % interval {found['low']:+.3f} to {found['high']:+.3f}"
    return f"{metric}: {moved} {other}; {interval}, which {verdict} ({found['n']} cases)"


def levels(runs: Sequence[Run]) -> Section:
    """Accuracy at each level of the tree."""
    found = _numbered(runs[0], r"level_(\d+)_accuracy")
    found = {number: name for number, name in found.items() if runs[0].scores["metrics"][name]["n"]}
    series = {run.name: [run.scores["metrics"].get(name) for name in found.values()] for run in runs}
    rows = [f"level {number}" for number in found]
    return Section(
        "levels",
        "Level by level",
        text=(
            "Share of answers whose path agrees with the truth down to each level; level 1 is the coarsest. An answer "
            "that stops above a level misses it; cases whose truth is less deep are left out of it.",
        ),
        plots=(bars("levels", "Accuracy by level of the tree", "level", rows, series, "share of cases"),),
    )


def differential(runs: Sequence[Run]) -> Section:
    """Share of cases whose truth is among the first k of the differential."""
    section = Section("differential", "Differential")
    series = {}
    for run in runs:
        found = {k: run.scores["metrics"][name] for k, name in _numbered(run, r"top_?(\d+)(?:_accuracy)?").items()}
        known = {k: e for k, e in found.items() if e["value"] is not None}
        if len(known) > 1:
            series[run.name] = _banded(known)
    if not series:
        return _absent(section, "These scores hold no top-k: score again with this version of eval/score.py.")
    return Section(
        section.id,
        section.title,
        text=("Share of cases with a true diagnosis among the first k; invalid answers name none.",),
        plots=(lines("ranks", "Truth among the first k", series, ("k", "share of cases"), whole=True),),
    )


def _banded(known: Mapping[int, Mapping[str, Any]]) -> Line:
    low = [e["value"] if e["low"] is None else e["low"] for e in known.values()]
    high = [e["value"] if e["high"] is None else e["high"] for e in known.values()]
    return Line([float(k) for k in known], [e["value"] for e in known.values()], low, high)


def _numbered(run: Run, pattern: str) -> dict[int, str]:
    """Number -> name of the metrics whose names fit, in order."""
    found = ((re.fullmatch(pattern, name), name) for name in run.scores["metrics"])
    return dict(sorted((int(match.group(1)), name) for match, name in found if match))


def _absent(section: Section, words: str) -> Section:
    return Section(section.id, section.title, absent=words)


def plots_or_absent(section: Section, plots: Sequence[Plot], words: str) -> Section:
    """The section with its plots; without any, the sentence that says why."""
    return (
        Section(section.id, section.title, section.text, section.points, plots=tuple(plots))
        if plots
        else (_absent(section, words))
    )
