"""What a run of a task is scored by beside its columns, and which of the numbers are of what was asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinr1.cases import Case, read_cases
from skinr1.errors import UserError
from skinr1.knowledge import EDGES, PASSAGES, RULES, Knowledge
from skinr1.metrics import forms, rationale
from skinr1.metrics.catalogue import Metric
from skinr1.metrics.columns import Columns
from skinr1.metrics.outcomes import Outcome, read_outcomes
from skinr1.metrics.reading import columns_of
from skinr1.scale import case_files
from skinr1.stage import read_manifest
from skinr1.taxonomy import Taxonomy


@dataclass(frozen=True)
class Against:
    """What the reasoning of answers is checked against: cases by id, and the textbook; both come from ``files``."""

    cases: Mapping[str, Case]
    knowledge: Knowledge
    files: tuple[Path, ...]

    @classmethod
    def of(cls, cases: Path | None, knowledge: Path | None) -> "Against | None":
        """None unless both are given. Raises UserError when only one is."""
        if cases is None and knowledge is None:
            return None
        if cases is None or knowledge is None:
            raise UserError("reasoning is checked against cases and knowledge", "--cases, --knowledge", "Give both.")
        by_id = {case.case_id: case for case in read_cases(cases)}
        tables = (knowledge / name for name in (PASSAGES, RULES, EDGES))
        return cls(by_id, Knowledge.load(knowledge), (*case_files(cases), *tables))

    def readings(self, outcomes: Sequence[Outcome], taxonomy: Taxonomy) -> dict[str, rationale.Reading]:
        """What the checker makes of each answer. Raises UserError when an answered case is not among the cases."""
        return rationale.readings(outcomes, self.cases, self.knowledge, taxonomy)


def form_metrics(
    manifest: Mapping[str, Any], outcomes: Sequence[Outcome], taxonomy: Taxonomy, against: Against | None
) -> tuple[Metric, ...]:
    """The metrics of the answers' own form; ``manifest`` is that of the run's predictions."""
    return forms.metrics(outcomes, taxonomy, _rivals(manifest, taxonomy, against))


def _rivals(manifest: Mapping[str, Any], taxonomy: Taxonomy, against: Against | None) -> Mapping[str, set[str]] | None:
    """The differential graph that a task drew its options from; None where it drew from none, or it is not given."""
    if (manifest["config"]["task"]["options"] or {}).get("kind") != "rivals":
        return None
    if EDGES not in (one["name"] for one in manifest["inputs"]):
        return Knowledge.primer(taxonomy).rivals()
    return against.knowledge.rivals() if against else None


def of_task(task: Mapping[str, Any], found: Mapping[str, Any], unknown: Mapping[str, Any]) -> dict[str, Any]:
    """The ``task`` part of the scores: which of the numbers say something about what was asked, and which it lacks.

    Args:
        task: of the manifest.
        found: metric -> estimate.
        unknown: names that nobody knows, see :func:`skinr1.metrics.forms.unknown`.
    """
    return {
        "name": task["name"],
        "version": task["version"],
        "about": task["about"],
        "metrics": [name for name in task["metrics"] if name in found],
        "not_computed": [name for name in task["metrics"] if name not in found],
        "unknown_names": unknown,
    }


@dataclass(frozen=True)
class TaskRuns:
    """Runs of one task beside one another.

    Attributes:
        asked: the task, as the manifests have it.
        columns: run -> its answers as columns.
        further: run -> metrics of its own answers, beside the catalogue.
        unknown: run -> names that nobody knows, see :func:`skinr1.metrics.forms.unknown`.
    """

    asked: Mapping[str, Any]
    columns: Mapping[str, Columns]
    further: Mapping[str, Sequence[Metric]]
    unknown: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, folders: Mapping[str, Path], taxonomy: Taxonomy, against: Against | None) -> "TaskRuns | None":
        """Of predictions folders of one task, or of none: then None.

        Raises:
            UserError: a folder is not finished, or shows other options in a case than the first one.
        """
        manifests = {name: read_manifest(folder) for name, folder in folders.items()}
        asked = next(iter(manifests.values()))["config"].get("task")
        if asked is None:
            return None
        first: Sequence[Outcome] = ()
        read, further, unknown = {}, {}, {}
        for name, folder in folders.items():
            outcomes = read_outcomes(folder, taxonomy)
            first = first or outcomes
            _check_same_options(first, outcomes, name)
            read[name] = columns_of(outcomes, taxonomy)
            checked = rationale.metrics(against.readings(outcomes, taxonomy)) if against else ()
            further[name] = (*checked, *form_metrics(manifests[name], outcomes, taxonomy, against))
            unknown[name] = forms.unknown(outcomes, taxonomy)
        return cls(asked, read, further, unknown)


def _check_same_options(first: Sequence[Outcome], other: Sequence[Outcome], name: str) -> None:
    shown = {outcome.case_id: outcome.row.options for outcome in first}
    for outcome in other:
        if outcome.row.options != shown.get(outcome.case_id, outcome.row.options):
            where = f"run {name}, case {outcome.case_id}"
            raise UserError("runs were shown different options", where, "Predict all from the same cases and seed.")
