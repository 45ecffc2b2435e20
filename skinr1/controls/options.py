"""Does the order of the options matter? The same choice questions, each with its options turned on by one place at a
time, so that every option stands in every place once.

Options are drawn by :mod:`skinr1.questions.choices`: over a block each of them is the truth once, so nothing but the
picture tells which. A model that looks gives the same answer whatever the order.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from skinr1 import prompts
from skinr1.cases import Case
from skinr1.controls.asked import Round
from skinr1.controls.subject import Subject
from skinr1.metrics.catalogue import Metric, mean
from skinr1.metrics.estimate import estimates, number
from skinr1.questions.choices import Label, Options, option_name, option_sets
from skinr1.serving.client import Completion
from skinr1.taxonomy import Taxonomy

SIZE = 4
NAME = "option order"


@dataclass(frozen=True)
class Choices:
    """Choice questions on some of the answered cases.

    Attributes:
        cases: those that found a place in a block, by id.
        options: case id -> the options as first listed.
        asked_openly: how many of the chosen cases found none.
    """

    cases: tuple[Case, ...]
    options: Mapping[str, Options]
    asked_openly: int
    taxonomy: Taxonomy

    @classmethod
    def of(cls, answered: Sequence[Case], most: int, seed: int, taxonomy: Taxonomy) -> "Choices":
        """Questions on at most so many cases, by the hash of their id; none where too few labels exclude each other."""
        by_hash = sorted(answered, key=lambda case: hashlib.sha256(case.case_id.encode()).hexdigest())[:most]
        labels = {case.case_id: Label(case.diagnoses, tuple(node for node, _ in case.differential)) for case in by_hash}
        found = option_sets(labels, taxonomy, SIZE, seed) if labels else {}
        cases = tuple(sorted((case for case in by_hash if case.case_id in found), key=lambda case: case.case_id))
        return cls(cases, found, len(by_hash) - len(cases), taxonomy)

    def listed(self, case: Case, turn: int) -> Options:
        """The options of a case, turned on by some places."""
        options = self.options[case.case_id]
        return options[turn:] + options[:turn]

    def rounds(self) -> dict[str, Round]:
        """One a turn; empty without a question."""
        turns = range(SIZE if self.cases else 0)
        return {f"{NAME} {turn + 1}": Round(self.cases, partial(self._question, turn)) for turn in turns}

    def _question(self, turn: int, case: Case) -> str:
        names = [option_name(nodes, self.taxonomy) for nodes in self.listed(case, turn)]
        return prompts.choice_question(case, names)

    def place(self, case: Case, turn: int, said: str | None) -> int:
        """Where the option that was named stands; -1 for none. A subtype of an option names it."""
        path = set(self.taxonomy.path(said)) if said else set()
        return next((at for at, nodes in enumerate(self.listed(case, turn)) if path & set(nodes)), -1)


def result(choices: Choices, subject: Subject, answers: Mapping[str, Mapping[str, Completion]]) -> dict[str, Any]:
    """The ``options`` part of ``controls.json``, from the answers to every round."""
    note = "choice questions with the options in another order: a negative control"
    seen = [subject.keep(name, found, note, choices.cases) for name, found in answers.items()]
    said = np.stack([turn.columns.said for turn in seen], axis=1)
    ids = subject.tree.ids
    places = np.array(
        [
            [choices.place(case, turn, ids[node] if node >= 0 else None) for turn, node in enumerate(row)]
            for case, row in zip(choices.cases, said.tolist(), strict=True)
        ]
    )
    true = np.array([choices.options[case.case_id].index(case.diagnoses) for case in choices.cases])
    right = by_place(np.stack([turn.right for turn in seen], axis=1), true)
    numbers = estimates(metrics(places, right), seen[0], seed=subject.seed)
    return {
        "size": SIZE,
        "cases": len(choices.cases),
        "without_options": choices.asked_openly,
        "p_place": number(cochran_q(right)[1]),
        **{name: asdict(estimate) for name, estimate in numbers.items()},
    }


def by_place(right: NDArray[np.bool_], true: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(cases, turns) -> (cases, places): whether the answer is right when the truth stands in that place.

    Args:
        true: (cases,) place of the truth before any turn. A turn moves it up by one.
    """
    size = right.shape[1]
    turns = (true[:, None] - np.arange(size)[None, :]) % size
    return np.take_along_axis(right, turns, axis=1)


def metrics(places: NDArray[np.int64], right: NDArray[np.bool_]) -> list[Metric]:
    """Right over all orders; the same option in every order; and by place, how often named and how often right.

    Args:
        places: (cases, turns) place of the option named, -1 for none.
        right: (cases, places) as :func:`by_place`.
    """
    size = right.shape[1]
    original = np.where(places < 0, -1, (places + np.arange(size)) % size)  # which option, whatever its place
    stays = (original == original[:, :1]).all(axis=1) & (original[:, 0] >= 0)

    def of(name: str, values: Any) -> Metric:
        return mean(name, lambda seen: np.asarray(values, dtype=np.float64))

    return [
        of("top1", right.mean(axis=1)),
        of("same_in_every_order", stays),
        of("none_named", (places < 0).mean(axis=1)),
        *(of(f"named_in_place_{at + 1}", (places == at).mean(axis=1)) for at in range(size)),
        *(of(f"right_in_place_{at + 1}", right[:, at]) for at in range(size)),
    ]


def cochran_q(right: NDArray[np.bool_]) -> tuple[float, float]:
    """Cochran's Q (1950) over the columns of a (cases, k) table, and its p from chi-squared with k - 1 degrees.

    The question is whether a case is right as often in each column. Cases are taken for independent. A table in which
    no case changes has Q 0 and p 1.
    """
    k = right.shape[1]
    columns, rows = right.sum(axis=0).astype(float), right.sum(axis=1).astype(float)
    spread = float((rows * (k - rows)).sum())
    if spread == 0:
        return 0.0, 1.0
    q = (k - 1) * k * float(((columns - columns.mean()) ** 2).sum()) / spread
    return q, float(chi2.sf(q, k - 1))
