"""The audit as one self-contained HTML page, with thumbnails of the pairs. Text passes jinja2's autoescape."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from skinr1.page.pictures import data_address

THUMBNAIL = 96


def render(
    audit: Mapping[str, Any], file_of: Callable[[str, str], Path], shown: int, title: str = "Audit of the splits"
) -> str:
    """The page of what :func:`skinr1.splits.report` says.

    Args:
        file_of: (case id, image path as in the case) -> the file.
        shown: at most this many pairs, faults and conflicts; the page says how many there are.
    """
    pairs = [
        {
            **pair,
            "sides": [
                {**side, "picture": data_address(file_of(side["case"], side["image"]), THUMBNAIL)}
                for side in pair["sides"]
            ],
        }
        for pair in audit["pairs"][:shown]
    ]
    rows = {
        what: sorted({row for split in audit["splits"].values() for row in split[what]})
        for what in ("diagnoses", "tones")
    }
    environment = Environment(
        loader=PackageLoader("skinr1.splits"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("audit.html")
    return template.render(audit=audit, pairs=pairs, rows=rows, shown=shown, title=title)
