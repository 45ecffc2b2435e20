"""What the vision tower knows: a linear probe for the diagnosis, and whether it knows the source better than that."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skinr1.cases import Case
from skinr1.controls import centres
from skinr1.controls.subject import Subject
from skinr1.errors import UserError
from skinr1.interpret.command import finished, scorer_of, weights
from skinr1.interpret.probe import probe
from skinr1.interpret.study import Study
from skinr1.metrics import columns_of, read_outcomes
from skinr1.metrics.agreement import cohen_kappa, confusion
from skinr1.metrics.catalogue import Counted, Metric, Seen
from skinr1.metrics.estimate import estimates
from skinr1.metrics.statistics import Array, one_hot
from skinr1.progress import Watch
from skinr1.stage import config_hash, file_hash, write_atomic
from skinr1.taxonomy import Taxonomy

VISION = "vision.json"
LEVEL = 2  # of the tree: what counts as one diagnosis group
# What says where a picture comes from. Data sets differ in clinic and camera, modalities in the instrument.
CENTRES: dict[str, Callable[[Case], str | None]] = {
    "source": lambda case: case.source,
    "modality": lambda case: case.modality,
}


@dataclass(frozen=True)
class Tower:
    """A model's vision tower, and how much of it is looked at.

    Attributes:
        weights: model or adapter folder.
        pool: at most so many training cases, by the hash of their id.
        layer: block of the tower; from the end when negative.
    """

    weights: Path
    pool: int
    layer: int
    dtype: str

    def look(self, subject: Subject, watch: Watch) -> tuple[Seen, list[dict[str, Any]]]:
        """The probe's answers, and a row a way to tell sources apart. What was found for the same inputs is kept.

        Raises:
            UserError: no such layer, or too few training cases.
        """
        asked = self._asked(subject)
        found = finished(subject.output / VISION, asked)
        if found is None:
            train = subject.train[: self.pool]
            scorer = scorer_of(self.weights, self.dtype)
            setting = replace(subject.setting, pool=tuple(train))
            layer = scorer.check_layer(self.layer)
            study = Study(scorer, setting, subject.taxonomy, layer, subject.seed, subject.output)
            probed = study.probe(watch)
            found = {"asked": asked, "probe": probed, "centres": centre_rows(study, subject, train, watch)}
            write_atomic(subject.output / VISION, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        answers = read_outcomes(subject.output / "probe", subject.taxonomy)
        return Seen(columns_of(answers, subject.taxonomy), subject.tree), found["centres"]

    def _asked(self, subject: Subject) -> str:
        """Identity of all that the result depends on."""
        cases = [case.model_dump(mode="json") for case in (*subject.train[: self.pool], *subject.answered)]
        files = [file_hash(path) for path in weights(self.weights)]
        return config_hash([files, cases, self.layer, self.dtype, subject.seed, subject.taxonomy.hash])


def group_of(case: Case, taxonomy: Taxonomy) -> str:
    """The case's diagnosis group; empty where the label is not one diagnosis."""
    return taxonomy.path(case.diagnoses[0])[:LEVEL][-1] if len(case.diagnoses) == 1 else ""


@dataclass(frozen=True)
class Sample:
    """Embedded cases, training cases first, whose diagnosis group and source are known.

    Attributes:
        embeddings: (n, width).
        patients, groups, centres: (n,).
        answered: (answered cases,) place of each in these arrays; -1 where something is unknown.
    """

    embeddings: Array
    patients: NDArray[np.str_]
    groups: NDArray[np.str_]
    centres: NDArray[np.str_]
    answered: NDArray[np.int64]

    @classmethod
    def of(
        cls, embeddings: Array, cases: Sequence[Case], groups: Sequence[str], told: Sequence[str], first: int
    ) -> Self:
        """Leaves out cases of unknown group or source; from ``first`` on they are answered ones.

        Raises:
            UserError: fewer than two sources, or none of an answered case is known.
        """
        known = np.array([bool(group and centre) for group, centre in zip(groups, told, strict=True)])
        places = np.where(known, np.cumsum(known) - 1, -1)
        values = sorted({centre for centre, of in zip(told, known, strict=True) if of})
        if len(values) < 2:
            raise UserError("fewer than two values", ", ".join(values) or "none known", "Nothing to tell apart.")
        if not known[first:].any():
            raise UserError("no answered case of one diagnosis has a value", ", ".join(values), "Nothing to ask about.")
        patients = [case.group for case in cases]
        own, group, centre = (np.array(column, dtype=np.str_)[known] for column in (patients, groups, told))
        return cls(embeddings[known], own, group, centre, places[first:])

    @property
    def asked(self) -> NDArray[np.bool_]:
        """(answered cases,) those in the sample."""
        return self.answered >= 0

    @property
    def train(self) -> NDArray[np.int64]:
        """Places of the training cases."""
        return np.arange(len(self.embeddings) - int(self.asked.sum()))

    def neighbours(self) -> tuple[Array, Array]:
        """(answered cases, 4) as :meth:`skinr1.controls.centres.Places.kinds`; 0 outside the sample."""
        where = centres.Places(self.embeddings, self.patients, self.groups, self.centres)
        near, every = (np.zeros((len(self.answered), len(centres.KINDS))) for _ in range(2))
        near[self.asked], every[self.asked] = where.kinds(self.answered[self.asked].tolist())
        return near, every

    def read(self, labels: NDArray[np.str_], seed: int) -> tuple[NDArray[np.int64], int]:
        """What a linear classifier reads out of the embeddings, learned from the training cases.

        Returns:
            (answered cases,) code of (label, label read), -1 outside the sample, and the number of classes.

        Raises:
            UserError: too little to train on.
        """
        tested = self.answered[self.asked]
        learned, patients = labels[self.train].tolist(), self.patients[self.train].tolist()
        found = probe(self.embeddings[self.train], learned, patients, self.embeddings[tested], seed)
        classes = sorted({*found.classes, *labels[tested].tolist()})
        place = {name: at for at, name in enumerate(classes)}
        said = np.array([place[found.classes[at]] for at in found.probabilities.argmax(axis=1)])
        true = np.array([place[name] for name in labels[tested].tolist()])
        codes = np.full(len(self.answered), -1, dtype=np.int64)
        codes[self.asked] = confusion(true, said, len(classes))
        return codes, len(classes)


def centre_rows(study: Study, subject: Subject, train: Sequence[Case], watch: Watch) -> list[dict[str, Any]]:
    """One row a way to tell sources apart; ``why`` says what is missing where there is nothing to tell.

    Args:
        train: cases of other patients; the classifiers learn from them, and they are neighbours too.
    """
    seen = study.activations(train, watch, "centres: activations of training cases")
    held = study.activations(subject.answered, watch, "centres: activations of answered cases")
    embeddings, cases = np.concatenate([seen, held]), [*train, *subject.answered]
    groups = [group_of(case, subject.taxonomy) for case in cases]
    found = []
    for name, of in CENTRES.items():
        try:
            sample = Sample.of(embeddings, cases, groups, [of(case) or "" for case in cases], len(train))
            found.append({"attribute": name, **_row(sample, subject)})
        except UserError as error:
            found.append({"attribute": name, "why": f"{error.what}, {error.where}"})
    return found


def _row(sample: Sample, subject: Subject) -> dict[str, Any]:
    kappas = _kappas(sample.read(sample.centres, subject.seed), sample.read(sample.groups, subject.seed))
    metrics = [*centres.metrics(*sample.neighbours(), sample.asked), *kappas]
    numbers = estimates(metrics, subject.own, seed=subject.seed)
    return {
        "values": sorted(set(sample.centres.tolist())),
        "neighbours": centres.NEIGHBOURS,
        **{name: asdict(estimate) for name, estimate in numbers.items()},
    }


def _kappas(centre: tuple[NDArray[np.int64], int], group: tuple[NDArray[np.int64], int]) -> tuple[Metric, ...]:
    """How well both are read, beyond chance and so comparable between few and many classes, and the difference."""
    (centre_codes, centre_classes), (group_codes, group_classes) = centre, group
    edge = centre_classes**2
    shifted = np.where(group_codes < 0, -1, group_codes + edge)
    table = one_hot([centre_codes, shifted], edge + group_classes**2)

    def statistics(seen: Seen) -> Counted:
        return Counted(table, centre_codes >= 0)

    def of_centre(sums: Array) -> Array:
        return cohen_kappa(sums[..., :edge])

    def of_group(sums: Array) -> Array:
        return cohen_kappa(sums[..., edge:])

    return (
        Metric("kappa_of_centre", statistics, of_centre, bounded=False),
        Metric("kappa_of_diagnosis", statistics, of_group, bounded=False),
        Metric(
            "kappa_of_diagnosis_minus_centre",
            statistics,
            lambda sums: of_group(sums) - of_centre(sums),
            bounded=False,
        ),
    )
