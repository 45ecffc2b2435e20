"""Cases without their pictures, or with those of another patient. What is written about the patient stays."""

import hashlib
from collections.abc import Sequence

from skinr1.cases import Case
from skinr1.errors import UserError


def without_images(cases: Sequence[Case]) -> list[Case]:
    """The cases as a model is asked about them when it is shown nothing. They are no cases to store: those have one."""
    return [case.model_copy(update={"images": ()}) for case in cases]


def exchanged(cases: Sequence[Case], seed: int) -> list[Case]:
    """The cases in their order, each with all pictures of another one; nobody keeps a picture of the same patient.

    Every case's pictures are given to exactly one other, so that diagnoses are as frequent among them as before.
    Patients are put in an order that seed and ids decide, and pictures move on by as many cases as the largest patient
    has: within a patient two cases are nearer than that, and round the end they are not if no patient has more than
    half of the cases.

    Raises:
        UserError: one patient has more than half of the cases, so that no such exchange exists.
    """
    sizes: dict[str, int] = {}
    for case in cases:
        sizes[case.group] = sizes.get(case.group, 0) + 1
    step = max(sizes.values(), default=0)
    if 2 * step > len(cases):
        patient = max(sizes, key=lambda group: sizes[group])
        advice = "Ask about more patients."
        raise UserError("one patient has more than half of the cases: images cannot be exchanged", patient, advice)

    def place(number: int) -> tuple[bytes, bytes]:
        case = cases[number]
        return _digest(seed, "patient", case.group), _digest(seed, "case", case.case_id)

    order = sorted(range(len(cases)), key=place)
    given = {one: order[(at + step) % len(order)] for at, one in enumerate(order)}
    return [case.model_copy(update={"images": cases[given[at]].images}) for at, case in enumerate(cases)]


def _digest(seed: int, kind: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\t{kind}\t{name}".encode()).digest()
