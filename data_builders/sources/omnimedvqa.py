"""OmniMedVQA, its dermoscopic and other skin images: multiple-choice questions on public images (Hu et al. 2024).

Evaluation only: its images come from ISIC 2018-2020, HAM10000, Fitzpatrick17k, PAD-UFES-20 and others. Every case is
marked so and builders of training data refuse it.
Layout: ``QA_information/Open-access/*.json`` (or any folder of such files), each a list of objects with ``dataset,
question_id,question_type,question,gt_answer,image_path,option_A..option_D,modality_type``; images below ``Images``.
Read are questions of type "Disease Diagnosis" on modality Dermoscopy; how many others a file holds is one rejection.
Several questions share an image: its first one makes the case, later ones are rejected as repeats. Label:
``gt_answer``, looked up in the map and then in the taxonomy.
Ids: ``image_path``. Licence: the origin's, which the data set does not repeat, so ``unstated``.
Facts: the paper, second-hand; keys from memory of the paper, checked when a file is read.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from data_builders.sources import Options, Rejection, SourceRows
from data_builders.sources.images import Pictures, finished, open_diagnoses
from data_builders.sources.table import find_tables
from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.taxonomy import LabelMap, Taxonomy

SOURCE, TITLE = "omnimedvqa", "OmniMedVQA"
ATTRIBUTION = "OmniMedVQA, Hu et al. 2024, arXiv:2402.09181"
_KEYS = ("dataset", "question_id", "question_type", "gt_answer", "image_path", "modality_type")
_PLACES = ("QA_information/Open-access/*.json", "*.json")


def omnimedvqa(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image, for evaluation only. Raises UserError for another layout."""
    labels, pictures = LabelMap.load(SOURCE, taxonomy), Pictures(path)
    seen: set[str] = set()
    for file in find_tables(path, _PLACES, TITLE):
        others = 0
        for where, question in _questions(file):
            if question["modality_type"] != "Dermoscopy" or question["question_type"] != "Disease Diagnosis":
                others += 1
                continue
            if question["image_path"] in seen:
                yield Rejection(where, f"image was asked about before: {question['image_path']}")
                continue
            seen.add(question["image_path"])
            try:
                yield _case(where, question, pictures, labels, taxonomy, options)
            except UserError as error:
                yield Rejection(where, str(error))
        if others:
            yield Rejection(file.name, f"{others} questions are of another modality or type")


def _questions(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UserError("file is not JSON", str(file), "Give the data set's own file.") from None
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], 1):
        missing = [key for key in _KEYS if not isinstance(row, dict) or key not in row]
        if missing:
            found = ", ".join(row) if isinstance(row, dict) else type(row).__name__
            raise UserError(
                f"not a file of {TITLE}: expected a key {missing[0]}; found {found}", f"{file}:{number}", "Correct it."
            )
        yield f"{file.name}:{number}", {key: str(row[key]).strip() for key in _KEYS}


def _case(
    where: str,
    question: dict[str, str],
    pictures: Pictures,
    labels: LabelMap,
    taxonomy: Taxonomy,
    options: Options,
) -> Case:
    label = question["gt_answer"].rstrip(".")
    return finished(
        {
            "case_id": question["image_path"],
            "source": SOURCE,
            "images": (str(pictures.find(where, question["image_path"])),),
            "label": label,
            "diagnoses": open_diagnoses(labels, taxonomy, label.lower()),
            "modality": "dermoscopic",
            "licence": options.licence,
            "attribution": f"{ATTRIBUTION}, from {question['dataset']}",
            "evaluation_only": True,
            "split": "test",
        },
        options,
    )
