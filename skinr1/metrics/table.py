"""Scores as people read them: ``0.83 [0.79, 0.87]``."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from skinr1.metrics.catalogue import HEADLINE

NOT_COMPUTABLE = "n/a"


def show(estimate: Mapping[str, Any], signed: bool = False) -> str:
    """An estimate with its interval; ``n/a`` when the cases do not allow it."""
    if estimate["value"] is None:
        return NOT_COMPUTABLE
    form = "{:+.2f}" if signed else "{:.2f}"
    value = form.format(estimate["value"])
    if estimate["low"] is None:
        return f"{value} [no interval]"
    return f"{value} [{form.format(estimate['low'])}, {form.format(estimate['high'])}]"


def summary_table(scores: Mapping[str, Mapping[str, Any]], title: str = "") -> Table:
    """One row a model, one column a headline metric, with 95 % intervals.

    Args:
        scores: model name (``base``, ``SFT``, ``GRPO``) -> content of its ``scores.json``, in the order of the rows.
    """
    table = Table(title=title or None, caption="95 % intervals, patients resampled; invalid answers count as wrong")
    table.add_column("model")
    table.add_column("cases", justify="right")
    for heading in HEADLINE.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for name, content in scores.items():
        cells = [name, str(content["n"]), *(show(content["metrics"][metric]) for metric in HEADLINE)]
        table.add_row(*map(Text, cells))
    return table


def metrics_table(content: Mapping[str, Any]) -> Table:
    """All metrics of one run, beside the majority class and the paired difference from the baseline."""
    paired = content["paired"]
    table = Table(caption="* the interval of the difference excludes 0")
    for heading in ("metric", "n", "value", "majority class", *([f"minus {paired['baseline']}"] if paired else [])):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for name, estimate in content["metrics"].items():
        cells = [name, str(estimate["n"]), show(estimate), show(content["majority_class"]["metrics"][name])]
        if paired:
            difference = paired["metrics"][name]
            cells.append(show(difference, signed=True) + ("*" if difference["excludes_zero"] else ""))
        table.add_row(*map(Text, cells))
    return table
