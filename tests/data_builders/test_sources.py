"""Every source yields sound cases, and a reason for every row it cannot use."""

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from data_builders.rendered import RenderSpec
from data_builders.sources import Options, Rejection, chosen
from data_builders.sources.folder import own_images
from data_builders.sources.pad_ufes_20 import pad_ufes_20
from data_builders.sources.rendered_clinic import rendered_clinic
from skinr1.cases import Case, Role
from skinr1.errors import UserError
from skinr1.taxonomy import Taxonomy

PAD = Path(__file__).parents[3] / "shared" / "data" / "pad_ufes_20"
HEADER = "patient_id,lesion_id,age,gender,fitspatrick,region,diagnostic,itch,grew,hurt,changed,bleed,elevation,img_id"


def sort_out(rows) -> tuple[list[Case], list[Rejection]]:
    everything = list(rows)
    return [r for r in everything if isinstance(r, Case)], [r for r in everything if isinstance(r, Rejection)]


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return Taxonomy.load()


# The rendered clinic


VITILIGO = "pigmentary/hypopigmentation/acquired/vitiligo"


def clinic(**more) -> list[Case]:
    return sort_out(
        rendered_clinic(**({"caption_patients": 20, "dense_patients": 20, "sparse_patients": 40, "seed": 1} | more))
    )[0]


def test_each_role_holds_what_its_name_says():
    for case in clinic():
        assert case.licence == "CC0-1.0" and case.attribution == "rendered, not clinical"
        assert case.skin_tone.provenance == "rendered"
        signs = RenderSpec.from_uri(case.images[0]).signs
        if case.role is Role.CAPTION:
            assert case.label is None and not case.diagnoses and case.present() == signs and not case.absent()
        elif case.role is Role.DENSE:
            assert case.label and len(case.diagnoses) == 1 and case.present() == signs and case.absent()
        else:
            assert case.label and len(case.diagnoses) == 1 and not case.findings


def test_patients_have_one_tone_and_one_or_two_cases():
    by_patient: dict[str, list[Case]] = {}
    for case in clinic():
        by_patient.setdefault(case.patient_id, []).append(case)
    assert {len(cases) for cases in by_patient.values()} == {1, 2}
    assert all(len({c.skin_tone for c in cases}) == 1 for cases in by_patient.values())


def test_more_patients_only_append():
    few, many = clinic(sparse_patients=10), clinic(sparse_patients=30)
    assert many[: len(few)] == few


def test_uniform_over_diagnoses_unless_weighted():
    counts = Counter(c.diagnoses[0] for c in clinic(sparse_patients=200) if c.role is Role.SPARSE)
    assert len(counts) == 29 and max(counts.values()) - min(counts.values()) <= 1
    assert {c.diagnoses[0] for c in clinic(class_weights={VITILIGO: 1}) if c.role == "sparse"} == {VITILIGO}


def test_the_atlas_can_lack_dark_skin():
    cases = clinic(dense_tones=[1, 2], sparse_patients=60)
    assert {c.skin_tone.value for c in cases if c.role is Role.DENSE} == {1, 2}
    assert {c.skin_tone.value for c in cases if c.role is Role.SPARSE} == {1, 2, 3, 4, 5, 6}


def test_absent_is_not_asserted_of_what_a_present_sign_covers():
    for case in clinic(dense_patients=100):
        present, absent = set(case.present()), set(case.absent())
        assert not present & absent
        assert "silvery scale" not in present or "scale" not in absent
        assert case.modality == "dermoscopic" or "regular network" not in absent


def test_clinic_can_differ_in_one_thing():
    plain = clinic(dense_patients=40)
    other = clinic(
        dense_patients=40, sites=["scalp", "palm"], camera="phone", sparse_tones=[5, 5, 6], dense_left_out=[VITILIGO]
    )
    assert {case.site for case in plain} == {None} and {case.site for case in other} == {"scalp", "palm"}
    assert all(RenderSpec.from_uri(case.images[0]).camera == "phone" for case in other)
    assert {case.skin_tone.value for case in other if case.role == "sparse"} == {5, 6}
    dense = {case.diagnoses[0] for case in other if case.role == "dense"}
    assert VITILIGO not in dense and VITILIGO in {case.diagnoses[0] for case in plain if case.role == "dense"}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"dense_tones": [0]}, "tone"),
        ({"sparse_tones": [7]}, "tone"),
        ({"dense_left_out": ["no/such"]}, "not in the rendered clinic"),
        ({"sites": ["elbow"]}, "no such site"),
        ({"camera": "film"}, "no such camera"),
        ({"class_weights": {"no/such": 1.0}}, "not in the rendered clinic"),
        ({"class_weights": {VITILIGO: 0}}, "sum to 0"),
    ],
)
def test_bad_clinic(more, reason):
    with pytest.raises(UserError, match=reason):
        clinic(**more)


# PAD-UFES-20


@pytest.fixture
def pad(tmp_path):
    (tmp_path / "imgs_part_1").mkdir()
    Image.new("RGB", (40, 40), (200, 150, 120)).save(tmp_path / "imgs_part_1" / "a.png")

    def read(*rows: str, header: str = HEADER, share: float = 1.0):
        (tmp_path / "metadata.csv").write_text("\n".join((header, *rows)) + "\n")
        return sort_out(pad_ufes_20(tmp_path, Taxonomy.load(), Options(dense_share=share)))

    return read


def test_pad_row_becomes_a_case(pad):
    (case,), rejected = pad("P1,7,55,FEMALE,3.0,NECK,BCC,True,False,UNK,,TRUE,False,a.png")
    assert not rejected and case.role is Role.DENSE and case.label == "BCC"
    assert case.present() == ("flat lesion", "itch", "bleeding") and case.absent() == ("raised lesion", "growth")
    assert case.history == ("itch", "bleeding") and case.site == "neck" and case.sex == "female" and case.age == 55
    assert case.skin_tone.value == 3 and case.skin_tone.provenance == "clinician"
    assert case.licence == "CC-BY-4.0" and "Pacheco" in case.attribution


def test_pad_unknown_stays_unknown(pad):
    (case,), _ = pad("P1,7,,,,,NEV,UNK,,,,,,a.png")
    assert case.role is Role.SPARSE and not case.findings and case.skin_tone is None and case.age is None


def test_pad_sparse_patients_have_no_findings(pad):
    (case,), _ = pad("P1,7,55,FEMALE,3.0,NECK,BCC,True,True,True,True,True,True,a.png", share=0.0)
    assert case.role is Role.SPARSE and case.findings == () and len(case.history) == 5


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("P1,7,55,FEMALE,3.0,NECK,XYZ,,,,,,,a.png", "label is not in map"),
        ("P1,7,55,FEMALE,3.0,NECK,BCC,,,,,,,b.png", "image not found"),
        ("P1,7,old,FEMALE,3.0,NECK,BCC,,,,,,,a.png", "not a number"),
        ("P1,7,155,FEMALE,3.0,NECK,BCC,,,,,,,a.png", "from 0 to 120"),
        ("P1,7,55,FEMALE,9.0,NECK,BCC,,,,,,,a.png", "from 1 to 6"),
        ("P1,7,55,FEMALE,3.0,NECK,BCC,maybe,,,,,,a.png", "not True, False or UNK"),
        ("P1,7,55,X,3.0,NECK,BCC,,,,,,,a.png", "not female or male"),
    ],
)
def test_pad_bad_row_is_rejected_with_its_line(pad, row, reason):
    cases, (rejection,) = pad(row)
    assert not cases and reason in rejection.reason and rejection.where == "metadata.csv:2"


def test_pad_without_a_needed_column(pad):
    with pytest.raises(UserError, match="expected a column img_id; found patient_id"):
        pad("P1,7,BCC", header="patient_id,lesion_id,diagnostic")


@pytest.mark.real_data
@pytest.mark.skipif(not PAD.is_dir(), reason=f"PAD-UFES-20 is not at {PAD.parent.parent.name}/data/pad_ufes_20")
def test_real_pad(taxonomy):
    cases, rejected = sort_out(pad_ufes_20(PAD, taxonomy, Options()))
    assert len(cases) > 100 and not rejected
    assert {c.label for c in cases} == {"ACK", "BCC", "MEL", "NEV", "SCC", "SEK"}
    assert {c.role for c in cases} == {Role.DENSE, Role.SPARSE}
    roles = {(c.patient_id, c.role) for c in cases if c.findings or c.role is Role.DENSE}
    assert len({p for p, _ in roles}) == len(roles)


def test_dense_share_is_a_share():
    assert 420 < sum(chosen(0, f"p{i}", 0.5) for i in range(1000)) < 580
    assert all(chosen(0, f"p{i}", 1.0) for i in range(50)) and not any(chosen(0, f"p{i}", 0.0) for i in range(50))


# One's own images


@pytest.fixture
def own(tmp_path):
    def read(*rows: str, header: str = "image,label,patient_id,findings", **more):
        path = tmp_path / "mine.csv"
        path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
        return sort_out(own_images(path, Taxonomy.load(), Options(**{"dense_share": 1.0, **more})))

    return read


def test_sub_folders_are_labels(tmp_path, taxonomy):
    for name in ("vitiligo/a.png", "no_such_disease/b.png", "vitiligo/notes.txt", "loose.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (case,), rejected = sort_out(own_images(tmp_path, taxonomy, Options()))
    assert case.label == "vitiligo" and case.case_id == "vitiligo/a.png" and len(case.diagnoses) == 1
    reasons = {r.where: r.reason for r in rejected}
    assert "unknown diagnosis label" in reasons["no_such_disease/b.png"]
    assert "not an image" in reasons["vitiligo/notes.txt"] and "no label" in reasons["loose.png"]


def test_table_row_becomes_a_case(own):
    (case,), _ = own("a.png,vitiligo,p1,white colour; no Scaling")
    assert case.role is Role.DENSE and case.present() == ("white colour",) and case.absent() == ("scale",)


def test_semicolons_between_cells(own):
    """As spreadsheets in much of Europe save a CSV; a cell with one inside is quoted."""
    header = "image;label;patient_id;findings"
    (case,), _ = own('a.png;vitiligo;p1;"white colour; no Scaling"', header=header)
    assert case.patient_id.endswith("p1") and case.absent() == ("scale",)


def test_row_without_label_but_with_findings_is_a_caption(own):
    (case,), _ = own("a.png,,p1,scale")
    assert case.role is Role.CAPTION and not case.diagnoses


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.png,vitiliga,,", "Did you mean 'vitiligo'"),
        ("a.png,,,", "neither label nor findings"),
        (",vitiligo,,", "no image"),
        ("a.png,vitiligo,,scales everywhere", "unknown finding"),
        ("a.png,vitiligo,,red", "Did you mean 'red"),
        ("a.png,vitiligo,,irregullar border", "'irregular border'"),
        ("a.png,vitiligo,,scale; no scale", "both present and absent"),
    ],
)
def test_bad_table_row_is_rejected(own, row, reason):
    cases, (rejection,) = own(row)
    assert not cases and reason in rejection.reason


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("picture,label", "'image' is missing; found: picture, label"),
        ("image,diagnosis", "'label' is missing"),
        ("image,label,patientid", "Did you mean 'patient_id'"),
    ],
)
def test_bad_header_is_one_error(own, header, reason):
    with pytest.raises(UserError, match=reason):
        own("a.png,vitiligo,x", header=header)


def test_label_map(own, tmp_path):
    labels = tmp_path / "labels.yaml"
    labels.write_text("labels: {vit: {nodes: [pigmentary/hypopigmentation/acquired/vitiligo]}}")
    (case,), (rejection,) = own("a.png,vit,,", "b.png,other,,", label_map=str(labels))
    assert case.diagnoses == ("pigmentary/hypopigmentation/acquired/vitiligo",) and "not in map" in rejection.reason
    labels.write_text("labels: {vit: {nodes: [no/such/node]}}")
    with pytest.raises(UserError, match="node that does not exist"):
        own("a.png,vit,,", label_map=str(labels))


def test_no_such_path(taxonomy, tmp_path):
    with pytest.raises(UserError, match="no such folder or CSV"):
        list(own_images(tmp_path / "none", taxonomy, Options()))
    with pytest.raises(UserError, match="holds no file"):
        list(own_images(tmp_path, taxonomy, Options()))


def test_table_that_is_no_text(taxonomy, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(b"image,label\n\xff\xfe\x00,x\n")
    with pytest.raises(UserError, match="UTF-8"):
        list(own_images(path, taxonomy, Options()))
