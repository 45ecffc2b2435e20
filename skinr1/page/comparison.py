"""A comparison of runs as a page: side by side, differences with their tests, which cases divide them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skinr1.comparing import LEVEL
from skinr1.metrics.catalogue import HEADLINE
from skinr1.metrics.forms import WITHOUT_ANSWERS
from skinr1.page.content import Section, Table, cell, metric_name
from skinr1.page.environment import environment
from skinr1.page.markdown import plain, section_lines
from skinr1.page.plots import bars
from skinr1.page.task import remarks, task_table, task_title
from skinr1.taxonomy import Taxonomy

HIGHLIGHT = ("top1", "hierarchical_f_by_case", "malignancy_sensitivity", "malignancy_specificity")


@dataclass(frozen=True)
class Comparison:
    """Both forms of the page."""

    html: str
    markdown: str


def render_comparison(found: Mapping[str, Any], taxonomy: Taxonomy, title: str, rendered: int) -> Comparison:
    """The page of what :func:`skinr1.comparing.compare` found.

    Args:
        rendered: cases whose pictures were drawn by a program.
    """
    parts = (task_side_by_side, differences) if found.get("task") else (side_by_side, differences, levels)
    sections = [in_words(found), *(part(found) for part in parts)]
    content = {
        "title": title,
        "found": found,
        "sections": sections,
        "rendered": rendered,
        "taxonomy": taxonomy,
    }
    html = environment(taxonomy).get_template("comparison.html").render(content)
    lines = [f"# {plain(title)}", "", "**Research software, not a medical device.** Nothing here is medical advice."]
    lines += ["", f"{found['n']} cases of {found['patients']} patients; {rendered} rendered, not clinical."]
    for section in sections:
        lines += section_lines(section)
    return Comparison(html, "\n".join(lines) + "\n")


def in_words(found: Mapping[str, Any]) -> Section:
    """What the tests show, and how much they could not."""
    shown = [pair for pair in found["pairs"] if pair["differs"] and pair["metric"] in _highlight(found)]
    points = [_sentence(pair) for pair in shown]
    which = "metric of the task" if found.get("task") else "headline metric"
    measured = "metrics of the task that answers can change" if found.get("task") else "metrics below"
    points = points or [f"No difference of a {which} is shown between any two runs. That does not prove equality."]
    if others := [pair for pair in found["pairs"] if pair["differs"] and pair not in shown]:
        named = "; ".join(f"{metric_name(pair['metric'])} of {pair['first']} and {pair['second']}" for pair in others)
        points.append(f"Shown to differ as well: {named}.")
    text = (
        f"{found['tests']} tests: all pairs of runs, all {measured}. p is a paired permutation test over patients "
        f"({found['permutations']:,} permutations), adjusted by Holm over all of them; McNemar’s test takes cases for "
        "independent and is shown for comparison only.",
    )
    return Section("short", "In short", text=text, points=tuple(points))


def _highlight(found: Mapping[str, Any]) -> Sequence[str]:
    """The metrics that are told in words and drawn."""
    return found["task"]["tested"] if found.get("task") else HIGHLIGHT


def _sentence(pair: Mapping[str, Any]) -> str:
    difference = pair["difference"]
    moved = "above" if difference["value"] > 0 else "below"
    bounds = "" if difference["low"] is None else f" [{difference['low']:+.3f}, {difference['high']:+.3f}]"
    return (
        f"{metric_name(pair['metric'])}: {pair['first']} is {abs(difference['value']):.3f} {moved} {pair['second']}"
        f"{bounds}, adjusted p {_p(pair['p_holm'])}."
    )


def task_side_by_side(found: Mapping[str, Any]) -> Section:
    """The metrics of the task of every run, what each means, and all other metrics on demand."""
    task, runs = found["task"], found["runs"]
    points = [f"{name}: {sentence}" for name, own in task["runs"].items() for sentence in remarks(own)]
    asked = {key for own in task["runs"].values() for key in own["metrics"]}
    if same := ", ".join(metric_name(key) for key in WITHOUT_ANSWERS if key in asked):
        points.append(f"The same whatever is answered, and so not tested: {same}.")
    table = task_table({name: (task["runs"][name]["metrics"], metrics) for name, metrics in runs.items()})
    return Section("runs", task_title(task), (task["about"],), tuple(points), (table, _every(runs)))


def side_by_side(found: Mapping[str, Any]) -> Section:
    """The headline of every run, drawn and as a table, and all metrics."""
    runs = found["runs"]
    rows = tuple((name, *(cell(metrics[key]) for key in HEADLINE)) for name, metrics in runs.items())
    headline = Table("Headline, with 95 % intervals (patients resampled)", ("run", *HEADLINE.values()), rows)
    series = {name: [metrics[key] for key in HEADLINE] for name, metrics in runs.items()}
    plot = bars("headline", "Headline", "metric", list(HEADLINE.values()), series, "value")
    return Section("runs", "Side by side", tables=(headline, _every(runs)), plots=(plot,))


def _every(runs: Mapping[str, Mapping[str, Any]]) -> Table:
    first = next(iter(runs.values()))
    rows = tuple(
        (metric_name(key), str(found["n"]), *(cell(metrics.get(key)) for metrics in runs.values()))
        for key, found in first.items()
    )
    caption = "All metrics; n is the denominator, invalid answers included"
    return Table(caption, ("metric", "n", *runs), rows, folded=True)


def differences(found: Mapping[str, Any]) -> Section:
    """Every pair: differences of the headline metrics, or of the task's, drawn; all in a table."""
    pairs = [pair for pair in found["pairs"] if pair["metric"] in _highlight(found)]
    parts = []
    for metric in _highlight(found):
        own = [pair for pair in pairs if pair["metric"] == metric]
        if own:
            rows = [f"{pair['first']} − {pair['second']}{' *' if pair['differs'] else ''}" for pair in own]
            series = {"difference": [pair["difference"] for pair in own]}
            parts.append(
                bars(f"difference-{metric}", metric_name(metric), "pair", rows, series, "difference", 0.0, limits=None)
            )
    head = ("pair", "metric", "difference", "only first right", "only second right", "McNemar p", "p", "p, Holm")
    table = Table("All tests", head, tuple(_row(pair) for pair in found["pairs"]), folded=not found.get("task"))
    text = ("First minus second, on the same cases. * the adjusted test shows a difference.",)
    return Section("differences", "Differences", text=text, tables=(table,), plots=tuple(parts), wide=True)


def _row(pair: Mapping[str, Any]) -> tuple[str, ...]:
    counts = pair["discordant"] or ("–", "–")
    return (
        f"{pair['first']} − {pair['second']}",
        metric_name(pair["metric"]),
        cell(pair["difference"], "+.3f"),
        str(counts[0]),
        str(counts[1]),
        "–" if pair["p_mcnemar"] is None else _p(pair["p_mcnemar"]),
        _p(pair["p"]),
        f"{_p(pair['p_holm'])}{' *' if pair['differs'] else ''}",
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def levels(found: Mapping[str, Any]) -> Section:
    """Accuracy at each level of the tree, all runs."""
    runs = found["runs"]
    first = next(iter(runs.values()))
    names: Sequence[str] = [key for key in first if LEVEL.fullmatch(key) and first[key]["n"]]
    rows = [name.replace("_", " ").removesuffix(" accuracy") for name in names]
    series = {name: [metrics[key] for key in names] for name, metrics in runs.items()}
    plot = bars("levels", "Accuracy by level of the tree", "level", rows, series, "share of cases")
    return Section("levels", "Level by level", plots=(plot,))
