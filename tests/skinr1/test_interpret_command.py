"""``skinr1 interpret`` end to end on untrained models of both families: what it writes, keeps, refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skinr1.cases import Case, Finding, Role
from skinr1.errors import UserError
from skinr1.interpret import command
from skinr1.metrics import read_outcomes
from skinr1.predictions import prediction_row
from skinr1.serving.client import Completion
from skinr1.stage import write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy
from tests.folders import digests
from tests.recipes import runs

TREE = Taxonomy.load()


def write_cases(folder: Path) -> list[Case]:
    """44 pictures of two diagnoses; half have a sign; 8 are the answered test cases."""
    (folder / "images").mkdir(parents=True)
    cases = []
    for n in range(44):
        pixels = np.random.default_rng(n).integers(80, 200, (84, 84, 3), dtype=np.uint8)
        pixels[20:60, 20:60, n % 3] //= 3
        Image.fromarray(pixels).save(folder / "images" / f"{n}.png")
        case = Case(
            case_id=f"c{n:02}",
            source="rendered",
            images=(f"images/{n}.png",),
            role=Role.DENSE,
            diagnoses=((runs.NEVUS, runs.MELANOMA)[n % 2],),
            findings=(Finding(concept="brown colour", present=n % 2 == 0), Finding(concept="scale", present=n == 9)),
            patient_id=f"p{n:02}",
            licence="CC0",
            split="test" if n < 8 else "train",
        )
        cases.append(case)
    write_jsonl(folder / "cases.jsonl", [case.model_dump(mode="json") for case in cases])
    write_manifest(folder, "cases", config={})
    return cases


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp(request.param)
    runs.write_base(folder / "base", request.param)
    cases = write_cases(folder / "cases")
    rows = [
        prediction_row(c, Completion(runs.answer(c.diagnoses[0]), "stop"), TREE) for c in cases if c.split == "test"
    ]
    write_jsonl(folder / "predictions" / "predictions.jsonl", rows)
    write_manifest(folder / "predictions", "predict", config={})
    return folder


def arguments(run: Path, *more: str) -> list[str]:
    places = [f"--{name}={run / name}" for name in ("cases", "predictions")]
    return [f"--model={run / 'base'}", *places, f"--output={run / 'out'}", "--heat_cases=1", *more]


def test_the_folder_holds_probe_concepts_and_maps(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.main(arguments(run))
    made = {
        name: json.loads((run / "out" / f"{name}.json").read_text()) for name in ("probe", "tcav", "heat", "manifest")
    }
    assert made["probe"]["trained_on"] == 36 and made["probe"]["classes"] == 2
    assert made["probe"]["model"]["top1"]["value"] == 1 and made["probe"]["probe"]["top1"]["n"] == 8
    assert len(read_outcomes(run / "out" / "probe", TREE)) == 8
    (row,) = made["tcav"]["classes"][0]["concepts"]
    assert row["name"] == "brown colour" and row["examples"] == 18 and made["tcav"]["too_few"] == {"scale": 1}
    assert [part["node"] for part in made["tcav"]["classes"]] == [runs.NEVUS, runs.MELANOMA]
    assert made["tcav"]["tests"] == 2
    for row in made["heat"]["rows"]:
        assert row["word"] == "papule" and len(row["deletion"]) == len(row["shares"])
        assert row["deletion"][0] == row["insertion"][-1] == pytest.approx(row["log_probability"], abs=1e-3)
        assert Image.open(run / "out" / row["picture"]).format == "PNG"
        rolled = row["rollout"]
        assert np.mean(rolled["heat"]) == pytest.approx(1, abs=1e-3) and Image.open(run / "out" / rolled["picture"])
        assert rolled["random_deletion"] == row["random_deletion"] and rolled["deletion"][-1] == row["deletion"][-1]
        assert np.shape(rolled["heat"]) == np.shape(row["heat"])
    assert made["manifest"]["counts"]["answered"] == 8 and made["manifest"]["counts"]["pool"] == 36
    assert str(run) not in "".join(path.read_text() for path in (run / "out").glob("*.json"))
    out = capsys.readouterr().out
    assert "Of 1 map" in out and "by attention rollout" in out
    before = digests(run / "out")
    (run / "out" / "probe.json").unlink()  # killed before this part
    command.main(arguments(run))
    assert digests(run / "out") == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--parts", "heat", "--case_ids", "nobody"], "case was not answered"),
        (["--parts", "concepts", "--concepts", "wheal"], "no case outside the test split"),
        (["--parts", "concepts", "--concepts", "scale"], "no sign has enough patients"),
        (["--parts", "concepts", "--rounds", "5"], "too few random sets"),
        (["--parts", "probe", "--layer", "7"], "no such layer"),
        (["--parts", "heat", "--window", "0"], "window is under 1"),
        (["--parts", "probe", "--pool", "0"], "no labelled case to train"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Path, more: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        command.main([*arguments(run, *more), f"--output={run / 'refused'}"])


def test_a_word_that_is_not_said_is_listed(run: Path) -> None:
    words = ["--parts", "heat", "--words", "blue-white veil", "--case_ids", "c00", f"--output={run / 'words'}"]
    command.main([*arguments(run), *words])
    heat = json.loads((run / "words" / "heat.json").read_text())
    assert heat["rows"] == [] and heat["not_said"] == [{"case_id": "c00", "word": "blue-white veil"}]
