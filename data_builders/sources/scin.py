"""SCIN: 5,033 cases of one to three photographs that web users contributed, read by dermatologists (Ward et al. 2024).

Layout: ``scin_cases.csv`` (what contributors say, ``image_1_path`` … ``image_3_path``), ``scin_labels.csv`` (what
dermatologists say), images below ``images`` or ``dataset/images``. ``case_id`` is text: as a number it loses digits.
``weighted_skin_condition_label`` is a Python dictionary, condition -> weight; its column of names is
``dermatologist_skin_condition_on_label_name`` in the file and without ``_on`` in its documentation. Booleans are YES or
empty, and empty is no "no". 3,061 cases have a label; the others were not gradable, except those in which no reader
saw a pathology (label ``NO_DISCERNIBLE_PATHOLOGY``).
Case: the differential keeps the weights, ``diagnoses`` the leading conditions. A condition that stands for nothing the
tree has keeps its weight to itself, so the weights sum to less than 1; where it leads, the case is rejected.
Tone: the dermatologists' median Fitzpatrick type, else the contributor's own, else a Monk tone; ``other_tones`` has the
rest. An age band is no age and is left out. Licence: SCIN Data Use License, second-hand said to allow sharing and
adaptation with attribution and to forbid re-identification. Ids: ``case_id``, one contributor each as far as is known.
Facts: the files themselves and the paper (second-hand).
"""

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from data_builders.sources import Options, SourceRows
from data_builders.sources.images import Pictures, each, finished
from data_builders.sources.table import Row, find_tables, fitzpatrick, monk, read_columns, sex
from skinr1.cases import Case, SkinTone
from skinr1.errors import UserError
from skinr1.taxonomy import LabelMap, Taxonomy

SOURCE, TITLE, LICENCE = "scin", "SCIN", "LicenseRef-SCIN"
ATTRIBUTION = "SCIN, Ward et al. 2024, doi:10.1001/jamanetworkopen.2024.46615"
HEALTHY = "NO_DISCERNIBLE_PATHOLOGY"
_PARTS = ("head_or_neck", "arm", "palm", "back_of_hand", "torso_front", "torso_back", "genitalia_or_groin", "buttocks",
          "leg", "foot_top_or_side", "foot_sole", "other")  # fmt: skip
_SYMPTOMS = {"itching": "itch", "bleeding": "bleeding", "increasing_size": "growth", "pain": "pain"}
_CASE = {name: (name,) for name in ("case_id", "image_1_path", "image_2_path", "image_3_path")}
_ABOUT = {
    "sex": ("sex_at_birth",),
    "own_tone": ("fitzpatrick_skin_type",),
    **{f"part_{name}": (f"body_parts_{name}",) for name in _PARTS},
    **{f"symptom_{name}": (f"condition_symptoms_{name}",) for name in _SYMPTOMS},
}
_READERS = ("1", "2", "3")
_LABEL = {"case_id": ("case_id",), "weights": ("weighted_skin_condition_label",)}
_READ = {
    **{f"gradable_{n}": (f"dermatologist_gradable_for_skin_condition_{n}",) for n in _READERS},
    **{f"tone_{n}": (f"dermatologist_fitzpatrick_skin_type_label_{n}",) for n in _READERS},
    "monk_india": ("monk_skin_tone_label_india",),
    "monk_us": ("monk_skin_tone_label_us",),
}


def scin(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case a contribution; the table of labels is held in memory to be joined.

    Raises:
        UserError: another layout.
    """
    cases, read = find_tables(path, ("scin_cases.csv",), TITLE)[0], find_tables(path, ("scin_labels.csv",), TITLE)[0]
    labels, pictures = LabelMap.load(SOURCE, taxonomy), Pictures(path)
    said = {row["case_id"]: row for _, row in read_columns(read, TITLE, _LABEL, _READ)}
    rows = ((w, {**said.get(row["case_id"], {}), **row}) for w, row in read_columns(cases, TITLE, _CASE, _ABOUT))
    return each(rows, lambda where, row: _case(where, row, pictures, labels, options))


def weights(text: str, where: str) -> dict[str, float]:
    """``weighted_skin_condition_label`` read. Raises UserError for anything but a dictionary of names and weights."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(w, float | int) and 0 < w <= 1 for w in found.values()):
        raise UserError("weighted label is no dictionary of weights", where, "Correct the cell.")
    return {str(name): float(weight) for name, weight in found.items()}


def _case(where: str, row: Row, pictures: Pictures, labels: LabelMap, options: Options) -> Case:
    named = _conditions(row, where)
    leading = [name for name, weight in named.items() if weight == max(named.values())]
    images = [row[f"image_{n}_path"] for n in _READERS if row[f"image_{n}_path"]]
    if not images:
        raise UserError("no image named", where, "Remove the row.")
    tones = list(_tones(row, where))
    sex_text = row.get("sex", "")
    return finished(
        {
            "case_id": row["case_id"],
            "source": SOURCE,
            "images": tuple(str(pictures.find(where, name.removeprefix("dataset/"))) for name in images),
            "label": "; ".join(leading),
            "diagnoses": tuple(sorted({node for name in leading for node in labels.diagnoses(name)})),
            "differential": _differential(named, labels) if len(named) > 1 else (),
            "skin_tone": tones[0] if tones else None,
            "other_tones": tuple(tones[1:]),
            "sex": None if sex_text == "OTHER_OR_UNSPECIFIED" else sex(sex_text, where),
            "site": ", ".join(name.replace("_", " ") for name in _PARTS if _yes(row, f"part_{name}")) or None,
            "history": tuple(complaint for name, complaint in _SYMPTOMS.items() if _yes(row, f"symptom_{name}")),
            "modality": "clinical",
            "licence": LICENCE,
            "attribution": ATTRIBUTION,
        },
        options,
    )


def _yes(row: Row, column: str) -> bool:
    return row.get(column) == "YES"


def _conditions(row: Row, where: str) -> dict[str, float]:
    """Condition -> weight. Raises UserError when no dermatologist gave one."""
    grades = [row[f"gradable_{n}"] for n in _READERS if row.get(f"gradable_{n}")]
    if row.get("weights") and row["weights"] != "{}":
        return weights(row["weights"], where)
    if grades and all(grade.endswith(HEALTHY) for grade in grades):
        return {HEALTHY: 1.0}
    reason = "not in the table of labels" if "weights" not in row else "without label"
    reason = "not gradable" if any(grade.startswith("NO_") for grade in grades) else reason
    raise UserError(f"case {reason}", where, "Nothing to do: it is listed.")


def _differential(named: dict[str, float], labels: LabelMap) -> tuple[tuple[str, float], ...]:
    """Node -> weight, heaviest first: a condition of several nodes shares its weight equally among them."""
    mass: dict[str, float] = {}
    for name, weight in named.items():
        target = labels.resolve(name)
        for node in sorted(target.nodes):
            mass[node] = mass.get(node, 0.0) + weight / len(target.nodes)
    total = max(1.0, sum(mass.values()))  # rounded to two decimals in the table, so 1.01 occurs
    shares = {node: round(weight / total, 6) for node, weight in mass.items()}
    return tuple(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def _tones(row: Row, where: str) -> Iterator[SkinTone]:
    """The tone to use first: dermatologists' median (the lower of two), the contributor's own, then the Monk tones."""
    cells = (fitzpatrick(row.get(f"tone_{n}", ""), where, "clinician") for n in _READERS)
    read = sorted((tone for tone in cells if tone), key=lambda tone: tone.value)
    others = (
        fitzpatrick(row.get("own_tone", ""), where, "self_report"),
        monk(row.get("monk_india", ""), where, "annotator"),
        monk(row.get("monk_us", ""), where, "annotator"),
    )
    return filter(None, chain(read[(len(read) - 1) // 2 :][:1], others))
