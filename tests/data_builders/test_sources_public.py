"""Public data sets: read in their on-disk format, refused in any other, every label accounted for."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from data_builders.cases import CasesConfig, build
from data_builders.sources import Options, Rejection
from data_builders.sources.catalogue import SOURCES
from data_builders.sources.scin import weights
from data_builders.sources.skincon import CONCEPTS
from skinr1.cases import Case, Role, read_cases, training_cases
from skinr1.concepts import concepts
from skinr1.errors import UserError
from skinr1.seven_point import Checklist
from skinr1.stage import read_manifest
from skinr1.taxonomy import Bucket, LabelMap, Taxonomy
from tests.data_builders.layouts import LAYOUTS, table

VOCABULARIES = yaml.safe_load((Path(__file__).parent / "vocabularies.yaml").read_text(encoding="utf-8"))
SIZES = {"fitzpatrick17k": 114, "ddi": 78, "sd_198": 198, "derm12345": 40, "derm7pt": 20, "dermnet": 23}
LAYOUT_TABLES = {"ham10000": "HAM10000_metadata.csv", "fitzpatrick17k": "fitzpatrick17k.csv"}
ALL = Options(dense_share=1.0)
# source -> (cases, rejections) of its layout, and what its first case must say
EXPECTED = {
    "bcn20000": (1, 0, {"label": "MEL", "lesion_id": "BCN_0003884", "age": 55, "licence": "CC-BY-NC-4.0"}),
    "ddi": (1, 0, {"label": "melanoma-in-situ", "split": "test", "modality": "clinical"}),
    "derm12345": (2, 0, {"label": "ch", "split": "test", "licence": "CC-BY-4.0"}),
    "derm1m": (1, 1, {"age": 80, "sex": "female", "site": "scalp, neck", "evaluation_only": True, "split": "test"}),
    "derm7pt": (1, 0, {"modalities": ("clinical", "dermoscopic"), "split": "validation", "role": Role.DENSE}),
    "dermacon_in": (1, 0, {"patient_id": "SUB00001", "split": "train", "site": "back", "age": None}),
    "dermnet": (2, 0, {"label": "eczema-hand", "split": None, "licence": "LicenseRef-DermNet"}),
    "fitzpatrick17k": (1, 1, {"label": "granuloma pyogenic", "licence": "CC-BY-NC-SA-3.0"}),
    "ham10000": (2, 0, {"label": "bkl", "lesion_id": "HAM_0000118", "sex": "male", "modality": "dermoscopic"}),
    "isic": (
        2,
        1,
        {"patient_id": "IP_0000001", "licence": "CC0-1.0", "attribution": "Anonymous", "site": "lower extremity"},
    ),
    "isic_2018": (2, 0, {"label": "NV", "lesion_id": "HAM_0000550", "split": "train"}),
    "isic_2019": (1, 1, {"case_id": "isic_2019.ISIC_0000000", "lesion_id": "MSK4_0011169", "split": None}),
    "isic_2020": (1, 0, {"patient_id": "IP_7279968", "site": "head/neck"}),
    "msld": (1, 0, {"patient_id": "MKP_07", "split": "validation"}),
    "omnimedvqa": (1, 2, {"label": "Melanocytic nevus", "evaluation_only": True, "split": "test"}),
    "pad_ufes_20": (1, 0, {"case_id": "pad_ufes_20.PAT_1_2_3", "history": ("itch", "growth", "bleeding")}),
    "scin": (1, 1, {"label": "Eczema; Inflicted skin lesions", "history": ("itch",), "site": "arm, leg", "age": None}),
    "sd_198": (1, 0, {"label": "Beau's_Lines", "case_id": "sd_198.Beau's_Lines/030001.jpg"}),
    "skincon": (1, 1, {"case_id": f"skincon.{'a' * 32}", "licence": "CC-BY-NC-SA-3.0", "role": Role.DENSE}),
}


def read(source: str, root: Path, taxonomy: Taxonomy, options: Options = ALL) -> tuple[list[Case], list[Rejection]]:
    rows = list(SOURCES[source](root, taxonomy, options))
    return [r for r in rows if isinstance(r, Case)], [r for r in rows if isinstance(r, Rejection)]


@pytest.fixture
def first(tmp_path, taxonomy):
    def make(source: str) -> Case:
        LAYOUTS[source](tmp_path)
        return read(source, tmp_path, taxonomy)[0][0]

    return make


def test_every_source_has_a_layout_here_and_an_expectation():
    assert set(SOURCES) - {"folder"} == set(LAYOUTS) == set(EXPECTED)


@pytest.mark.parametrize("source", EXPECTED)
def test_layout_is_read(source, tmp_path, taxonomy):
    LAYOUTS[source](tmp_path)
    count, rejections, fields = EXPECTED[source]
    assert isinstance(SOURCES[source](tmp_path, taxonomy, ALL), Iterator)
    cases, rejected = read(source, tmp_path, taxonomy)
    assert (len(cases), len(rejected)) == (count, rejections)
    assert {name: getattr(cases[0], name) for name in fields} == fields
    for case in cases:
        assert case.source == source and case.case_id.startswith(f"{source}.") and case.attribution
        assert case.diagnoses and set(case.diagnoses) <= taxonomy.nodes.keys()
        assert all(Path(image).is_file() for image in case.images)
    assert str(tmp_path) not in " ".join(rejection.reason for rejection in rejected)


@pytest.mark.parametrize("source", ["ham10000", "isic", "fitzpatrick17k", "pad_ufes_20", "scin"])
def test_rows_stream(source, tmp_path, taxonomy):
    LAYOUTS[source](tmp_path)
    name = "scin_cases.csv" if source == "scin" else LAYOUT_TABLES.get(source, "metadata.csv")
    with open(tmp_path / name, "ab") as handle:
        handle.write(b"x,\n" * 100_000 + b"\xff\xff")  # whoever reads the whole table first stumbles here
    assert isinstance(next(iter(SOURCES[source](tmp_path, taxonomy, ALL))), Case)


@pytest.mark.parametrize("source", EXPECTED)
def test_wrong_folder_is_one_error_that_names_what_was_found(source, tmp_path, taxonomy):
    (tmp_path / "holiday.txt").write_text("sun")
    with pytest.raises(UserError, match=r"expected .+ found holiday\.txt") as error:
        read(source, tmp_path, taxonomy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("source", sorted(set(EXPECTED) - {"dermnet", "msld", "sd_198", "omnimedvqa"}))
def test_wrong_table_is_one_error_that_names_the_columns_found(source, tmp_path, taxonomy):
    LAYOUTS[source](tmp_path)
    for path in tmp_path.rglob("*.csv"):
        table(path, "colour,shape", "red,round")
    with pytest.raises(UserError, match=r"expected a column .+ found colour, shape") as error:
        read(source, tmp_path, taxonomy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("source", sorted(set(EXPECTED) - {"dermnet", "msld", "sd_198"}))
def test_a_missing_image_is_a_rejection(source, tmp_path, taxonomy):
    LAYOUTS[source](tmp_path)
    for path in [p for p in tmp_path.rglob("*") if p.suffix.lower() in (".jpg", ".png")]:
        path.unlink()
    cases, rejected = read(source, tmp_path, taxonomy)
    assert not cases and any("image not found" in rejection.reason for rejection in rejected)


# Labels


@pytest.mark.parametrize("source", VOCABULARIES)
def test_label_map_is_complete(source, taxonomy):
    words = VOCABULARIES[source]
    assert len(set(words)) == len(words) == SIZES.get(source, len(words))
    labels = LabelMap.load(source, taxonomy)
    assert set(words) <= set(labels.entries)
    assert set(labels.entries) <= set(words) or source == "dermnet"  # file names add to its folders
    for label, target in labels.entries.items():
        assert bool(target.nodes) != bool(target.unmapped), label


def test_isic_map_holds_every_published_path(taxonomy):
    enum = pytest.importorskip("isic_metadata.diagnosis_hierarchical").DiagnosisEnum
    labels = LabelMap.load("isic", taxonomy)
    paths = [member.value for member in enum]
    assert len(paths) == 418 and set(paths) <= set(labels.entries)
    for path in paths:
        top = path.partition(":")[0]
        buckets = {taxonomy.bucket(node) for node in labels.resolve(path).nodes}
        # what the archive calls benign or malignant may be indeterminate here, but never the other way round
        assert top != "Malignant" or not buckets & {Bucket.BENIGN, Bucket.NON_NEOPLASTIC}, path
        assert top != "Benign" or Bucket.MALIGNANT not in buckets, path


def test_unmapped_needs_a_reason_and_gives_it(taxonomy, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text('labels: {x: {unmapped: "a sign"}}')
    labels = LabelMap.load(str(path), taxonomy)
    with pytest.raises(UserError, match=r"no diagnosis \(a sign\)"):
        labels.diagnoses("x")
    path.write_text("labels: {x: {unmapped: ''}}")
    with pytest.raises(UserError, match="without a reason"):
        LabelMap.load(str(path), taxonomy)


# What single data sets add


def test_every_skincon_concept_is_in_the_vocabulary():
    assert len(CONCEPTS) == 48 == len(set(CONCEPTS.values())) and set(CONCEPTS.values()) <= concepts().keys()


def test_skincon_findings_are_present_and_absent(first):
    case = first("skincon")
    assert case.present() == ("papule", "red colour") and len(case.absent()) == 46


def test_derm7pt_findings_give_the_published_score(first):
    case = first("derm7pt")
    checklist = Checklist.of(case.present(), case.absent())
    assert checklist.score == 2 and not checklist.unrecorded
    assert "raised lesion" in case.present() and "flat lesion" in case.absent()


def test_scin_differential_leaves_out_what_is_no_diagnosis(first):
    case = first("scin")
    assert case.case_id == "scin.-1000600354148496558" and len(case.images) == 2
    assert case.diagnoses == tuple(sorted(node for node, _ in case.differential))
    assert [weight for _, weight in case.differential] == [0.41, 0.41]  # 0.18 of a sign stays out


@pytest.mark.parametrize("text", ["[1]", "{'a': 2}", "{'a': -1}", "__import__('os')", "{", "{'a': 'b'}"])
def test_scin_weights_must_be_a_dictionary_of_weights(text):
    with pytest.raises(UserError, match="no dictionary of weights"):
        weights(text, "here")


def test_tones_carry_scale_and_provenance(first):
    case = first("scin")
    said = [(tone.scale, tone.value, tone.provenance) for tone in (case.skin_tone, *case.other_tones)]
    assert said == [
        ("fitzpatrick", 2, "clinician"),
        ("fitzpatrick", 4, "self_report"),
        ("monk", 2, "annotator"),
        ("monk", 1, "annotator"),
    ]


def test_ddi_tone_stays_a_pair(first):
    tone = first("ddi").skin_tone
    assert (tone.scale, tone.value) == ("fitzpatrick_pair", 3)


def test_dermacon_label_that_nobody_knows_is_rejected_by_name(tmp_path, taxonomy):
    LAYOUTS["dermacon_in"](tmp_path)
    path = tmp_path / "METADATA" / "Skin_Metadata.csv"
    path.write_text(path.read_text().replace("Tinea Corporis", "Zebra Rash"))
    cases, (rejection,) = read("dermacon_in", tmp_path, taxonomy)
    assert not cases and "Zebra Rash" in rejection.reason


@pytest.mark.parametrize("source", ["derm1m", "omnimedvqa"])
def test_evaluation_only_is_all_test_and_refused_for_training(source, tmp_path):
    LAYOUTS[source](tmp_path / "data")
    config = CasesConfig(source=source, path=str(tmp_path / "data"), output=str(tmp_path / "out"), workers=1)
    build(config, progress=False)
    assert Counter(case.split for case in read_cases(tmp_path / "out")) == {"test": 1}
    with pytest.raises(UserError, match=f"source {source} is for evaluation only"):
        list(training_cases(tmp_path / "out"))


def test_stage_builds_from_a_public_layout(tmp_path):
    LAYOUTS["derm12345"](tmp_path / "data")
    config = CasesConfig(
        source="derm12345", path=str(tmp_path / "data"), output=str(tmp_path / "out"), workers=1,
        train_fraction=1.0, validation_fraction=0.0, test_fraction=0.0, commercial=True,
    )  # fmt: skip
    build(config, progress=False)
    assert {case.case_id: case.split for case in read_cases(tmp_path / "out")} == {
        "derm12345.DERM_100103": "train",
        "derm12345.DERM_100111": "test",
    }
    assert read_manifest(tmp_path / "out")["licences"] == {"CC-BY-4.0": 2}
