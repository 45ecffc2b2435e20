"""The recipe of ISIC UDA-1 on the real collection: complete, and no picture on both sides of the split."""

import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from data_builders import cases, splits
from skinr1.cases import Case, read_cases
from skinr1.config import parse
from skinr1.stage import read_jsonl
from tests.recipes.runs import ROOT

pytestmark = pytest.mark.real_data
RECIPE = ROOT / "recipes" / "isic_uda1"


@pytest.fixture(scope="module")
def built(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cases folder as `skinr1 demo` makes it."""
    folder = tmp_path_factory.mktemp("uda1") / "cases"
    raw, config = folder / "unsplit", f"--config={RECIPE / 'cases.yaml'}"
    options = [config, f"--path={shared_data / 'isic_uda1'}", f"--output={raw}", "--seed=17", "--workers=1"]
    cases.build(parse(cases.CasesConfig, options, prog="cases"), progress=False)
    options = [f"--config={RECIPE / 'splits.yaml'}", f"--cases={raw}", f"--output={folder}", "--seed=17", "--workers=1"]
    splits.build(parse(splits.SplitsConfig, options, prog="splits"), progress=False)
    return folder


@pytest.fixture(scope="module")
def found(built: Path) -> list[Case]:
    return list(read_cases(built))


def test_every_row_is_a_case_or_listed(built: Path, found: list[Case]) -> None:
    rejected = list(read_jsonl(built / "unsplit" / "rejected.jsonl"))
    assert len(found) + len(rejected) == 557 and len({case.case_id for case in found}) == len(found) == 555
    assert all("no diagnosis" in row["reason"] for row in rejected)
    assert Counter(case.label for case in found) == {"nevus": 396, "melanoma": 159}
    assert all((built / case.images[0]).is_file() for case in found)
    assert {case.patient_id for case in found} == {case.lesion_id for case in found} == {None}


def test_no_picture_is_on_both_sides(built: Path, shared_data: Path, found: list[Case]) -> None:
    audit = json.loads((built / "audit.json").read_text())
    assert audit["pictures_compared"] and audit["faults"] == []
    split = {case.case_id.removeprefix("isic."): case.split for case in found}
    sides = defaultdict(set)
    for name, side in split.items():
        content = (shared_data / "isic_uda1" / "images" / f"{name}.jpg").read_bytes()
        sides[hashlib.sha256(content).digest()].add(side)
    assert len(sides) == 553 and all(len(side) == 1 for side in sides.values())  # two are there twice, byte by byte
    joined = {tuple(sorted(side["case"] for side in pair["sides"])) for pair in audit["pairs"]}
    assert joined >= {("isic.ISIC_0000279", "isic.ISIC_0000280"), ("isic.ISIC_0000477", "isic.ISIC_0000512")}


def test_both_sides_hold_the_same_mix(found: list[Case]) -> None:
    counts = {split: Counter(case.label for case in found if case.split == split) for split in ("train", "test")}
    assert sum(counts["train"].values()) + sum(counts["test"].values()) == 555
    assert sum(counts["test"].values()) / 555 == pytest.approx(0.35, abs=0.01)
    assert counts["test"]["melanoma"] / 159 == pytest.approx(0.35, abs=0.01)
