"""Several answers to one case become one report: votes per taxonomy node, back-off to an ancestor, abstention.

"CCT-style": DermoGPT (arXiv 2601.01868) names confidence and consistency over several rollouts, but its algorithm is
not published. The weights are those of CISC (arXiv 2502.06233), a softmax of the answers' own confidence; without them
every answer has one vote.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from skinr1.errors import UserError
from skinr1.report import Answer, DifferentialEntry, Report
from skinr1.serving.envelope import Agreement
from skinr1.serving.rules import LEVELS, declined, suspicions
from skinr1.taxonomy import Taxonomy

MOST_ENTRIES, MOST_SIGNS, MOST_CITATIONS = 5, 8, 6  # of the report's schema
T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class VoteSettings:
    """How answers become one."""

    support: float = field(default=0.5, metadata={"help": "Least share of the votes for a node; under it, its parent."})
    temperature: float | None = field(
        default=None, metadata={"help": "Of the answers' confidence as weights (CISC); null: one vote an answer."}
    )

    def __post_init__(self) -> None:
        if not 0 < self.support <= 1 or (self.temperature is not None and self.temperature <= 0):
            raise UserError("vote settings do not fit", str(self), "Give 0 < support <= 1 and temperature above 0.")


@dataclass(frozen=True)
class Aggregate:
    """What the votes come to.

    Attributes:
        answer: the voted report, with the reasoning of the answer nearest to it.
        agreement: how far the answers agree.
        named: node -> mean probability over the answers, for the red-flag rule: abstention hides no suspicion.
    """

    answer: Answer
    agreement: Agreement
    named: dict[str, float]


def aggregate(answers: Sequence[Answer], taxonomy: Taxonomy, settings: VoteSettings) -> Aggregate:
    """One report of one or more valid answers to the same case.

    Raises:
        ValueError: no answer.
    """
    if not answers:
        raise ValueError("no answer to aggregate")
    weights = vote_weights(answers, settings.temperature)
    votes = [answer.report.diagnosis for answer in answers]
    node = elected(votes, weights, taxonomy, settings.support)
    shares = _shares(votes, weights)
    named = mean_probabilities([answer.report for answer in answers])
    favourite = max(shares, key=lambda vote: (shares[vote], str(vote)))
    agreement = Agreement(
        samples=len(answers),
        share=round(support(node, votes, weights) if node else shares.get(None, 0.0), 4),
        entropy=round(-sum(share * math.log2(share) for share in shares.values() if share > 0) + 0.0, 4),
        voted={vote or "declined": count for vote, count in sorted(Counter(votes).items(), key=str)},
        backed_off=favourite if node and favourite and favourite != node and favourite.startswith(f"{node}/") else None,
        abstained=node is None,
    )
    nearest = max(range(len(answers)), key=lambda i: (_common(votes[i], node), weights[i], -i))
    report = _declining(answers) if node is None else _voted(node, answers, named, agreement.share, taxonomy)
    return Aggregate(Answer(answers[nearest].thinking, report), agreement, named)


def vote_weights(answers: Sequence[Answer], temperature: float | None) -> list[float]:
    """Weight of each answer, adding up to 1: equal, or softmax(p / temperature) of its leading probability p (CISC)."""
    if temperature is None:
        return [1 / len(answers)] * len(answers)
    sure = [answer.report.differential[0].probability if answer.report.differential else 0.0 for answer in answers]
    raised = [math.exp((p - max(sure)) / temperature) for p in sure]
    return [value / sum(raised) for value in raised]


def support(node: str, votes: Sequence[str | None], weights: Sequence[float]) -> float:
    """Weight of the votes for a node or one below it."""
    return sum(w for vote, w in zip(votes, weights, strict=True) if vote == node or (vote or "").startswith(f"{node}/"))


def elected(votes: Sequence[str | None], weights: Sequence[float], taxonomy: Taxonomy, threshold: float) -> str | None:
    """The deepest node whose support reaches the threshold, on the best-supported way down; None where no group does.

    Ties go to the smaller id. With a threshold above a half there is only one way.
    """
    chosen: str | None = None
    ways = sorted({taxonomy.path(vote)[0] for vote in votes if vote is not None})
    while ways:
        best = max(ways, key=lambda node: (support(node, votes, weights), [-ord(c) for c in node]))
        if support(best, votes, weights) < threshold - 1e-9:
            break
        chosen = best
        ways = [child for child in taxonomy.children(best) if support(child, votes, weights) > 0]
    return chosen


def mean_probabilities(reports: Sequence[Report]) -> dict[str, float]:
    """Node -> probability, mean over the reports, 0 where one does not name it; most probable first."""
    total: Counter[str] = Counter()
    for report in reports:
        total.update(suspicions(report))
    return {node: mass / len(reports) for node, mass in sorted(total.items(), key=lambda item: (-item[1], item[0]))}


def _shares(votes: Sequence[str | None], weights: Sequence[float]) -> dict[str | None, float]:
    shares: dict[str | None, float] = {}
    for vote, weight in zip(votes, weights, strict=True):
        shares[vote] = shares.get(vote, 0.0) + weight
    return shares


def _common(vote: str | None, node: str | None) -> int:
    """Steps that a vote shares with the elected node, to find the answer nearest to it."""
    if vote is None or node is None:
        return int(vote is None and node is None)
    pairs = zip(vote.split("/"), node.split("/"), strict=False)
    return next((depth for depth, (a, b) in enumerate(pairs) if a != b), min(vote.count("/"), node.count("/")) + 1)


def _declining(answers: Sequence[Answer]) -> Report:
    reports = [answer.report for answer in answers]
    return declined("new_image", _majority(reports, lambda report: report.findings, MOST_SIGNS))


def _voted(node: str, answers: Sequence[Answer], named: dict[str, float], share: float, taxonomy: Taxonomy) -> Report:
    reports = [answer.report for answer in answers]
    for_it = [report for report in reports if report.diagnosis and _within(report.diagnosis, node)]
    # what lies below the elected node is its own; what lies above would count it twice
    own = min(1.0, sum(mass for name, mass in named.items() if _within(name, node)))
    others = [(name, mass) for name, mass in named.items() if not _within(name, node) and not _within(node, name)]
    ranked = [(node, max(own, max((mass for _, mass in others), default=0.0))), *others][:MOST_ENTRIES]
    total = max(1.0, sum(mass for _, mass in ranked))
    entries = tuple(_entry(name, mass / total, reports, node) for name, mass in ranked)
    advices = [report.advice for report in reports if report.advice in LEVELS]
    bucket = taxonomy.bucket(node)
    return for_it[0].model_copy(
        update={
            "findings": _majority(reports, lambda report: report.findings, MOST_SIGNS),
            "diagnosis": node,
            "condition": bucket or Counter(r.condition for r in for_it).most_common(1)[0][0],
            "differential": entries,
            "confidence": "high" if share >= 0.8 else "moderate" if share >= 0.5 else "low",
            "advice": max(advices, key=LEVELS.index),
            "citations": tuple(dict.fromkeys(name for report in for_it for name in report.citations))[:MOST_CITATIONS],
        }
    )


def _within(name: str, node: str) -> bool:
    return name == node or name.startswith(f"{node}/")


def _entry(name: str, mass: float, reports: Sequence[Report], elected_node: str) -> DifferentialEntry:
    def belongs(entry: DifferentialEntry) -> bool:
        return _within(entry.diagnosis, name) if name == elected_node else entry.diagnosis == name

    found = [entry for report in reports for entry in report.differential if belongs(entry)]
    supports = _majority(found, lambda entry: entry.evidence_for, MOST_SIGNS)
    against = _majority(found, lambda entry: entry.evidence_against, MOST_SIGNS)
    return DifferentialEntry(
        diagnosis=name,
        probability=math.floor(mass * 100 + 1e-9) / 100,  # rounded down: they may not add up to more than 1
        evidence_for=supports,
        evidence_against=tuple(sign for sign in against if sign not in supports),
    )


def _majority(items: Sequence[T], signs: Callable[[T], Iterable[str]], most: int) -> tuple[str, ...]:
    """What at least half of the items say, most often said first, then in order of appearance."""
    counts = Counter(sign for item in items for sign in dict.fromkeys(signs(item)))
    kept = [sign for sign, count in counts.most_common() if 2 * count >= len(items)]
    return tuple(kept[:most])
