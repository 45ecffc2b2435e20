"""What the vision tower knows: a linear probe for the diagnosis, and whether it knows the source better than that."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skinr1.cases import Case
from skinr1.controls import centres
from skinr1.controls.subject import Subject
from skinr1.errors import UserError
from skinr1.interpret.command import finished, scorer_of, weights
from skinr1.interpret.probe import probe
from skinr1.interpret.study import Study, Watch
from skinr1.metrics import columns_of, read_outcomes
from skinr1.metrics.agreement import cohen_kappa, confusion
from skinr1.metrics.catalogue import Counted, Metric, Seen
from skinr1.metrics.estimate import estimates
from skinr1.metrics.statistics import Array, one_hot
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


def centre_rows(study: Study, subject: Subject, train: Sequence[Case], watch: Watch) -> list[dict[str, Any]]:
    """One row a way to tell sources apart; ``why`` says what is missing where there is nothing to tell.

    Args:
        train: cases of other patients; the classifiers learn from them, and they are neighbours too.
    """
    seen = study.activations(train, watch, "centres: activations of training cases")
    held = study.activations(subject.answered, watch, "centres: activations of answered cases")
    embeddings = np.concatenate([seen, held])
    cases = [*train, *subject.answered]
    groups = np.array([group_of(case, subject.taxonomy) for case in cases], dtype=np.str_)
    found = []
    for name, of in CENTRES.items():
        told = np.array([of(case) or "" for case in cases], dtype=np.str_)
        try:
            found.append({"attribute": name, **_row(subject, embeddings, cases, groups, told)})
        except UserError as error:
            found.append({"attribute": name, "why": f"{error.what}, {error.where}"})
    return found


def _row(
    subject: Subject, embeddings: Array, cases: Sequence[Case], groups: NDArray[np.str_], told: NDArray[np.str_]
) -> dict[str, Any]:
    known = (groups != "") & (told != "")
    values = sorted(set(told[known].tolist()))
    if len(values) < 2:
        raise UserError("fewer than two values", ", ".join(values) or "none known", "Nothing to tell apart.")
    patients = np.array([case.group for case in cases], dtype=np.str_)
    first = len(cases) - len(subject.answered)  # answered cases stand behind the training cases
    kept = np.flatnonzero(known)
    places = centres.Places(embeddings[kept], patients[kept], groups[kept], told[kept])
    near, every = (np.zeros((len(subject.answered), len(centres.KINDS))) for _ in range(2))
    queries = [at for at, place in enumerate(kept) if place >= first]
    near[kept[queries] - first], every[kept[queries] - first] = places.kinds(queries)
    train, tested = kept[kept < first], kept[kept >= first]

    def codes(labels: NDArray[np.str_]) -> tuple[NDArray[np.int64], int]:
        return _read(embeddings, labels, patients, train, tested, first, subject)

    kappas = _kappas(codes(told), codes(groups))
    numbers = estimates([*centres.metrics(near, every, known[first:]), *kappas], subject.own, seed=subject.seed)
    return {
        "values": values,
        "neighbours": centres.NEIGHBOURS,
        **{name: asdict(estimate) for name, estimate in numbers.items()},
    }


def _read(
    embeddings: Array,
    labels: NDArray[np.str_],
    patients: NDArray[np.str_],
    train: NDArray[np.int64],
    tested: NDArray[np.int64],
    first: int,
    subject: Subject,
) -> tuple[NDArray[np.int64], int]:
    """(answered,) code of (label, what a linear classifier reads), -1 where unknown; and the number of classes."""
    read = probe(embeddings[train], labels[train].tolist(), patients[train].tolist(), embeddings[tested], subject.seed)
    classes = sorted({*read.classes, *labels[tested].tolist()})
    place = {name: at for at, name in enumerate(classes)}
    codes = np.full(len(subject.answered), -1, dtype=np.int64)
    said = np.array([place[read.classes[at]] for at in read.probabilities.argmax(axis=1)], dtype=np.int64)
    true = np.array([place[name] for name in labels[tested].tolist()], dtype=np.int64)
    codes[tested - first] = confusion(true, said, len(classes))
    return codes, len(classes)


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
