"""What code adds to a report, whatever the model wrote: red flags, a least level of advice, citations that exist.

The rules read diagnoses and probabilities, never text, so that no patient's words can switch them off.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from skinr1.errors import UserError
from skinr1.report import DISCLAIMER, SCHEMA_VERSION, DifferentialEntry, Report
from skinr1.serving.envelope import RedFlag
from skinr1.taxonomy import Bucket, Taxonomy

# Advice from the least to the most urgent; the two of a report without a diagnosis are not levels.
LEVELS = ("self_care", "routine_visit", "prompt_visit", "urgent_visit")
Kind = Literal["malignant", "infectious"]


@dataclass(frozen=True)
class RuleSettings:
    """When a suspicion becomes a red flag. The thresholds are a choice, not fitted: low, because a miss costs more."""

    malignant: float = field(default=0.1, metadata={"help": "Least probability, added up over malignant diagnoses."})
    infectious: float = field(default=0.3, metadata={"help": "Least probability, added up over contagious ones."})
    urgent: float = field(default=0.5, metadata={"help": "Malignant probability from which a visit is urgent."})

    def __post_init__(self) -> None:
        if not 0 < self.malignant <= self.urgent <= 1 or not 0 < self.infectious <= 1:
            raise UserError(
                "red-flag thresholds do not fit",
                f"{self}",
                "Give 0 < malignant <= urgent <= 1 and infectious likewise.",
            )


def suspicions(report: Report) -> dict[str, float]:
    """Node -> probability of all that a report names; its diagnosis counts fully where the differential lacks it."""
    named = {entry.diagnosis: 0.0 for entry in report.differential}
    for entry in report.differential:
        named[entry.diagnosis] += entry.probability
    if report.diagnosis is not None:
        named.setdefault(report.diagnosis, 1.0)
    return named


def red_flags(named: Mapping[str, float], taxonomy: Taxonomy, settings: RuleSettings) -> tuple[RedFlag, ...]:
    """Every suspected malignant or contagious node, once their probabilities together reach the threshold.

    A group of which only some members are malignant or contagious counts in full: it does not rule them out.

    Args:
        named: node -> probability, as :func:`suspicions` gives it.
    """
    flags: list[RedFlag] = []
    for kind in get_args(Kind):
        found = {node: mass for node, mass in named.items() if suspect(node, kind, taxonomy)}
        if found and sum(found.values()) >= getattr(settings, kind) - 1e-9:
            ranked = sorted(found, key=lambda node: (-found[node], node))
            flags += [
                RedFlag(diagnosis=node, kind=kind, probability=round(found[node], 4), text=_words(node, kind, taxonomy))
                for node in ranked
            ]
    return tuple(flags)


def suspect(node: str, kind: Kind, taxonomy: Taxonomy) -> bool:
    """Whether a node, or one below it where it is a group, is malignant or contagious."""
    family = taxonomy.below(node)
    if kind == "malignant":
        return any(taxonomy.bucket(one) is Bucket.MALIGNANT for one in family)
    return any(taxonomy.node(one).contagious for one in family)


def _words(node: str, kind: Kind, taxonomy: Taxonomy) -> str:
    name = taxonomy.node(node).name
    if kind == "malignant":
        return f"{name}: malignancy is not excluded; have it examined by a dermatologist"
    return f"{name}: may pass to other people; avoid contact of the skin until it has been examined"


def least_advice(flags: Sequence[RedFlag], settings: RuleSettings) -> str:
    """The least urgent advice that the flags allow."""
    malignant = sum(flag.probability for flag in flags if flag.kind == "malignant")
    if malignant >= settings.urgent - 1e-9:
        return "urgent_visit"
    if malignant:
        return "prompt_visit"
    return "routine_visit" if flags else "self_care"


def with_advice(report: Report, flags: Sequence[RedFlag], settings: RuleSettings) -> Report:
    """The report with its advice raised to what the flags demand, never lowered; one that declines stays as it is."""
    least = least_advice(flags, settings)
    if report.diagnosis is None or LEVELS.index(report.advice) >= LEVELS.index(least):
        return report
    return report.model_copy(update={"advice": least})


def with_citations(report: Report, passages: Collection[str]) -> tuple[Report, tuple[str, ...]]:
    """The report with the citations that name a passage, and those that were removed."""
    kept = tuple(name for name in report.citations if name in passages)
    removed = tuple(name for name in report.citations if name not in passages)
    return report.model_copy(update={"citations": kept}), removed


def declined(advice: Literal["new_image", "none"] = "new_image", findings: tuple[str, ...] = ()) -> Report:
    """A report without a diagnosis, written by code: what a refused or an undecided case gets."""
    content: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "findings": findings, "advice": advice}
    nothing: tuple[DifferentialEntry, ...] = ()
    return Report(
        **content,
        diagnosis=None,
        condition=None,
        differential=nothing,
        confidence="low",
        citations=(),
        disclaimer=DISCLAIMER,
    )
