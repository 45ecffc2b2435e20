"""The cases of a study: those the model answered, and others, of other patients, that directions are learned from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from skinr1.cases import Case, read_cases
from skinr1.errors import UserError
from skinr1.images import load_image
from skinr1.metrics import Outcome, read_outcomes
from skinr1.taxonomy import Taxonomy


@dataclass(frozen=True)
class Setting:
    """What a study works on.

    Attributes:
        folder: image paths of cases start there.
        answered: cases with the model's answers, by id.
        pool: cases of other patients, outside the test split, by the hash of their id.
        left_out: reason -> cases that are in neither.
    """

    folder: Path
    answered: tuple[tuple[Case, Outcome], ...]
    pool: tuple[Case, ...]
    left_out: dict[str, int]

    def pictures(self, case: Case) -> list[Image.Image]:
        """All pictures of a case, upright."""
        return [load_image(self.folder / name) for name in case.images]


def read_setting(cases: Path, predictions: Path, taxonomy: Taxonomy, pool: int | None = None) -> Setting:
    """Reads both folders.

    Args:
        pool: at most so many cases of other patients; all by default.

    Raises:
        UserError: a folder is unfinished, or an answered case is not among the cases.
    """
    outcomes = {outcome.case_id: outcome for outcome in read_outcomes(predictions, taxonomy)}
    everything = {case.case_id: case for case in read_cases(cases)}
    lost = sorted(outcomes.keys() - everything.keys())
    if lost:
        raise UserError(f"{len(lost)} answered case(s) are not here", f"{cases}: {lost[0]}", "Give their cases folder.")
    patients = {everything[case_id].group for case_id in outcomes}
    others = [case for case in everything.values() if case.case_id not in outcomes]
    free = [case for case in others if case.group not in patients and case.split != "test"]
    free.sort(key=lambda case: hashlib.sha256(case.case_id.encode()).hexdigest())
    return Setting(
        folder=cases,
        answered=tuple((everything[case_id], outcomes[case_id]) for case_id in sorted(outcomes)),
        pool=tuple(free[:pool]),
        left_out={
            "left out: test split, or a patient of the answered": len(others) - len(free),
            "left out: beyond --pool": len(free) - len(free[:pool]),
        },
    )


def one_node(cases: Sequence[Case]) -> list[Case]:
    """Cases whose label is one diagnosis."""
    return [case for case in cases if len(case.diagnoses) == 1]
