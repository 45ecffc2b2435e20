"""skinr1 data card: counts that add up, planted gaps that are found, names that stay text, equal bytes."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from data_builders.trajectories import TrajectoriesConfig, build
from skinr1.cases import Case, Role
from skinr1.cli import STAGES
from skinr1.data import main
from skinr1.datacard import FILES, Subject, Tally, gaps, write_card
from skinr1.datacard.markdown import plain
from skinr1.datacard.tally import band
from skinr1.errors import UserError
from skinr1.stage import write_jsonl, write_manifest
from tests.skinr1.grounded import DYSPLASTIC, KERATOSIS, MELANOMA, NEVUS, PSORIASIS, TREE, case, tree, write_knowledge

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert('x')</script>|`$a$`"


def toned(value: int, scale: str = "fitzpatrick", who: str = "clinician") -> dict:
    return {"skin_tone": {"scale": scale, "value": value, "provenance": who}}


def several(number: int, *diagnoses: str, name: str = "", **more: object) -> list[Case]:
    name = name or "-".join(node.rpartition("/")[2] for node in diagnoses) or "none"
    return [case(*diagnoses, case_id=f"{name}-{i}", patient_id=f"{name}-{i}", **more) for i in range(number)]


CASES = [
    *several(3, NEVUS, **toned(5), age=41, sex="female", site="arm", modality="clinical"),
    *several(2, NEVUS, name="nevus-test", split="test", **toned(2), modality="clinical"),
    *several(2, MELANOMA, **toned(1)),
    *several(1, KERATOSIS, name="keratosis", split="test", source="other", licence="CC-BY-NC-4.0"),
    *several(1, PSORIASIS, name="psoriasis", licence="LicenseRef-DermNet", **toned(7, "monk", "estimated")),
    *several(1, NEVUS, DYSPLASTIC, name="either", **toned(3, "fitzpatrick_pair")),
    *several(2, role=Role.CAPTION),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "cases", CASES)


def write(path: Path, cases: list[Case]) -> Path:
    write_jsonl(path / "cases.jsonl", [c.model_dump(mode="json") for c in cases])
    write_jsonl(path / "rejected.jsonl", [{"where": "row 7", "reason": "no image: lost.png"}])
    (path / "tree.yaml").write_text(TREE, encoding="utf-8")
    write_manifest(path, "cases", config={}, taxonomy_hash=tree().hash)
    return path


def found(cases: list[Case], few: int = 2) -> dict[str, list]:
    by_kind: dict[str, list] = {}
    for gap in gaps(Subject(Tally.of(cases), tree(), few)):
        by_kind.setdefault(gap.kind, []).append(gap)
    return by_kind


def test_the_cross_adds_up_to_the_cases(folder: Path) -> None:
    card = write_card(folder, tree())
    assert sum(row["cases"] for row in card["counts"]) == card["totals"]["cases"] == len(CASES)
    assert {
        "label": NEVUS,
        "tone": "fitzpatrick 5",
        "source": "test",
        "licence": "CC0-1.0",
        "split": "train",
        "cases": 3,
    } in (card["counts"])
    for row in card["diagnoses"]:
        for part in ("splits", "tones", "sources", "licences"):
            assert sum(row[part].values()) == row["cases"]
    assert sum(row["cases"] for row in card["diagnoses"]) == len(CASES)
    assert card["totals"] == {"cases": 12, "images": 12, "patients": 12, "diagnoses": 5, "rejected": 1}
    assert card["rejected"] == {"no image": 1}
    assert card["ages"] == {"40": {"train": 3}}
    assert card["licences"]["CC-BY-NC-4.0"]["commercial"] == "no"


def test_a_patient_of_several_cases_is_one(tmp_path: Path) -> None:
    cases = [case(NEVUS, case_id=str(i), patient_id="one") for i in range(4)]
    card = write_card(write(tmp_path, cases), tree())
    assert card["totals"]["patients"] == 1 and card["diagnoses"][0]["patients"] == 1


@pytest.mark.parametrize(
    ("tone", "expected"),
    [
        ("fitzpatrick 1", "I–II"),
        ("fitzpatrick 2", "I–II"),
        ("fitzpatrick 4", "III–IV"),
        ("fitzpatrick 5", "V–VI"),
        ("fitzpatrick 9", "off its scale"),
        ("fitzpatrick_pair 3", "V–VI"),
        ("monk 3", "Monk 1–3"),
        ("monk 10", "Monk 7–10"),
        ("unknown", "unknown"),
    ],
)
def test_bands_of_skin_tones(tone: str, expected: str) -> None:
    assert band(tone) == expected


def test_planted_gaps_are_found_and_named() -> None:
    told = found(CASES)
    dark = told["no dark skin"][0]
    assert dark.text.startswith("3 of 5 diagnoses have no case")
    assert dark.items == (
        "plaque psoriasis (1 case, 0 of unknown tone)",
        "seborrheic keratosis (1 case, 1 of unknown tone)",
        "melanoma (2 cases, 0 of unknown tone)",
    )
    assert [gap.text for gap in told["malignant absent from split"]] == [
        "1 of 1 malignant or possibly malignant diagnoses has no case in test."
    ]
    assert told["empty split"][0].text == "No case is in validation."
    assert [item.partition(" (")[0] for item in told["few cases"][0].items] == [
        "plaque psoriasis",
        "seborrheic keratosis",
        "common nevus or dysplastic nevus",
    ]
    assert told["no commercial use"][0].items == ("other (CC-BY-NC-4.0, 1 case)",)
    assert told["commercial use not established"][0].items == ("test (LicenseRef-DermNet, 1 case)",)
    assert told["no redistribution"][0].items == ("test (LicenseRef-DermNet, 1 case)",)
    assert told["test but not train"][0].items == ("seborrheic keratosis",)
    assert "9 of 12 cases (75.0 %)" in told["missing age"][0].text
    assert told["missing site"][0].items == ("other (1 of 1)", "test (8 of 11)")
    assert [gap.text for gap in told["no malignant case on tones"]] == [
        "No malignant case is known to be of skin tones III–IV.",
        "No malignant case is known to be of skin tones V–VI.",
    ]
    assert told["unlabelled"][0].text.startswith("2 of 12") and told["estimated tone"]
    assert told["ambiguous label"][0].items == ("common nevus or dysplastic nevus (1)",)
    assert told["diagnosis of one source"][0].text.startswith("5 of 5")
    assert told["tree not covered"][0].items == ("nothing of the branch infectious",)
    assert "rendered" not in told


def test_a_gap_that_is_filled_is_not_told() -> None:
    full = [
        c
        for node in tree().diagnoses
        for split in ("train", "validation", "test")
        for source in ("a", "b")
        for tone in (1, 3, 6)
        for c in several(
            2,
            node,
            name=f"{node}-{split}-{source}-{tone}",
            split=split,
            source=source,
            age=50,
            sex="male",
            site="arm",
            modality="clinical",
            **toned(tone),
        )
    ]
    assert found(full) == {}
    assert set(found([c for c in full if c.split != "validation"])) == {"empty split"}


def test_rendered_cases_are_called_so() -> None:
    drawn = several(2, NEVUS, source="rendered_clinic")
    assert found(drawn)["rendered"][0].text.startswith("All cases are rendered, not clinical")
    assert found([*drawn, *several(1, MELANOMA)])["rendered"][0].text.startswith("2 of 3 cases are rendered")


def test_nodes_of_one_name_are_told_apart() -> None:
    twins = tree().from_yaml(
        TREE.replace("keratinocytic: {children: {seborrheic", "other: {children: {melanoma: {}, seborrheic")
    )
    same = [*several(1, MELANOMA), *several(1, "neoplasm/benign/other/melanoma", name="benign")]
    names = {gap.kind: gap.items for gap in gaps(Subject(Tally.of(same), twins))}["few cases"]
    assert {name.partition(" (")[0] for name in names} == {
        "neoplasm › malignant › melanocytic › melanoma",
        "neoplasm › benign › other › melanoma",
    }


class Tags(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    cases = several(2, NEVUS, source=HOSTILE, licence=HOSTILE, attribution=HOSTILE)
    path = write(tmp_path, cases)
    write_jsonl(path / "rejected.jsonl", [{"reason": HOSTILE}])
    write_card(path, tree())
    tags = Tags((path / "card.html").read_text(encoding="utf-8"))
    assert not [tag for tag, attrs in tags.found if tag == "script" or any(key.startswith("on") for key in attrs)]
    text = (path / "card.md").read_text(encoding="utf-8")
    assert "<" not in text and plain(HOSTILE) in text
    columns = [line.replace(r"\|", "").count("|") for line in text.splitlines() if line.startswith("| common nevus")]
    heads = [line.count("|") for line in text.splitlines() if line.startswith("| diagnosis")]
    assert columns == heads


def test_the_page_has_plots_with_names_and_is_one_offline_file(folder: Path) -> None:
    write_card(folder, tree())
    page = (folder / "card.html").read_text(encoding="utf-8")
    tags = Tags(page)
    drawings = [attrs for tag, attrs in tags.found if tag == "svg"]
    assert len(drawings) == 4 and all(d["role"] == "img" and d["aria-label"] for d in drawings)
    ids = [attrs["id"] for _, attrs in tags.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    addresses = [v for _, attrs in tags.found for k, v in attrs.items() if k in ("src", "href", "xlink:href")]
    assert all(address.startswith("#") for address in addresses)
    assert re.search(r"<text[^>]*>melanoma</text>", page)
    assert "No case is in validation." in page and "CC-BY-NC-4.0" in page


def test_same_bytes_again_and_under_two_hash_seeds(folder: Path) -> None:
    def bytes_of() -> list[bytes]:
        return [(folder / name).read_bytes() for name in FILES]

    write_card(folder, tree())
    first = bytes_of()
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "skinr1", "data", "card", str(folder), "--taxonomy", str(folder / "tree.yaml")]
        subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True)
        assert bytes_of() == first
    assert json.loads(first[0])["totals"]["cases"] == len(CASES)


def test_the_command_prints_the_gaps(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert STAGES["data"][1] == "skinr1.data"
    main(["card", str(folder), "--taxonomy", str(folder / "tree.yaml"), "--few", "1"])
    out = capsys.readouterr().out
    assert "gap: No case is in validation." in out and "fewer than" not in out


def test_trajectories_have_a_card_of_the_cases_they_are_of(tmp_path: Path) -> None:
    signs = ("papule", "brown colour", "sharp border")
    cases = [
        case(NEVUS, present=signs, case_id="made"),
        case(MELANOMA, present=("silvery scale",), case_id="in vain"),
        case(NEVUS, present=signs, case_id="tested", split="test"),
    ]
    path = write(tmp_path / "cases", cases)
    (path / "images").mkdir()
    (path / "images" / "a.png").write_bytes(b"picture")
    write_knowledge(tmp_path / "knowledge")
    places = {name: str(tmp_path / name) for name in ("cases", "knowledge")}
    made = tmp_path / "trajectories"
    build(TrajectoriesConfig(**places, output=str(made), taxonomy=str(path / "tree.yaml"), kinds=["direct"]), False)
    card = write_card(made, tree())
    assert card["totals"]["cases"] == 1 and card["trajectories"]["kinds"] == {"direct": {"train": 1}}
    assert card["trajectories"]["diagnoses"] == {"common nevus": {"direct": 1}}
    assert card["trajectories"]["cited"] == {"primer:common-nevus#morphology": 1}
    told = {gap["kind"]: gap for gap in card["gaps"]}
    assert told["no trajectory"]["items"] == ["melanoma (1)"]
    assert told["empty split"]["text"] == "No case is in validation."
    for name in ("card.html", "card.md"):
        assert "1 trajectories" in (made / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["card"], "required"),
        (["look", "x"], "invalid choice"),
        (["card", "no_such_folder"], "no finished stage|file not found"),
        (["card", "FOLDER"], "another taxonomy"),
        (["card", "FOLDER", "--taxonomy", "FOLDER/tree.yaml", "--few", "0"], "few is under 1"),
    ],
)
def test_mistakes_are_one_line(folder: Path, arguments: list[str], what: str) -> None:
    with pytest.raises(UserError, match=what):
        main([part.replace("FOLDER", str(folder)) for part in arguments])


@pytest.mark.real_data
def test_photographs_of_pad_ufes_20(shared_data: Path, tmp_path: Path, taxonomy) -> None:
    from data_builders.cases import main as build_cases

    source = shared_data / "pad_ufes_20"
    if not source.is_dir():
        pytest.skip(f"no {source}")
    build_cases(["--source", "pad_ufes_20", "--path", str(source), "--output", str(tmp_path), "--workers", "1"])
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    told = {gap["kind"]: gap for gap in card["gaps"]}
    assert card["totals"]["cases"] == sum(row["cases"] for row in card["counts"]) > 300
    assert "no dark skin" in told and "missing skin tone" in told and "no commercial use" not in told
