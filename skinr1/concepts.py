"""The closed vocabulary of visible signs and complaints, shared by sources, textbook, report and renderer."""

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import yaml

from skinr1.errors import UserError

_WORD = re.compile(r"\w+")
_ENDING = re.compile(r"(?:s|es)?\b")


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


@lru_cache(maxsize=1)
def _by_first_word() -> dict[str, list[tuple[str, str]]]:
    """First word of a label -> (label, concept), longest label first; a label of one word also under its plurals."""
    index: dict[str, list[tuple[str, str]]] = {}
    labels = {
        label.lower(): concept.name for concept in concepts().values() for label in (concept.name, *concept.aliases)
    }
    for label in sorted(labels, key=lambda label: (-len(label), label)):
        first = _WORD.match(label)
        assert first, label  # the vocabulary's labels begin with a letter
        plurals = ("", "s", "es") if first.end() == len(label) else ("",)
        for plural in plurals:
            index.setdefault(first.group() + plural, []).append((label, labels[label]))
    return index


@lru_cache(maxsize=1 << 15)  # clauses repeat: completions, trajectories and books say the same few thousand
def mentioned(text: str) -> tuple[str, ...]:
    """Concepts a text names, in order of first mention, longest name first; negation is the caller's business."""
    lowered, index, end = text.lower(), _by_first_word(), 0
    found: dict[str, None] = {}
    for word in _WORD.finditer(lowered):
        if word.start() < end:  # inside the mention before
            continue
        for label, name in index.get(word.group(), ()):
            after = word.start() + len(label)
            if lowered.startswith(label, word.start()) and (ending := _ENDING.match(lowered, after)):
                found[name], end = None, ending.end()
                break
    return tuple(found)
