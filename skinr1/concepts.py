"""The closed vocabulary of visible signs and complaints, shared by sources, textbook, report and renderer."""

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import yaml

from skinr1.errors import UserError


@dataclass(frozen=True)
class Concept:
    """A sign. ``group`` is what it describes (form, colour, border, surface, pattern, vessels, structure, history)."""

    name: str
    group: str
    aliases: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def concepts() -> dict[str, Concept]:
    """Name -> Concept, in the order of the file."""
    document = yaml.safe_load(files("skinr1").joinpath("concepts.yaml").read_text(encoding="utf-8"))
    return {
        name: Concept(name, group, tuple((entry or {}).get("aliases", ())))
        for group, members in document["groups"].items()
        for name, entry in members.items()
    }


def concept(name: str) -> Concept:
    """Raises UserError for a name outside the vocabulary."""
    if name not in concepts():
        raise UserError("unknown concept", repr(name), "Use a name listed in skinr1/concepts.yaml.")
    return concepts()[name]


@lru_cache(maxsize=1)
def _pattern() -> tuple[re.Pattern[str], dict[str, str]]:
    names = {text.lower(): c.name for c in concepts().values() for text in (c.name, *c.aliases)}
    longest_first = sorted(names, key=lambda text: (-len(text), text))
    return re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")(?:s|es)?\b"), names


def mentioned(text: str) -> tuple[str, ...]:
    """Concepts a text names, in order of first mention, longest name first; negation is the caller's business."""
    pattern, names = _pattern()
    found = (match.group(0) for match in pattern.finditer(text.lower()))
    return tuple(dict.fromkeys(names.get(t) or names.get(t[:-1]) or names[t[:-2]] for t in found))
