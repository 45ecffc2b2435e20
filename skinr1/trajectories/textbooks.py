"""The textbook by diagnosis and by passage: what it says that a disease shows, and what one passage says."""

import re
from collections.abc import Iterable
from functools import lru_cache

from skinr1.concepts import concept
from skinr1.knowledge import Edge, Knowledge, Rule
from skinr1.trajectories.findings import Findings

_WORD = re.compile(r"[^\W_]+(?:'[^\W\d_]+)?")
# Words of Rule.frequency for a sign that the textbook allows without expecting it.
OCCASIONAL = ("sometimes", "occasional", "occasionally", "rare", "rarely", "may", "can")


class Textbook:
    """The rules of one diagnosis: concepts it shows, concepts it is said not to show."""

    def __init__(self, node: str, rules: Iterable[Rule]):
        self.node = node
        self.shown: dict[str, Rule] = {}
        self.denied: dict[str, Rule] = {}
        rules = sorted(rules, key=lambda rule: rule.passage)
        for rule in rules:
            (self.denied if rule.negated else self.shown).setdefault(rule.concept, rule)
        self._group = {name: concept(name).group for name in self.shown}
        self._expected = {name for name, rule in self.shown.items() if rule.frequency not in OCCASIONAL}
        self.passages: dict[str, set[str]] = {}
        for rule in rules:
            if not rule.negated:
                self.passages.setdefault(rule.passage, set()).add(rule.concept)

    def passage_for(self, *names: str) -> str:
        """A passage whose rules cover the first name and most of the others."""
        holding = [passage for passage, covered in self.passages.items() if names[0] in covered]
        return min(holding, key=lambda passage: (-len(self.passages[passage] & set(names)), passage))

    def missing(self, findings: Findings) -> tuple[str, ...]:
        """Typical signs annotated absent, unless another rule sign of the same group is there instead.

        Signs of a group are alternatives: a papule is no argument against a disease of papules or macules.
        """
        lacking = [name for name in findings.absent if name in self._expected]
        if not lacking:
            return ()
        met = self.met(findings)
        return tuple(name for name in lacking if self._group[name] not in met)

    def met(self, findings: Findings) -> set[str]:
        """Groups of which a sign that the rules cover is present."""
        return {self._group[name] for name in findings.present if name in self.shown}

    def score(self, findings: Findings) -> int:
        """Supporting minus contradicting signs of the case."""
        supporting = sum(name in self.shown for name in findings.present)
        denied = sum(name in self.denied for name in findings.present)
        return supporting - denied - len(self.missing(findings))


class Shelf:
    """A :class:`Knowledge` indexed: what each diagnosis shows, what each passage says. Made once, by :func:`shelf`."""

    def __init__(self, knowledge: Knowledge):
        self.passages = knowledge.passages
        self.said: dict[str, dict[tuple[str, str], Rule]] = {}
        self.compared: dict[str, set[tuple[str, str, str]]] = {}
        self.edges: dict[str, dict[str, list[Edge]]] = {}
        rules: dict[str, list[Rule]] = {}
        for rule in knowledge.rules:
            rules.setdefault(rule.diagnosis, []).append(rule)
            self.said.setdefault(rule.passage, {}).setdefault((rule.diagnosis, rule.concept), rule)
        for edge in sorted(knowledge.edges, key=lambda edge: (edge.diagnosis, edge.rival, edge.passage)):
            self.edges.setdefault(edge.diagnosis, {}).setdefault(edge.rival, []).append(edge)
            pairs = self.compared.setdefault(edge.passage, set())
            pairs.update((edge.diagnosis, edge.rival, sign) for sign in edge.signs)
        self._books = {node: Textbook(node, found) for node, found in rules.items()}
        self.covered = tuple(sorted(node for node, book in self._books.items() if book.shown))
        self._forks: dict[str, tuple[tuple[int, Textbook], ...]] = {}
        self._sequences: dict[str, str] = {}

    def book(self, node: str) -> Textbook:
        """What the books say of a diagnosis; empty for one that they leave out."""
        found = self._books.get(node)
        if found is None:
            found = self._books[node] = Textbook(node, ())
        return found

    def sequence(self, passage: str) -> str:
        """The words of a passage in order, punctuation left out."""
        if passage not in self._sequences:
            self._sequences[passage] = " ".join(_WORD.findall(self.passages[passage].text.lower()))
        return self._sequences[passage]

    def words(self, passage: str) -> frozenset[str]:
        return frozenset(self.sequence(passage).split(" "))

    def forks(self, truth: str) -> tuple[tuple[int, Textbook], ...]:
        """Every covered diagnosis of another branch, with the level (0 at the top) at which it leaves truth's path."""
        if truth not in self._forks:
            levels = ((_shared_levels(truth, node), node) for node in self.covered)
            branches = [(n, self.book(node)) for n, node in levels if n < min(truth.count("/"), node.count("/")) + 1]
            self._forks[truth] = tuple(branches)
        return self._forks[truth]


def _shared_levels(a: str, b: str) -> int:
    pairs = zip(a.split("/"), b.split("/"), strict=False)
    return next((level for level, (x, y) in enumerate(pairs) if x != y), min(a.count("/"), b.count("/")) + 1)


class _Same:
    """Equal only to itself's thing: a Knowledge holds a dict and has no hash of its own."""

    def __init__(self, thing: Knowledge):
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.thing is self.thing


def shelf(knowledge: Knowledge) -> Shelf:
    """The index of a knowledge, made at the first call."""
    return _shelf(_Same(knowledge))


@lru_cache(maxsize=4)
def _shelf(knowledge: _Same) -> Shelf:
    return Shelf(knowledge.thing)
