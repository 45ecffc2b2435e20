"""The closed vocabulary of visible signs and complaints, shared by sources, textbook, report and renderer."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

from skinr1.errors import UserError

_ENDINGS = ("s", "es")


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


def without(name: str) -> str:
    """How a sign is denied: "no scale", but "not many lesions"."""
    return f"{'not' if name.startswith(('many ', 'several ')) else 'no'} {name}"


def _labels() -> dict[str, str]:
    """Label in lower case -> concept."""
    return {
        label.lower(): concept.name for concept in concepts().values() for label in (concept.name, *concept.aliases)
    }


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Label as a text writes it, in lower case and with or without a plural's ending -> concept."""
    labels = _labels()
    names: dict[str, str] = {}
    for ending in ("", *_ENDINGS):  # a label that reads like another's plural is itself
        for label, name in labels.items():
            names.setdefault(label + ending, name)
    return names


@lru_cache(maxsize=1)
def _mention() -> re.Pattern[str]:
    """Matches the longest label that begins at a word: one alternation in which equal beginnings are tried once."""
    branches: dict[str, Any] = {}
    for label in _labels():
        here = branches
        for character in label:
            here = here.setdefault(character, {})
        here[""] = {}
    return re.compile(rf"\b(?:{_alternation(branches)})(?:{'|'.join(_ENDINGS)})?\b")


def _alternation(branches: dict[str, Any]) -> str:
    ways = [re.escape(character) + _alternation(rest) for character, rest in branches.items() if character]
    joined = f"(?:{'|'.join(ways)})" if len(ways) > 1 else "".join(ways)
    return f"(?:{joined})?" if ways and "" in branches else joined


def mentions(text: str) -> Iterator[str]:
    """Concepts a text names, longest name first, one by one as they come; negation is the caller's business."""
    names = _names()
    for match in _mention().finditer(text.lower()):
        yield names[match[0]]


def mentioned(text: str) -> tuple[str, ...]:
    """:func:`mentions` without repetition, in order of first mention."""
    return tuple(dict.fromkeys(mentions(text)))
