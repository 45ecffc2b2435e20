"""Cases as a benchmark for other people's harnesses: lmms-eval, PanDerm's CSV, multiple choice as in DermoBench.

A label that denotes several nodes is one class, named after all of them. Pictures are copied, named by content.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from skinr1 import prompts
from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.export.reading import Pictures
from skinr1.predictions import prediction_row
from skinr1.questions.choices import Label, option_name, option_sets
from skinr1.serving.client import Completion
from skinr1.stage import canonical_json, write_atomic, write_jsonl
from skinr1.taxonomy import Taxonomy

LETTERS = "ABCDEFGH"
SPLITS = {"train": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Source:
    """Labelled cases, in order of id, and where their pictures lie."""

    folder: Path
    cases: Sequence[Case]
    taxonomy: Taxonomy

    def name(self, case: Case) -> str:
        """The label in words."""
        return option_name(case.diagnoses, self.taxonomy)

    def pictures(self, output: Path) -> Callable[[str], str]:
        """A function that copies a picture below the output and returns its path there."""
        copies = Pictures(output)

        def copied(name: str) -> str:
            if not (self.folder / name).is_file():
                raise UserError("image does not exist", str(self.folder / name), "Rebuild the cases.")
            return copies.name(self.folder / name)

        return copied


def write_lmms_eval(source: Source, output: Path) -> dict[str, int]:
    """A task ``skinr1_report``: YAML, ``utils.py`` (which reads answers with our parser) and ``test.jsonl``.

    Only the test split: a harness for evaluation has no use for the others.
    """
    tested = [case for case in source.cases if case.split == "test"]
    copied = source.pictures(output)
    rows = []
    for case in tested:
        row = prediction_row(case, Completion("", ""), source.taxonomy)
        images = [copied(name) for name in case.images]
        more = {
            "question": prompts.question(case),
            "system": prompts.SYSTEM,
            "images": images,
            "label_name": source.name(case),
        }
        # one column for all: the loader of JSON lines wants one type a column, and nulls everywhere are none
        rows.append(
            {"case_id": case.case_id, "images": images, "row": canonical_json({**row, "image": images[0]}), **more}
        )
    write_jsonl(output / "test.jsonl", rows)
    templates = files("skinr1.export").joinpath("lmms_eval")
    for name in ("skinr1_report.yaml", "utils.py"):
        write_atomic(output / name, templates.joinpath(name).read_text(encoding="utf-8"))
    return {"test": len(rows)}


def write_panderm(source: Source, output: Path) -> dict[str, int]:
    """``labels.csv`` with ``image,label,split`` (a row an image), ``binary_label`` for malignancy, and ``classes.csv``.

    Labels are numbers in the order of ``classes.csv``. A case whose nodes differ in risk has an empty ``binary_label``.
    """
    names = sorted({source.name(case) for case in source.cases})
    numbers = {name: number for number, name in enumerate(names)}
    copied, rows = source.pictures(output), []
    for case in source.cases:
        buckets = {source.taxonomy.bucket(node) for node in case.diagnoses}
        risk = str(int(buckets == {"malignant"})) if len(buckets) == 1 else ""
        split = SPLITS.get(case.split or "", "test")
        rows += [
            [copied(name), numbers[source.name(case)], risk, split, case.group, case.case_id] for name in case.images
        ]
    _write_csv(output / "labels.csv", ["image", "label", "binary_label", "split", "group", "case_id"], rows)
    _write_csv(output / "classes.csv", ["label", "name"], [[number, name] for name, number in numbers.items()])
    return dict(sorted(Counter(str(row[3]) for row in rows).items()))


def write_dermobench(source: Source, output: Path, options: int = 4) -> dict[str, int]:
    """``choices.csv``: one question a case of the test split, ``options`` names, the right one balanced over a block.

    Cases that no block of options can take are in ``open.csv`` with the question asked openly; none is dropped.
    Column names are ours: the release's own files could not be checked.
    """
    tested = {case.case_id: case for case in source.cases if case.split == "test"}
    labels = {
        name: Label(case.diagnoses, tuple(node for node, _ in case.differential)) for name, case in tested.items()
    }
    sets = option_sets(labels, source.taxonomy, options)
    copied, asked, openly = source.pictures(output), [], []
    for case_id, case in tested.items():
        facts = [case_id, copied(case.images[0]), case.modality or "", case.tone_group or ""]
        if case_id not in sets:
            openly.append([*facts, prompts.context(case) + "What is the diagnosis?", source.name(case)])
            continue
        names = [option_name(nodes, source.taxonomy) for nodes in sets[case_id]]
        question = prompts.context(case) + "Which of these is the diagnosis?"
        asked.append([*facts, question, *names, LETTERS[sets[case_id].index(case.diagnoses)], source.name(case)])
    head = ["id", "image", "modality", "skin_tone", "question"]
    _write_csv(
        output / "choices.csv", [*head, *(f"option_{letter}" for letter in LETTERS[:options]), "answer", "label"], asked
    )
    _write_csv(output / "open.csv", [*head, "label"], openly)
    return {"choices": len(asked), "open": len(openly)}


def _write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(head)
    table.writerows(rows)
    write_atomic(path, text.getvalue())


BENCHMARKS: dict[str, Callable[[Source, Path], dict[str, int]]] = {
    "lmms_eval": write_lmms_eval,
    "panderm": write_panderm,
    "dermobench": write_dermobench,
}
