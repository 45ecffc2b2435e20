"""What a case shows, what the textbook says of a diagnosis, and how the two compare."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from skinr1.cases import Case
from skinr1.concepts import concept
from skinr1.knowledge import Edge, Knowledge
from skinr1.taxonomy import Bucket, Taxonomy
from skinr1.trajectories.findings import Findings, in_order, rank
from skinr1.trajectories.model import Claim
from skinr1.trajectories.textbooks import Shelf, Textbook, shelf


class Ungrounded(Exception):
    """A trajectory of this kind cannot be grounded; the message says what is missing."""


class Reason(NamedTuple):
    """A sign that decides between the truth and a rival: where the textbook says so, and the claims that are made."""

    sign: str
    passage: str
    claims: tuple[Claim, ...]


def truth_node(case: Case, taxonomy: Taxonomy) -> str:
    """The node a report on the case should name.

    The label's node; for a label of several nodes their deepest common ancestor.

    Raises:
        Ungrounded: the case has no label, or only the root joins the diagnoses that it names.
    """
    if not case.diagnoses:
        raise Ungrounded("case has no diagnosis")
    first, *others = sorted(case.diagnoses)
    shared: str | None = first
    for node in others:
        shared = shared and taxonomy.lca(shared, node)
    if shared is None:
        raise Ungrounded("label names diagnoses of unrelated branches")
    return shared


def shared_bucket(nodes: tuple[str, ...], taxonomy: Taxonomy) -> Bucket | None:
    """The risk bucket, if all nodes have the same one."""
    buckets = {taxonomy.bucket(node) for node in nodes}
    return buckets.pop() if len(buckets) == 1 else None


@dataclass(frozen=True)
class View:
    """One case beside the textbook: all that a trajectory may draw on.

    What needs the label raises :class:`Ungrounded` when it is asked for and cannot be had.
    """

    case: Case
    knowledge: Knowledge
    taxonomy: Taxonomy
    _said: dict[tuple[str, str], list[Reason]] = field(default_factory=dict, compare=False, repr=False)
    _shared: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def findings(self) -> Findings:
        return Findings.of(self.case)

    @cached_property
    def shelf(self) -> Shelf:
        return shelf(self.knowledge)

    @cached_property
    def condition(self) -> Bucket:
        """Raises Ungrounded when the label has no single risk bucket."""
        found = shared_bucket(self.case.diagnoses, self.taxonomy)
        if found is None:
            raise Ungrounded("label has no single risk bucket")
        return found

    def require_assessable(self) -> None:
        """Raises Ungrounded when something is annotated against the image itself."""
        if self.findings.quality:
            raise Ungrounded(f"image cannot be assessed: {', '.join(self.findings.quality)}")

    @cached_property
    def truth(self) -> Textbook:
        """The rules of the label's node.

        Raises Ungrounded when the image cannot be assessed, the case has no label or no single risk bucket, or no
        recorded sign is one of its diagnosis.
        """
        self.require_assessable()
        truth = self.shelf.book(truth_node(self.case, self.taxonomy))
        _ = self.condition  # raises
        if not self.findings.present:
            raise Ungrounded("no sign is annotated as present")
        if not any(name in truth.shown for name in self.findings.present):
            raise Ungrounded("no textbook rule of the diagnosis matches a sign of the case")
        return truth

    @cached_property
    def supporting(self) -> tuple[str, ...]:
        """Signs of the case that a rule of the true diagnosis covers."""
        return tuple(name for name in self.findings.present if name in self.truth.shown)

    @cached_property
    def edges(self) -> dict[str, list[Edge]]:
        """Rival -> what the differential graph says for the truth against it, in a fixed order."""
        return self.shelf.edges.get(self.truth.node, {})

    @cached_property
    def rivals(self) -> tuple[Textbook, ...]:
        """Rivals of the truth, those that share most signs of this case first, then by path."""
        truth = self.truth.node
        own = {*self.taxonomy.path(truth), *self.case.diagnoses}
        nodes = [r for r in self.edges if r not in own and truth not in self.taxonomy.path(r)]
        books = [self.shelf.book(node) for node in nodes]
        return tuple(sorted(books, key=lambda book: (-len(self.shared(book)), book.node)))

    @cached_property
    def contested(self) -> dict[str, Textbook]:
        """Node of the truth's path -> the diagnosis of its other branches that shares most signs of the case.

        Levels that no diagnosis of another branch contests are left out.
        """
        best: dict[int, tuple[int, str, Textbook]] = {}
        for level, book in self.shelf.forks(self.truth.node):
            shared = sum(name in book.shown for name in self.supporting)
            if shared and book.node not in self.case.diagnoses:
                best[level] = min(best.get(level, (0, "", book)), (-shared, book.node, book))
        path = self.taxonomy.path(self.truth.node)
        return {path[level]: best[level][2] for level in sorted(best)}

    def name(self, node: str) -> str:
        return self.taxonomy.node(node).name

    def shared(self, rival: Textbook) -> tuple[str, ...]:
        """Signs of the case that both the truth's and the rival's rules cover."""
        found = self._shared.get(rival.node)
        if found is None:
            found = self._shared[rival.node] = tuple(name for name in self.supporting if name in rival.shown)
        return found

    def distinctive(self, limit: int) -> tuple[str, ...]:
        """Supporting signs that fewest rivals show, at most ``limit``, in vocabulary order."""
        return in_order(self._by_crowd[:limit])

    @cached_property
    def _by_crowd(self) -> list[str]:
        crowd = Counter(name for rival in self.rivals for name in self.shared(rival))
        return sorted(self.supporting, key=lambda name: (crowd[name], rank(name)))

    def favours(self, rival: Textbook) -> list[Reason]:
        """Signs of the case that speak for the truth against a rival, best first.

        First those the differential graph names, then those in the truth's rules; none that the rival's rules allow.
        """
        key = ("favours", rival.node)
        if key not in self._said:
            self._said[key] = self._favours(rival)
        return self._said[key]

    def _favours(self, rival: Textbook) -> list[Reason]:
        reasons = []
        truth = self.truth.node
        for edge in self.edges.get(rival.node, ()):
            for name in self.findings.present:
                if name in edge.signs and name not in rival.shown:
                    said = Claim("edge", name, truth, rival.node, edge.passage)
                    reasons.append(
                        Reason(name, edge.passage, (Claim("present", name), said, Claim("no_rule", name, rival.node)))
                    )
        for name in self.distinctive(len(self.supporting)):
            if name not in rival.shown:
                passage = self.truth.shown[name].passage
                rule = Claim("rule", name, truth, passage=passage)
                reasons.append(
                    Reason(name, passage, (Claim("present", name), rule, Claim("no_rule", name, rival.node)))
                )
        return reasons

    def lacks(self, rival: Textbook) -> list[Reason]:
        """Signs of a rival that are annotated absent here, those the graph names first."""
        key = ("lacks", rival.node)
        if key not in self._said:
            self._said[key] = self._lacks(rival)
        return self._said[key]

    def _lacks(self, rival: Textbook) -> list[Reason]:
        reasons = []
        met = rival.met(self.findings)
        for edge in self.shelf.edges.get(rival.node, {}).get(self.truth.node, ()):
            for name in self.findings.absent:
                if name in edge.signs and concept(name).group not in met:
                    said = Claim("edge", name, rival.node, self.truth.node, edge.passage)
                    reasons.append(Reason(name, edge.passage, (Claim("absent", name), said)))
        for name in rival.missing(self.findings):
            passage = rival.shown[name].passage
            rule = Claim("rule", name, rival.node, passage=passage)
            reasons.append(Reason(name, passage, (Claim("absent", name), rule)))
        return reasons
