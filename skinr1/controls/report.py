"""The result of the controls as a file and as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from skinr1.metrics.catalogue import TOP1, VALID
from skinr1.metrics.table import show


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row a control: top-1, its paired difference to the model, and how many of its reports are valid."""
    title = f"{rows[0][TOP1.name]['n']} cases; 95 % intervals; *: 0 is outside"
    made = Table(title=title, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    made.add_column("answers", no_wrap=True)
    for name in ("top-1", "model minus it", "valid"):
        made.add_column(name, justify="right")
    for row in rows:
        valid = row[VALID.name]["value"]
        cells = (str(row["name"]), show(row[TOP1.name]), _difference(row), "" if valid is None else f"{valid:.2f}")
        made.add_row(*map(Text, cells))
    return made


def _difference(row: Mapping[str, Any]) -> str:
    if "model_minus" not in row:
        return ""
    difference = row["model_minus"][TOP1.name]
    low, high = difference["low"], difference["high"]
    clear = low is not None and high is not None and (low > 0 or high < 0)
    return show(difference, "+.2f") + ("*" if clear else " ")
