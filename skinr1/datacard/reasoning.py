"""What a card says besides of a trajectories stage: kinds, diagnoses, citations, and what was taken up in vain."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skinr1.cases import Case
from skinr1.datacard.gaps import Gap, Subject
from skinr1.datacard.tally import UNLABELLED, Tally
from skinr1.errors import UserError
from skinr1.neighbours import TRAINING_FILES
from skinr1.report import CLOSE
from skinr1.stage import REJECTED, read_jsonl
from skinr1.trajectories.steps import CITATION

EXPECTED = tuple(name.removesuffix(".jsonl") for name in TRAINING_FILES)  # nothing is made of cases of test


@dataclass
class Reasoning:
    """Counters over trajectories.

    Attributes:
        kinds: (kind, split) -> trajectories.
        labels: (label, kind) -> trajectories.
        cited: passage -> trajectories that cite it.
        in_vain: label -> cases of which no trajectory was left.
    """

    kinds: Counter[tuple[str, ...]] = field(default_factory=Counter)
    labels: Counter[tuple[str, ...]] = field(default_factory=Counter)
    cited: Counter[str] = field(default_factory=Counter)
    in_vain: Counter[str] = field(default_factory=Counter)

    def row(self, subject: Subject) -> dict[str, Any]:
        """Plain data for the card; diagnoses by their names."""
        kinds = sorted({kind for kind, _ in self.kinds})
        labels = sorted({label for label, _ in self.labels})
        return {
            "total": self.kinds.total(),
            "kinds": {kind: {s: n for (own, s), n in sorted(self.kinds.items()) if own == kind} for kind in kinds},
            "diagnoses": {
                _name(subject, label): {kind: self.labels[label, kind] for kind in kinds} for label in labels
            },
            "cited": dict(sorted(self.cited.items(), key=lambda item: (-item[1], item[0]))),
        }

    def gaps(self, subject: Subject) -> list[Gap]:
        """Diagnoses of which the stage made nothing, then cases."""
        made = {label for label, _ in self.labels}
        lost = sorted(label for label in self.in_vain if label not in made)
        found = []
        if lost:
            names = tuple(f"{_name(subject, label)} ({self.in_vain[label]})" for label in lost)
            verb = "diagnosis has" if len(lost) == 1 else "diagnoses have"
            found.append(Gap("no trajectory", f"{len(lost)} {verb} cases, but no trajectory.", names))
        if self.in_vain:
            total = self.in_vain.total()
            text = f"Of {total} case{'' if total == 1 else 's'} that the stage took up no trajectory was left."
            found.append(Gap("cases without trajectory", text))
        return found


def read_reasoning(folder: Path, cases: Iterable[Case]) -> tuple[Tally, Reasoning]:
    """Counts of the cases that have a trajectory, and of the trajectories.

    Raises:
        UserError: a file is missing or a row is no trajectory.
    """
    kinds: dict[str, list[str]] = {}
    made, tally = Reasoning(), Tally()
    for name in TRAINING_FILES:
        for row in read_jsonl(folder / name):
            try:
                thinking = row["completion"][0]["content"][0]["text"].partition(CLOSE)[0]
                kinds.setdefault(row["case_id"], []).append(row["kind"])
            except (KeyError, IndexError, TypeError, AttributeError):
                raise UserError("not a row of trajectories", str(folder / name), "Run that stage again.") from None
            made.kinds[row["kind"], name.removesuffix(".jsonl")] += 1
            made.cited.update(set(CITATION.findall(thinking)))
    refused = {row.get("case_id") for row in read_jsonl(folder / REJECTED)}
    for case in cases:
        label = " | ".join(case.diagnoses) or UNLABELLED
        if case.case_id in kinds:
            tally.add(case)
            made.labels.update((label, kind) for kind in kinds[case.case_id])
        elif case.case_id in refused:
            made.in_vain[label] += 1
    return tally, made


def _name(subject: Subject, label: str) -> str:
    return label if label == UNLABELLED else subject.name(label)
