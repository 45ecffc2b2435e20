"""What code decides about a report, whatever the model's words: red flags, the least urgent advice, real citations.

Pure functions of the report and the tree. Neither the image nor the patient's text reaches them.
"""

import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from skinr1.errors import UserError
from skinr1.report import Report
from skinr1.serving.envelope import RedFlag
from skinr1.taxonomy import Bucket, Taxonomy
from skinr1.urgency import EMERGENCIES, listed

Kind = Literal["malignant", "infectious", "emergency"]
URGENCY: Final = ("self_care", "routine_visit", "prompt_visit", "urgent_visit")


@dataclass(frozen=True)
class RedFlagPolicy:
    """When a suspicion is flagged, and the least urgent advice then. Probabilities are the model's own, 0 to 1.

    A kind is flagged when its nodes in the differential together reach the threshold: several small rivals of one
    kind are as alarming as a large one. The leading diagnosis is flagged whatever its probability.
    None of these numbers is fitted: see docs/report_safety.md for what they cost on rendered cases.

    Attributes:
        infectious_groups: groups whose members are infections, contagious or not.
        emergencies: nodes (with all below them) that are life-threatening within days.
        infectious_advice: of an infection that does not pass from person to person.

    Raises:
        UserError: a threshold is outside 0..1 or an advice level is unknown.
    """

    malignant: float = 0.05
    infectious: float = 0.10
    emergency: float = 0.02
    malignant_advice: str = "prompt_visit"
    contagious_advice: str = "prompt_visit"
    infectious_advice: str = "routine_visit"
    emergency_advice: str = "urgent_visit"
    infectious_groups: tuple[str, ...] = ("infectious",)
    emergencies: tuple[str, ...] = EMERGENCIES

    def __post_init__(self) -> None:
        for kind in get_args(Kind):
            if not 0 <= self.threshold(kind) <= 1:
                raise UserError(
                    f"threshold of {kind} red flags is outside 0..1", str(self.threshold(kind)), "Correct it."
                )
        for level in (self.malignant_advice, self.contagious_advice, self.infectious_advice, self.emergency_advice):
            if level not in URGENCY:
                raise UserError("no such advice level", level, f"Use one of {', '.join(URGENCY)}.")

    def threshold(self, kind: Kind) -> float:
        return {"malignant": self.malignant, "infectious": self.infectious, "emergency": self.emergency}[kind]


@dataclass(frozen=True)
class Suspicion:
    """One node of a report that is of a kind, with the model's probability for it and the least advice."""

    diagnosis: str
    kind: Kind
    probability: float
    advice: str
    why: str


def apply_rules(
    report: Report, taxonomy: Taxonomy, policy: RedFlagPolicy | None = None, samples: Sequence[Report] = ()
) -> tuple[Report, tuple[RedFlag, ...]]:
    """The report with its advice raised where need be, and its red flags, the most urgent first.

    Advice is only ever raised. That the list is empty does not say that there is no danger: only that the model named
    none. A report that declines keeps its advice, as its schema has no other; the flags of its samples say theirs.

    Args:
        samples: the answers that the report was voted from. What some of them suspect is flagged by its mean
            probability, although the vote went against it or to none.

    Raises:
        UserError: the report names a node that is not in the tree.
    """
    policy = policy or RedFlagPolicy()
    found = sorted(
        suspicions(report, taxonomy, policy, samples), key=lambda s: (-URGENCY.index(s.advice), -s.probability)
    )
    flags = tuple(
        RedFlag(diagnosis=s.diagnosis, kind=s.kind, probability=round(s.probability, 2), text=_text(s, taxonomy))
        for s in found
    )
    if not found or report.diagnosis is None:
        return report, flags
    least = max((report.advice, *(s.advice for s in found)), key=URGENCY.index)
    return report.model_copy(update={"advice": least}), flags


def suspicions(
    report: Report, taxonomy: Taxonomy, policy: RedFlagPolicy, samples: Sequence[Report] = ()
) -> list[Suspicion]:
    """Every node of the report, or of its samples, that is flagged, kind by kind."""
    every = list(_named(report, samples, taxonomy, policy))
    flagged = []
    for kind in get_args(Kind):
        named = [s for s in every if s.kind == kind]
        together = round(sum(s.probability for s in named), 6)
        leading = any(s.diagnosis == report.diagnosis for s in named)
        if named and (leading or together >= policy.threshold(kind)):
            flagged += named
    return flagged


def _named(report: Report, samples: Sequence[Report], taxonomy: Taxonomy, policy: RedFlagPolicy) -> Iterator[Suspicion]:
    """Each node once under each kind it is of, with the mean of what the samples (or the report alone) give it."""
    nodes = dict.fromkeys(node for one in (report, *samples) for node in one.nodes())
    heard = samples or (report,)
    for node in nodes:
        given = (entry.probability for one in heard for entry in one.differential if entry.diagnosis == node)
        probability = round(min(1.0, math.fsum(given) / len(heard)), 4)
        own_words = any(one.condition is Bucket.MALIGNANT and one.diagnosis == node for one in (report, *samples))
        for kind, advice, why in _kinds(node, taxonomy, policy, own_words):
            yield Suspicion(node, kind, probability, advice, why)


def _kinds(
    node: str, taxonomy: Taxonomy, policy: RedFlagPolicy, called_malignant: bool
) -> Iterator[tuple[Kind, str, str]]:
    """Kinds of a node, each with the least advice and the reason in words."""
    if listed(node, policy.emergencies):
        yield "emergency", policy.emergency_advice, "can become life-threatening within days"
    if taxonomy.bucket(node) is Bucket.MALIGNANT:
        yield "malignant", policy.malignant_advice, "is malignant"
    elif taxonomy.bucket(node) is None and _holds_malignant(node, taxonomy):
        yield "malignant", policy.malignant_advice, "does not rule out a malignant neoplasm"
    elif called_malignant:
        yield "malignant", policy.malignant_advice, "is not malignant, but the model called the condition malignant"
    if taxonomy.node(node).contagious:
        yield "infectious", policy.contagious_advice, "can pass from person to person"
    elif listed(node, policy.infectious_groups):
        yield "infectious", policy.infectious_advice, "is an infection"


def _holds_malignant(node: str, taxonomy: Taxonomy) -> bool:
    return any(taxonomy.bucket(below) is Bucket.MALIGNANT for below in taxonomy.below(node))


def _text(suspicion: Suspicion, taxonomy: Taxonomy) -> str:
    """One sentence for people; its words come from the tree and from here, never from the model."""
    name = taxonomy.node(suspicion.diagnosis).name
    return f"{name[:1].upper()}{name[1:]} {suspicion.why}. Least advice by rule: {suspicion.advice.replace('_', ' ')}."


def resolve_citations(report: Report, passages: Container[str]) -> tuple[Report, tuple[str, ...]]:
    """The report with only those citations that a passage bears, each once, and the ids that were removed.

    Args:
        passages: ids of the knowledge folder's passages.
    """
    cited = tuple(dict.fromkeys(report.citations))
    removed = tuple(name for name in cited if name not in passages)
    kept = tuple(name for name in cited if name in passages)
    return report.model_copy(update={"citations": kept}), removed
