"""Which kind of passage a heading or question announces; the table is data (kinds.yaml)."""

import re
from functools import lru_cache
from importlib.resources import files

import yaml

DIFFERENTIAL = "differential"
OTHER = "other"
NAMES = "names"  # a paragraph of synonyms


def kind_of(heading: str) -> str:
    """The first kind of the table with a pattern in the heading, else ``other``."""
    text = heading.strip().rstrip("?.:; ").lower()
    return next((kind for kind, pattern in _table() if pattern.search(text)), OTHER)


@lru_cache(maxsize=1)
def _table() -> list[tuple[str, re.Pattern[str]]]:
    rows = yaml.safe_load(files("skinr1.knowledge").joinpath("kinds.yaml").read_text(encoding="utf-8"))
    return [
        (kind, re.compile("|".join(f"(?:{part})" for part in parts))) for row in rows for kind, parts in row.items()
    ]
