"""What a book calls a diagnosis -> nodes: the tree's own names, and an alias file for a book that uses other ones."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from skinr1.concepts import concepts
from skinr1.errors import UserError
from skinr1.taxonomy import Taxonomy
from skinr1.taxonomy.tree import normalise

LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "Œ": "Oe", "Æ": "Ae"})
_MODERN = str.maketrans({"œ": "e", "æ": "e", "Œ": "E", "Æ": "E"})
_PLURALS = ("s", "es", "e", "ta")
_SHORTEST_MENTION = 4  # letters; shorter names are words of other meaning more often than not


class Mention(NamedTuple):
    """Characters ``start`` to ``end`` of a text name ``nodes``."""

    start: int
    end: int
    nodes: frozenset[str]


@dataclass(frozen=True)
class Aliases:
    """A book's own names.

    Attributes:
        nodes: normalised name -> nodes.
        none: normalised name -> why no node is meant.
    """

    nodes: Mapping[str, frozenset[str]]
    none: Mapping[str, str]

    @classmethod
    def load(cls, path: Path, taxonomy: Taxonomy) -> "Aliases":
        """Reads YAML of the form ``Name: node``, ``Name: [node, node]`` or ``Name: {none: reason}``.

        A node is a path, or any name that the taxonomy knows.

        Raises:
            UserError: the file is missing or of another form, or names what is not in the taxonomy.
        """
        if not path.is_file():
            raise UserError("alias file not found", str(path), "Correct the path.")
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"not YAML ({error})", str(path), "Correct the file.") from None
        if not isinstance(document, dict):
            raise UserError("not a mapping of names to nodes", str(path), "Write `Name: node/path` lines.")
        nodes: dict[str, frozenset[str]] = {}
        none: dict[str, str] = {}
        for name, entry in document.items():
            if isinstance(entry, dict) and set(entry) == {"none"} and entry["none"]:
                none[comparable(str(name))] = str(entry["none"])
            else:
                nodes[comparable(str(name))] = _nodes(str(name), entry, path, taxonomy)
        return cls(nodes, none)


def _nodes(name: str, entry: Any, path: Path, taxonomy: Taxonomy) -> frozenset[str]:
    targets = [entry] if isinstance(entry, str) else entry
    if not isinstance(targets, list) or not targets or not all(isinstance(target, str) for target in targets):
        raise UserError(f"alias {name!r} names no node", str(path), "Write a path, a list, or {none: reason}.")
    try:
        return frozenset().union(*(taxonomy.resolve(target) for target in targets))
    except UserError as error:
        raise UserError(f"alias {name!r}: {error.what} {error.where}", str(path), error.do) from None


def comparable(name: str) -> str:
    """The taxonomy's comparison form, with ligatures spelled out."""
    return normalise(name.translate(LIGATURES))


def spoken_forms(heading: str) -> list[str]:
    """A heading whole, without its brackets, and what the brackets hold: ``Seborrhœa (Eczema Seborrhoicum)``."""
    outer, _, inner = heading.partition("(")
    return [form.strip() for form in (heading, outer, inner.partition(")")[0]) if form.strip()]


class Names:
    """All names under which a book may speak of a diagnosis.

    Args:
        aliases: the book's own, which go before those of the tree.
    """

    def __init__(self, taxonomy: Taxonomy, aliases: Aliases | None = None):
        self.taxonomy = taxonomy
        self.aliases = aliases or Aliases({}, {})
        self._labels: dict[str, frozenset[str]] = {}
        for node in taxonomy.nodes.values():
            for label in map(comparable, (node.name, *node.aliases)):
                self._labels[label] = self._labels.get(label, frozenset()) | {node.id}
        self._own: dict[str, frozenset[str]] = {}

    def resolve(self, name: str, synonyms: Iterable[str] = ()) -> frozenset[str]:
        """Nodes that a heading names, by itself, without or within its brackets, or by the synonyms given with it.

        Empty where the alias file says that it is no node.

        Raises:
            UserError: none of the names is known; the message is about ``name``.
        """
        found = self._look_up(name, synonyms)
        return self.taxonomy.resolve(name) if found is None else found

    def knows(self, name: str, synonyms: Iterable[str] = ()) -> bool:
        """Whether :meth:`resolve` has an answer."""
        return self._look_up(name, synonyms) is not None

    def _look_up(self, name: str, synonyms: Iterable[str]) -> frozenset[str] | None:
        found = (self._one(form) for form in (*spoken_forms(name), *synonyms))
        return next((nodes for nodes in found if nodes is not None), None)

    def _one(self, name: str) -> frozenset[str] | None:
        for form in dict.fromkeys((comparable(name), normalise(name.translate(_MODERN)))):
            if form in self.aliases.none:
                return frozenset()
            if found := self.aliases.nodes.get(form) or self._labels.get(form):
                return found
        return None

    def why_none(self, name: str) -> str:
        """Why the alias file maps a name to no node; empty where it does not say so."""
        return self.aliases.none.get(comparable(name), "")

    def learn(self, names: Mapping[str, frozenset[str]]) -> None:
        """Adds names under which the running text may mention nodes: the book's own headings."""
        self._own |= {comparable(name): nodes for name, nodes in names.items() if nodes}
        self.__dict__.pop("_spoken", None)

    def mentions(self, text: str) -> Iterator[Mention]:
        """Every mention in a text, the longest name at each place; a plural (warts, verrucae, fibromata) counts.

        Part of a compound (``wart-like``) or a sign of the vocabulary (``itching``) is none. What the alias file says
        is no node is a mention of no nodes.
        """
        spoken, longest = self._spoken
        plain, places = _spelled_out(text)
        words = list(re.finditer(r"[a-z0-9]+", plain))
        done = 0
        for index, word in enumerate(words):
            if word.start() < done or plain[: word.start()].endswith("-"):
                continue
            for following in words[index : index + longest.get(word[0], 1)][::-1]:
                phrase = plain[word.start() : following.end()]
                name = None if plain.startswith("-like", following.end()) else _found(phrase, spoken)
                start, end = places[word.start()], places[following.end() - 1] + 1
                if name and (name not in self._acronyms or text[start:end].rstrip("s").isupper()):
                    yield Mention(start, end, spoken[name])
                    done = following.end()
                    break

    @cached_property
    def _spoken(self) -> tuple[dict[str, frozenset[str]], dict[str, int]]:
        """Nodes by the name that a text may use, and the words of the longest name by its first word."""
        signs = {comparable(sign) for concept in concepts().values() for sign in (concept.name, *concept.aliases)}
        words = signs | self._groups()
        known = {label: nodes for label, nodes in self._labels.items() if not words.intersection(_singulars(label))}
        known |= self._own
        known |= self.aliases.nodes
        known |= dict.fromkeys(self.aliases.none, frozenset())
        known = {name: nodes for name, nodes in known.items() if len(name) >= _SHORTEST_MENTION}
        longest: dict[str, int] = {}
        for name in known:
            for first in (name.split()[0], *(name + end for end in _PLURALS if " " not in name)):
                longest[first] = max(longest.get(first, 1), len(name.split()))
        return known, longest

    @cached_property
    def _acronyms(self) -> set[str]:
        """Names that are words in small letters (STUMP, HOOD)."""
        return {comparable(alias) for node in self.taxonomy.nodes.values() for alias in node.aliases if alias.isupper()}

    def _groups(self) -> set[str]:
        """Names of the two highest levels: in a sentence they are everyday words (malignant, inflammatory, hair)."""
        leaves = set(self.taxonomy.leaves)
        high = (node for node in self.taxonomy.nodes.values() if node.depth <= 2 and node.id not in leaves)
        return {comparable(label) for node in high for label in (node.name, *node.aliases)}


def _found(phrase: str, known: Container[str]) -> str | None:
    """The known name that a phrase or its singular is; None for one thing where a comma parts it."""
    return None if "|" in phrase else next((form for form in _singulars(_key(phrase)) if form in known), None)


def _singulars(name: str) -> list[str]:
    return [name, *(name.removesuffix(end) for end in _PLURALS if name.endswith(end))]


def _key(phrase: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", phrase))


def _spelled_out(text: str) -> tuple[str, list[int]]:
    """Lower-case ASCII of a text as the names are compared, and the place in ``text`` of each of its characters.

    Marks that no name goes across become ``|``.
    """
    letters: list[str] = []
    places: list[int] = []
    for place, letter in enumerate(text):
        plain = normalise(letter.translate(LIGATURES))
        if not plain:
            plain = "-" if letter in "-‐–" else " " if letter.isspace() or letter in "'’" else "|"
        letters.append(plain)
        places += [place] * len(plain)
    return "".join(letters), places
