"""What a case shows, what the textbook says of a diagnosis, and how the two compare."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from skinr1.cases import Case
from skinr1.concepts import concept, concepts
from skinr1.knowledge import Edge, Knowledge, Rule
from skinr1.taxonomy import Bucket, Taxonomy
from skinr1.trajectories.model import Claim

# Words of Rule.frequency for a sign that the textbook allows without expecting it.
OCCASIONAL = ("sometimes", "occasional", "occasionally", "rare", "rarely", "may", "can")


class Ungrounded(Exception):
    """A trajectory of this kind cannot be grounded; the message says what is missing."""


class Reason(NamedTuple):
    """A sign that decides between the truth and a rival: where the textbook says so, and the claims that are made."""

    sign: str
    passage: str
    claims: tuple[Claim, ...]


def in_order(names: set[str]) -> tuple[str, ...]:
    """Concepts in the order of the vocabulary."""
    return tuple(name for name in concepts() if name in names)


@dataclass(frozen=True)
class Findings:
    """Annotations of one case, each in vocabulary order: seen on the image, told by the patient, absent."""

    seen: tuple[str, ...]
    told: tuple[str, ...]
    absent: tuple[str, ...]

    @classmethod
    def of(cls, case: Case) -> "Findings":
        """A complaint counts wherever it is recorded; an image cannot show it, so it is told, not seen."""
        named = {*case.present(), *(name for name in case.history if name in concepts())}
        told = {name for name in named if concept(name).group == "history"}
        return cls(in_order(named - told), in_order(told), in_order(set(case.absent()) - named))

    @property
    def present(self) -> tuple[str, ...]:
        return self.seen + self.told


class Textbook:
    """The rules of one diagnosis: concepts it shows, concepts it is said not to show."""

    def __init__(self, node: str, knowledge: Knowledge):
        self.node = node
        self.shown: dict[str, Rule] = {}
        self.denied: dict[str, Rule] = {}
        rules = sorted(knowledge.rules_of(node), key=lambda rule: rule.passage)
        for rule in rules:
            (self.denied if rule.negated else self.shown).setdefault(rule.concept, rule)
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
        met = self.met(findings)
        return tuple(name for name in findings.absent if self.typical(name) and concept(name).group not in met)

    def met(self, findings: Findings) -> set[str]:
        """Groups of which a sign that the rules cover is present."""
        return {concept(name).group for name in findings.present if name in self.shown}

    def typical(self, name: str) -> bool:
        """Whether the textbook expects the sign, not merely allows it."""
        return name in self.shown and self.shown[name].frequency not in OCCASIONAL

    def score(self, findings: Findings) -> int:
        """Supporting minus contradicting signs of the case."""
        supporting = sum(name in self.shown for name in findings.present)
        denied = sum(name in self.denied for name in findings.present)
        return supporting - denied - len(self.missing(findings))


def truth_node(case: Case, taxonomy: Taxonomy) -> str:
    """The node a report on the case should name.

    The label's node; for a label of several nodes their deepest common ancestor, or, when only the root joins them,
    the first in sorted order.

    Raises:
        Ungrounded: the case has no label.
    """
    if not case.diagnoses:
        raise Ungrounded("case has no diagnosis")
    first, *others = sorted(case.diagnoses)
    shared: str | None = first
    for node in others:
        shared = shared and taxonomy.lca(shared, node)
    return shared or first


def shared_bucket(nodes: tuple[str, ...], taxonomy: Taxonomy) -> Bucket | None:
    """The risk bucket, if all nodes have the same one."""
    buckets = {taxonomy.bucket(node) for node in nodes}
    return buckets.pop() if len(buckets) == 1 else None


@dataclass(frozen=True)
class View:
    """One case beside the textbook: all that a trajectory may draw on."""

    case: Case
    knowledge: Knowledge
    taxonomy: Taxonomy
    truth: Textbook
    condition: Bucket
    findings: Findings

    @classmethod
    def of(cls, case: Case, knowledge: Knowledge, taxonomy: Taxonomy) -> "View":
        """Raises Ungrounded when the case has no label, no single risk bucket, or no recorded sign of its diagnosis."""
        truth = Textbook(truth_node(case, taxonomy), knowledge)
        condition = shared_bucket(case.diagnoses, taxonomy)
        if condition is None:
            raise Ungrounded("label has no single risk bucket")
        view = cls(case, knowledge, taxonomy, truth, condition, Findings.of(case))
        if not view.findings.present:
            raise Ungrounded("no sign is annotated as present")
        if not view.supporting:
            raise Ungrounded("no textbook rule of the diagnosis matches a sign of the case")
        return view

    @property
    def supporting(self) -> tuple[str, ...]:
        """Signs of the case that a rule of the true diagnosis covers."""
        return tuple(name for name in self.findings.present if name in self.truth.shown)

    @cached_property
    def edges(self) -> dict[str, tuple[Edge, ...]]:
        """Rival -> what the differential graph says for the truth against it, in a fixed order."""
        edges: dict[str, list[Edge]] = {}
        for edge in sorted(self.knowledge.rivals_of(self.truth.node), key=lambda e: (e.rival, e.passage)):
            edges.setdefault(edge.rival, []).append(edge)
        return {rival: tuple(found) for rival, found in edges.items()}

    @cached_property
    def rivals(self) -> tuple[Textbook, ...]:
        """Rivals of the truth, those that share most signs of this case first, then by path."""
        truth = self.truth.node
        own = {*self.taxonomy.path(truth), *self.case.diagnoses}
        nodes = [r for r in self.edges if r not in own and truth not in self.taxonomy.path(r)]
        books = [Textbook(node, self.knowledge) for node in nodes]
        return tuple(sorted(books, key=lambda book: (-len(self.shared(book)), book.node)))

    def name(self, node: str) -> str:
        return self.taxonomy.node(node).name

    def shared(self, rival: Textbook) -> tuple[str, ...]:
        """Signs of the case that both the truth's and the rival's rules cover."""
        return tuple(name for name in self.supporting if name in rival.shown)

    def distinctive(self, limit: int) -> tuple[str, ...]:
        """Supporting signs that fewest rivals show, at most ``limit``, in vocabulary order."""
        crowd = {name: sum(name in rival.shown for rival in self.rivals) for name in self.supporting}
        order = list(concepts())
        chosen = sorted(self.supporting, key=lambda name: (crowd[name], order.index(name)))[:limit]
        return in_order(set(chosen))

    def favours(self, rival: Textbook) -> list[Reason]:
        """Signs of the case that speak for the truth against a rival, best first.

        First those the differential graph names, then those in the truth's rules; none that the rival's rules allow.
        """
        reasons = []
        truth = self.truth.node
        for edge in self.edges[rival.node]:
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
        reasons = []
        met = rival.met(self.findings)
        for edge in sorted(self.knowledge.rivals_of(rival.node), key=lambda e: e.passage):
            for name in self.findings.absent:
                if edge.rival == self.truth.node and name in edge.signs and concept(name).group not in met:
                    said = Claim("edge", name, rival.node, self.truth.node, edge.passage)
                    reasons.append(Reason(name, edge.passage, (Claim("absent", name), said)))
        for name in rival.missing(self.findings):
            passage = rival.shown[name].passage
            rule = Claim("rule", name, rival.node, passage=passage)
            reasons.append(Reason(name, passage, (Claim("absent", name), rule)))
        return reasons
