"""The tables that lie in ../shared/data, read in full; counts as its README states them."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from data_builders.sources import Options, Rejection
from data_builders.sources.isic import isic
from data_builders.sources.pad_ufes_20 import pad_ufes_20
from data_builders.sources.scin import scin, weights
from skinr1.cases import Case
from skinr1.taxonomy import LabelMap

pytestmark = pytest.mark.real_data


def sort_out(rows) -> tuple[list[Case], list[Rejection]]:
    everything = list(rows)
    return [r for r in everything if isinstance(r, Case)], [r for r in everything if isinstance(r, Rejection)]


def test_pad_ufes_20(shared_data, taxonomy):
    cases, rejected = sort_out(pad_ufes_20(shared_data / "pad_ufes_20", taxonomy, Options(dense_share=1.0)))
    assert not rejected and len(cases) == 319 and len({case.patient_id for case in cases}) == 289
    assert Counter(case.label for case in cases) == {"NEV": 89, "BCC": 86, "ACK": 84, "MEL": 25, "SEK": 23, "SCC": 12}
    assert all(case.licence == "CC-BY-4.0" and case.lesion_id for case in cases)


def test_isic_uda1(shared_data, taxonomy):
    options = Options(licence="CC0-1.0", modality="dermoscopic")
    cases, rejected = sort_out(isic(shared_data / "isic_uda1", taxonomy, options))
    assert Counter(case.label for case in cases) == {"nevus": 396, "melanoma": 159}
    assert len(rejected) == 2 and all("no diagnosis" in rejection.reason for rejection in rejected)
    assert {(case.licence, case.modality) for case in cases} == {("CC0-1.0", "dermoscopic")}
    buckets = {case.label: {taxonomy.bucket(node) for node in case.diagnoses} for case in cases}
    assert buckets == {"nevus": {"benign"}, "melanoma": {"malignant"}}


@pytest.fixture(scope="module")
def scin_folder(shared_data, tmp_path_factory) -> Path:
    """The real tables beside empty files under the images' names: the images themselves are not here."""
    root = tmp_path_factory.mktemp("scin")
    for name in ("scin_cases.csv", "scin_labels.csv"):
        (root / name).symlink_to(shared_data / "scin" / name)
    (root / "images").mkdir()
    with open(root / "scin_cases.csv", encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            for number in (1, 2, 3):
                if row[f"image_{number}_path"]:
                    (root / "images" / Path(row[f"image_{number}_path"]).name).touch()
    return root


def test_scin_in_full(scin_folder, taxonomy):
    cases, rejected = sort_out(scin(scin_folder, taxonomy, Options()))
    assert len(cases) + len(rejected) == 5033
    reasons = Counter(rejection.reason.partition(":")[0].partition(" (")[0] for rejection in rejected)
    unmapped = reasons.pop("label has no diagnosis")
    healthy = sum(case.label == "NO_DISCERNIBLE_PATHOLOGY" for case in cases)
    assert len(cases) - healthy + unmapped == 3061  # every labelled case is a case, or listed with its reason
    assert set(reasons) == {"case not gradable", "case without label"} and unmapped < 60 and healthy > 40
    assert all(case.case_id.removeprefix("scin.").lstrip("-").isdigit() for case in cases)
    assert len({case.case_id for case in cases}) == len(cases)  # as numbers, long ids would fall together
    assert Counter(tone.scale for case in cases for tone in case.other_tones)["monk"] > 2000
    assert sum(case.skin_tone is not None for case in cases) > 2500


def test_scin_differentials_keep_their_weights(scin_folder, taxonomy):
    labels = LabelMap.load("scin", taxonomy)
    with open(scin_folder / "scin_labels.csv", encoding="utf-8", newline="") as handle:
        rows = {row["case_id"]: row["weighted_skin_condition_label"] for row in csv.DictReader(handle)}
    cases, _ = sort_out(scin(scin_folder, taxonomy, Options()))
    several = [case for case in cases if case.differential]
    assert len(several) > 1500
    for case in several:
        named = weights(rows[case.case_id.removeprefix("scin.")], case.case_id)
        mapped = sum(weight for name, weight in named.items() if labels.resolve(name).nodes)
        assert sum(weight for _, weight in case.differential) == pytest.approx(min(1.0, mapped), abs=1e-4)
        leading = max(named.values())
        top = {node for name, w in named.items() if w == leading for node in labels.resolve(name).nodes}
        assert set(case.diagnoses) == top


def test_scin_vocabulary_is_complete(shared_data, taxonomy):
    labels = LabelMap.load("scin", taxonomy)
    with open(shared_data / "scin" / "scin_labels.csv", encoding="utf-8", newline="") as handle:
        texts = [row["weighted_skin_condition_label"] for row in csv.DictReader(handle)]
    words = {name for text in texts if text for name in weights(text, "scin_labels.csv")}
    assert len(words) == 370 and words == set(labels.entries) - {"NO_DISCERNIBLE_PATHOLOGY"}
