"""Scores as people read them: ``0.83 [0.79, 0.87]``."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from skinr1.metrics.catalogue import HEADLINE

NOT_COMPUTABLE = "n/a"


def show(estimate: Mapping[str, Any], form: str = ".2f") -> str:
    """An estimate with its interval, each number in ``form``; ``n/a`` when the cases do not allow it."""
    if estimate["value"] is None:
        return NOT_COMPUTABLE
    if estimate["low"] is None:
        return f"{estimate['value']:{form}} [no interval]"
    return f"{estimate['value']:{form}} [{estimate['low']:{form}}, {estimate['high']:{form}}]"


def summary_table(scores: Mapping[str, Mapping[str, Any]], title: str = "") -> Table:
    """One row a model, one column a headline metric, with 95 % intervals; 80 columns wide for short names.

    Args:
        scores: model name (``base``, ``SFT``, ``GRPO``) -> content of its ``scores.json``, in the order of the rows.
    """
    cases = " / ".join(dict.fromkeys(str(content["n"]) for content in scores.values()))
    note = f"{cases} cases; 95 % intervals, patients resampled; invalid answers count as wrong"
    table = _plain(title, note, "model", HEADLINE.values())
    for name, content in scores.items():
        table.add_row(*map(Text, (name, *(show(content["metrics"][metric]) for metric in HEADLINE))))
    return table


def markdown_table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """The headline metrics to three decimals: the majority class, every model, and its paired difference where one is.

    Args:
        scores: as for :func:`summary_table`; all on the same cases.
    """
    first = next(iter(scores.values()))
    rows = [("majority class", first["majority_class"]["metrics"], "")]
    for name, content in scores.items():
        rows.append((name, content["metrics"], ""))
        if paired := content["paired"]:
            rows.append((f"{name} minus {paired['baseline']}, paired", paired["metrics"], "+"))
    lines = [f"| model | {' | '.join(HEADLINE.values())} |", "| --- " * (len(HEADLINE) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(show(metrics[metric], f'{sign}.3f') for metric in HEADLINE)} |"
        for name, metrics, sign in rows
    ]
    return "\n".join(lines) + "\n"


def metrics_table(content: Mapping[str, Any]) -> Table:
    """All metrics of one run, beside the paired difference from the baseline where there is one."""
    paired = content["paired"]
    minus = (f"minus {paired['baseline']}",) if paired else ()
    note = "* the interval of the difference excludes 0" if paired else ""
    table = _plain("", note, "metric", ("n", "value", *minus))
    for name, estimate in content["metrics"].items():
        cells = [name.replace("_", " "), str(estimate["n"]), show(estimate)]
        if paired:
            difference = paired["metrics"].get(name)  # of the reasoning, or of a task's own answers, there is none
            cells.append(show(difference, "+.2f") + ("*" if difference["excludes_zero"] else " ") if difference else "")
        table.add_row(*map(Text, cells))
    return table


def fairness_table(attribute: Mapping[str, Any]) -> Table:
    """One attribute of the fairness part: a row a group, unknown last, then the gaps."""
    shown = ("top1", "malignancy_sensitivity", "safety_critical_error")
    note = "; ".join(attribute["notes"])
    table = _plain(attribute["attribute"], note, "group", ("n", *(name.replace("_", " ") for name in shown)))
    for group in attribute["groups"]:
        mark = " (small)" if group["small"] and not group["unknown"] else ""
        cells = (f"{group['group']}{mark}", str(group["n"]), *(show(group["metrics"][name]) for name in shown))
        table.add_row(*map(Text, cells))
    gaps = (NOT_COMPUTABLE if attribute["gaps"][name] is None else show(attribute["gaps"][name]) for name in shown)
    table.add_row(*map(Text, ("largest gap", "", *gaps)))
    return table


def tone_table(found: Mapping[str, Any]) -> Table:
    """How far the estimators of skin tone from pixels agree, a row each two of them."""
    note = f"{found['images']} images, {found['unreadable']} not readable; estimates of photographs, not of people"
    head = ("n", "same bin", "at most one apart", "kappa, quadratic")
    table = _plain("skin tone from pixels (ITA)", note, "methods", head)
    for row in found["agreement"]:
        numbers = (
            NOT_COMPUTABLE if row[key] is None else f"{row[key]:.2f}" for key in ("exact", "within_one", "kappa")
        )
        table.add_row(*map(Text, (" and ".join(row["methods"]), str(row["n"]), *numbers)))
    return table


def _plain(title: str, note: str, first: str, headings: Iterable[str]) -> Table:
    """A table without side walls, whose numbers are never cut."""
    table = Table(
        title=title or None, caption=note or None, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0)
    )
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", min_width=4)
    return table
