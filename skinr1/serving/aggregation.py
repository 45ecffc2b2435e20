"""Several answers to one case -> one report: votes on the tree, back-off to a common ancestor, or no diagnosis.

CCT-style: the algorithm that DermoGPT calls CCT is unavailable, so this is no reproduction of it. Weights may follow a
report's own confidence (CISC, Taubenfeld et al. 2025, arXiv 2502.06233). Pure functions; who asks the model, and shows
it the views, is elsewhere.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from PIL import Image

from skinr1.errors import UserError
from skinr1.report import DISCLAIMER, SCHEMA_VERSION, DifferentialEntry, Report
from skinr1.serving.envelope import Agreement
from skinr1.serving.quality import declining_report
from skinr1.serving.rules import URGENCY
from skinr1.taxonomy import Bucket, Taxonomy

CONFIDENCES: Final = ("low", "moderate", "high")
CROP = 0.9  # of each side, around the middle
_TURNS: Final = (
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_270,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
)
VIEWS: Final = 2 * len(_TURNS)


@dataclass(frozen=True)
class VotingPolicy:
    """How votes become a report. None of the numbers is fitted.

    Attributes:
        support: share of the votes that a node, with all below it, needs to be reported; over one half, so that two
            siblings never both have it. With no such node the report declines.
        weights: ``equal``, or ``confidence``: softmax of the leading probability over ``temperature``.
        findings: share of the answers that a finding needs.
        moderate, high: share of the votes up to which confidence is at most low, at most moderate.
    """

    support: float = 0.6
    weights: Literal["equal", "confidence"] = "equal"
    temperature: float = 0.5
    findings: float = 0.5
    moderate: float = 0.7
    high: float = 0.9

    def __post_init__(self) -> None:
        if not 0.5 < self.support <= 1:
            raise UserError("support is not over 0.5 and at most 1", str(self.support), "Correct it.")
        if self.temperature <= 0:
            raise UserError("temperature of the weights is not above 0", str(self.temperature), "Correct it.")


@dataclass(frozen=True)
class Aggregate:
    """What several answers come to. ``nearest`` is the answer whose reasoning is shown: its position."""

    report: Report
    agreement: Agreement
    nearest: int


def view(image: Image.Image, number: int) -> Image.Image:
    """View ``number`` of a picture: 0 is the picture; then flips and quarter turns; from 8 on the same of its middle.

    A side of the body cannot be told from a lesion's picture, so no view changes what is to be seen. Numbers beyond
    :data:`VIEWS` begin again.
    """
    turn, cropped = number % len(_TURNS), number // len(_TURNS) % 2
    if cropped:
        width, height = image.size
        dx, dy = round(width * (1 - CROP) / 2), round(height * (1 - CROP) / 2)
        image = image.crop((dx, dy, width - dx, height - dy))
    method = _TURNS[turn]
    return image if method is None else image.transpose(method)


def aggregate(reports: Sequence[Report], taxonomy: Taxonomy, policy: VotingPolicy | None = None) -> Aggregate:
    """One report for several of the same case.

    Each answer votes for its diagnosis; one that declines votes for none and stays in the denominator. The result does
    not depend on the answers' order, but for which of equals is ``nearest``.

    Raises:
        UserError: there is no report.
    """
    if not reports:
        raise UserError("no answer to aggregate", "samples", "Ask for at least one.")
    policy = policy or VotingPolicy()
    weights = _weights(reports, policy)
    shares = support(reports, weights, taxonomy)
    node = _deepest(shares, taxonomy, policy.support)
    votes = Counter(report.diagnosis for report in reports if report.diagnosis is not None)
    favourite = min(votes, key=lambda n: (-votes[n], n), default=None)
    agreement = Agreement(
        samples=len(reports),
        share=round(shares[node] if node else max(shares.values(), default=0.0), 4),
        entropy=round(vote_entropy(reports, weights), 4),
        voted={n: votes[n] for n in sorted(votes, key=lambda n: (-votes[n], n))},
        backed_off=favourite if node and favourite != node else None,
        abstained=node is None and bool(votes),
    )
    if len(reports) == 1:
        return Aggregate(reports[0], agreement, 0)
    report = (
        declining_report().model_copy(update={"findings": _common_findings(reports, policy.findings)})
        if node is None
        else _given(node, reports, weights, shares, taxonomy, policy)
    )
    return Aggregate(report, agreement, _nearest(node, reports, taxonomy))


def support(reports: Sequence[Report], weights: Sequence[float], taxonomy: Taxonomy) -> dict[str, float]:
    """Node -> share of the weight of votes for it or below it, for every node that has any."""
    shares: dict[str, list[float]] = {}
    for report, weight in zip(reports, weights, strict=True):
        for step in taxonomy.path(report.diagnosis) if report.diagnosis is not None else ():
            shares.setdefault(step, []).append(weight)
    return {node: round(math.fsum(found), 9) for node, found in shares.items()}  # fsum: whatever the order


def vote_entropy(reports: Sequence[Report], weights: Sequence[float]) -> float:
    """Entropy of the votes over nodes in bits; declining is an outcome of its own."""
    mass: dict[str | None, list[float]] = {}
    for report, weight in zip(reports, weights, strict=True):
        mass.setdefault(report.diagnosis, []).append(weight)
    return abs(math.fsum(-p * math.log2(p) for p in map(math.fsum, mass.values()) if p > 0))


def _weights(reports: Sequence[Report], policy: VotingPolicy) -> list[float]:
    """They sum to 1."""
    if policy.weights == "equal":
        return [1 / len(reports)] * len(reports)
    leading = [report.differential[0].probability if report.differential else 0.0 for report in reports]
    powers = [math.exp((p - max(leading)) / policy.temperature) for p in leading]
    return [power / math.fsum(powers) for power in powers]


def _deepest(shares: Mapping[str, float], taxonomy: Taxonomy, least: float) -> str | None:
    """The lowest node with enough support. Over one half of the votes only one branch can have it."""
    enough = [node for node, share in shares.items() if share >= least - 1e-9]
    return max(enough, key=lambda node: taxonomy.node(node).depth, default=None)


def pooled(reports: Sequence[Report]) -> dict[str, float]:
    """Node -> mean of the probabilities that the answers gave it, the highest first; 0 where an answer is silent."""
    found: dict[str, list[float]] = {}
    for report in reports:
        for entry in report.differential:
            found.setdefault(entry.diagnosis, []).append(entry.probability)
    means = {node: math.fsum(values) / len(reports) for node, values in found.items()}
    return {node: means[node] for node in sorted(means, key=lambda node: (-means[node], node))}


def _given(
    node: str,
    reports: Sequence[Report],
    weights: Sequence[float],
    shares: Mapping[str, float],
    taxonomy: Taxonomy,
    policy: VotingPolicy,
) -> Report:
    agreeing = [r for r in reports if r.diagnosis is not None and node in taxonomy.path(r.diagnosis)]
    return Report(
        schema_version=SCHEMA_VERSION,
        findings=_common_findings(reports, policy.findings),
        diagnosis=node,
        condition=taxonomy.bucket(node) or _condition(agreeing),
        differential=_differential(node, reports, taxonomy),
        confidence=_confidence(agreeing, shares[node], policy),
        advice=_advice(agreeing),  # type: ignore[arg-type]
        citations=_most_frequent([r.citations for r in agreeing], 6),
        disclaimer=DISCLAIMER,
    )


def _differential(node: str, reports: Sequence[Report], taxonomy: Taxonomy) -> tuple[DifferentialEntry, ...]:
    """The reported node with all the mass at or below it, then the likeliest of the others. Means of the answers."""
    means = pooled(reports)
    below = math.fsum(p for other, p in means.items() if node in taxonomy.path(other))
    others = [(other, p) for other, p in means.items() if node not in taxonomy.path(other) and round(p, 2) > 0]
    ranked = [(node, min(1.0, below)), *others[:4]]
    return tuple(
        DifferentialEntry(
            diagnosis=name,
            probability=math.floor(100 * p + 1e-6) / 100,  # rounded down: the sum stays at most 1
            evidence_for=_evidence(name, reports, taxonomy, "evidence_for"),
            evidence_against=_evidence(name, reports, taxonomy, "evidence_against"),
        )
        for name, p in ranked
    )


def _evidence(node: str, reports: Sequence[Report], taxonomy: Taxonomy, kind: str) -> tuple[str, ...]:
    entries = (e for r in reports for e in r.differential if node in taxonomy.path(e.diagnosis))
    return _most_frequent([getattr(entry, kind) for entry in entries], 8)


def _common_findings(reports: Sequence[Report], least: float) -> tuple[str, ...]:
    counts = Counter(name for report in reports for name in set(report.findings))
    common = [name for name, count in counts.items() if count >= least * len(reports) - 1e-9]
    return tuple(sorted(common, key=lambda name: (-counts[name], name))[:8])


def _most_frequent(lists: Sequence[Sequence[str]], limit: int) -> tuple[str, ...]:
    counts = Counter(name for names in lists for name in dict.fromkeys(names))
    return tuple(sorted(counts, key=lambda name: (-counts[name], name))[:limit])


def _condition(agreeing: Sequence[Report]) -> Bucket:
    """Of a group whose members differ in risk: what most answers say, the worse of equals."""
    order = (Bucket.MALIGNANT, Bucket.INDETERMINATE, Bucket.BENIGN, Bucket.NON_NEOPLASTIC)
    counts = Counter(report.condition for report in agreeing)
    return max(order, key=lambda bucket: (counts[bucket], -order.index(bucket)))


def _confidence(agreeing: Sequence[Report], share: float, policy: VotingPolicy) -> Literal["low", "moderate", "high"]:
    """The middle one of the answers' own (the lower of two), which disagreement can only lower."""
    own = sorted(CONFIDENCES.index(report.confidence) for report in agreeing)[(len(agreeing) - 1) // 2]
    most = 0 if share < policy.moderate else 1 if share < policy.high else 2
    return CONFIDENCES[min(own, most)]


def _advice(agreeing: Sequence[Report]) -> str:
    """The middle one, the more urgent of two."""
    return sorted((report.advice for report in agreeing), key=URGENCY.index)[len(agreeing) // 2]


def _nearest(node: str | None, reports: Sequence[Report], taxonomy: Taxonomy) -> int:
    """The answer that says most of the reported node: the node itself, then what is below it, by probability."""

    def fit(number: int) -> tuple[bool, bool, float, int]:
        said = reports[number].diagnosis
        below = node is not None and said is not None and node in taxonomy.path(said)
        leading = reports[number].differential[0].probability if reports[number].differential else 0.0
        return said == node, below, leading, -number

    return max(range(len(reports)), key=fit)
