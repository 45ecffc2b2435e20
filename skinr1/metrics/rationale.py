"""The reasoning against the case's annotations and the textbook, by the deterministic checker.

The reader of :mod:`skinr1.trajectories.free_text` errs towards refusing: what it cannot read is not grounded.
An invalid answer counts as one sentence that is not grounded, contradicts, and lacks its citation.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge
from skinr1.metrics.catalogue import Counted, Metric, Seen
from skinr1.metrics.outcomes import Outcome
from skinr1.metrics.statistics import Array
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.free_text import check_text
from skinr1.trajectories.reading import sentences

CONTRADICTS = frozenset(
    {
        "annotated as present",
        "annotated as absent",
        "denies the diagnosis of this case",
        "is not the diagnosis of this case",
    }
)
UNSUPPORTED = frozenset(
    {
        "passage does not exist",
        "passage does not say so",
        "passage is cited for nothing",
        "passage is not about it",
        "no passage makes it count for",
        "no passage makes it count against",
        "diagnosis without a passage",
    }
)


@dataclass(frozen=True)
class Reading:
    """Counts of one answer's reasoning.

    Attributes:
        sentences, grounded, contradicting: sentences; those without a fault; those against annotation or label.
        citations, good: passages cited, sentence by sentence; those in a sentence whose citations hold.
        needing, supported: sentences that speak of a diagnosis or a passage; those of them whose citations hold.
    """

    sentences: int = 1
    grounded: int = 0
    contradicting: int = 1
    citations: int = 1
    good: int = 0
    needing: int = 1
    supported: int = 0
    faults: tuple[str, ...] = ("invalid answer",)


def read(outcome: Outcome, case: Case, knowledge: Knowledge, taxonomy: Taxonomy) -> Reading:
    """The counts of one answer."""
    if outcome.answer is None:
        return Reading()
    text = outcome.answer.thinking
    reasons: dict[int, set[str]] = {}
    for fault in check_text(text, case, knowledge, taxonomy):
        reasons.setdefault(fault.start, set()).add(fault.reason)
    found = sentences(text, taxonomy)
    cited = {s.start: sum(len(clause.passages) for clause in s.clauses) for s in found}
    holds = {s.start: not reasons.get(s.start, set()) & UNSUPPORTED for s in found}
    needing = [s.start for s in found if s.type != "observation"]
    return Reading(
        sentences=len(found),
        grounded=sum(s.start not in reasons for s in found),
        contradicting=sum(bool(reasons.get(s.start, set()) & CONTRADICTS) for s in found),
        citations=sum(cited.values()),
        good=sum(number for start, number in cited.items() if holds[start]),
        needing=len(needing),
        supported=sum(holds[start] for start in needing),
        faults=tuple(sorted(reason for of in reasons.values() for reason in of)),
    )


def readings(
    outcomes: Iterable[Outcome], cases: Mapping[str, Case], knowledge: Knowledge, taxonomy: Taxonomy
) -> dict[str, Reading]:
    """Case id -> counts. Raises UserError when an answered case is not among the cases."""
    found = {}
    for outcome in outcomes:
        case = cases.get(outcome.case_id)
        if case is None:
            raise UserError("answered case is not among the cases", outcome.case_id, "Give the cases it was asked of.")
        found[outcome.case_id] = read(outcome, case, knowledge, taxonomy)
    return found


def metrics(found: Mapping[str, Reading]) -> tuple[Metric, ...]:
    """Rates over all sentences or citations of a run, whose cases are those of ``found``."""
    parts = (
        ("grounded_sentence_rate", "grounded", "sentences", True),
        ("citation_precision", "good", "citations", True),
        ("citation_recall", "supported", "needing", True),
        ("contradiction_rate", "contradicting", "sentences", False),
    )
    return tuple(
        Metric(name, partial(_counted, found, top, bottom), higher=higher) for name, top, bottom, higher in parts
    )


def _counted(found: Mapping[str, Reading], top: str, bottom: str, seen: Seen) -> Counted:
    rows: Array = np.array(
        [(getattr(found[case], top), getattr(found[case], bottom)) for case in seen.columns.case_id.tolist()],
        dtype=np.float64,
    )
    return Counted(rows, rows[:, 1] > 0)


def faults(found: Mapping[str, Reading]) -> dict[str, int]:
    """Reason -> how many sentences have it."""
    counts = Counter(reason for reading in found.values() for reason in reading.faults)
    return dict(sorted(counts.items()))
