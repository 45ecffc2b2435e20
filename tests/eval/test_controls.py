"""eval/controls.py against a small HTTP server: a model that looks, one that does not, a run that is cut off."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skinr1.cases import Case, Role
from skinr1.errors import UserError
from skinr1.metrics import read_outcomes
from skinr1.stage import write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy
from tests.eval.conftest import load
from tests.folders import digests
from tests.llm_server import FakeModel, error, served
from tests.recipes.runs import MELANOMA, NEVUS, answer

TREE = Taxonomy.load()
TESTED, TRAINED = 40, 60


def picture_of(body: dict[str, Any]) -> np.ndarray | None:
    """The first picture of a request."""
    for part in body["messages"][-1]["content"]:
        if part["type"] == "image_url":
            data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
            return np.asarray(Image.open(io.BytesIO(data)), dtype=float)
    return None


def looks(body: dict[str, Any]) -> str:
    """Red is melanoma; without a picture it says nothing that counts."""
    pixels = picture_of(body)
    if pixels is None:
        return "I see no picture."
    return answer(MELANOMA if pixels[..., 0].mean() > pixels[..., 2].mean() else NEVUS)


def reads(body: dict[str, Any]) -> str:
    """Goes by the age it is told."""
    found = re.search(r"age (\d+)", body["messages"][-1]["content"][-1]["text"])
    return answer(MELANOMA if found and int(found[1]) > 50 else NEVUS)


def write_cases(folder: Path) -> None:
    """Melanomas are red and old, nevi blue and young, with one in five the other way round in age."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for n in range(TESTED + TRAINED):
        melanoma = n % 2 == 1
        pixels = np.random.default_rng(n).integers(60, 120, (56, 56, 3), dtype=np.uint8)
        pixels[..., 0 if melanoma else 2] += 80
        Image.fromarray(pixels).save(folder / "images" / f"{n}.png")
        case = Case(
            case_id=f"c{n:03}",
            source="test",
            images=(f"images/{n}.png",),
            role=Role.SPARSE,
            diagnoses=(MELANOMA if melanoma else NEVUS,),
            patient_id=f"p{n:03}",
            age=(70 if melanoma else 30) if n % 5 else (30 if melanoma else 70),
            licence="CC0",
            split="test" if n < TESTED else "train",
        )
        rows.append(case.model_dump(mode="json"))
    write_jsonl(folder / "cases.jsonl", rows)
    write_manifest(folder, "cases", config={})


@pytest.fixture(scope="module")
def scripts() -> dict[str, ModuleType]:
    return {name: load(name) for name in ("predict", "controls")}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_cases(tmp_path / "cases")
    return tmp_path


@pytest.fixture
def ask(run: Path, scripts: dict[str, ModuleType]) -> Iterator[Any]:
    """Has a model predict, then runs the controls on it; returns what they found."""

    def go(model: FakeModel, name: str) -> dict[str, Any]:
        with served(model) as url:
            common = [f"--model={name}", f"--url={url}"]
            predictions = [f"--cases={run / 'cases'}", f"--output={run / 'predictions' / name}"]
            scripts["predict"].main([*common, *predictions])
            scripts["controls"].main([*common, f"--run={run}", "--resamples=200"])
        return json.loads((run / "controls" / name / "controls.json").read_text())

    yield go


def test_a_model_that_looks_is_told_from_one_that_reads(ask: Any, run: Path, capsys: pytest.CaptureFixture) -> None:
    found = {name: ask(FakeModel(look, names=(name,)), name) for name, look in (("looks", looks), ("reads", reads))}
    assert found["looks"]["verdict"] == "uses the image"
    assert found["reads"]["verdict"] == "no use of the image shown"
    rows = {row["name"]: row for row in found["looks"]["rows"]}
    assert rows["model"]["top1"]["value"] == 1 and rows["no image"]["valid_report_rate"]["value"] == 0
    assert 0.2 < rows["shuffled image"]["top1"]["value"] < 0.8
    assert rows["metadata only"]["top1"]["value"] == 0.8 and rows["training majority"]["top1"]["value"] == 0.5
    same = {row["name"]: row for row in found["reads"]["rows"]}["shuffled image"]
    assert same["beside"]["same_diagnosis"]["value"] == 1 and same["model_minus"]["top1"]["value"] == 0
    assert "not shown to differ from that of metadata only" in found["reads"]["words"]
    out = capsys.readouterr().out
    assert "The model uses the image" in out and "shuffled image" in out
    for control in ("no_image", "shuffled_image", "training_majority", "training_frequencies", "metadata_only"):
        assert len(read_outcomes(run / "controls" / "looks" / control, TREE)) == TESTED
    manifest = (run / "controls" / "looks" / "manifest.json").read_text()
    assert json.loads(manifest)["counts"]["train"] == TRAINED and str(run) not in manifest


def test_a_run_that_is_cut_off_asks_nothing_twice(ask: Any, run: Path) -> None:
    model = FakeModel(looks, names=("m",))
    ask(model, "m")
    whole = digests(run / "controls")
    own, exchanged, unseen = TESTED, TESTED, 2  # without a picture only two ages are left to ask about
    assert model.calls == own + exchanged + unseen
    journal = run / "controls" / "m" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:30]) + lines[30][:20])  # killed while it wrote
    again = FakeModel(looks, names=("m",))
    ask(again, "m")
    assert again.calls == exchanged + unseen - 30  # the predictions are a stage of their own, and finished
    assert {name: digest for name, digest in digests(run / "controls").items() if "journal" not in str(name)} == {
        name: digest for name, digest in whole.items() if "journal" not in str(name)
    }


def test_without_a_server_the_verdict_is_open(ask: Any, run: Path, scripts: dict[str, ModuleType]) -> None:
    ask(FakeModel(looks, names=("m",)), "m")
    scripts["controls"].main([f"--run={run}", "--model=m", f"--output={run / 'unasked'}", "--resamples=20"])
    found = json.loads((run / "unasked" / "controls.json").read_text())
    assert found["verdict"] == "not known"
    names = [row["name"] for row in found["rows"]]
    assert names == ["model", "training majority", "training frequencies", "metadata only"]


def test_what_cannot_be_repeated_is_refused(ask: Any, run: Path, scripts: dict[str, ModuleType]) -> None:
    ask(FakeModel(reads, names=("m",)), "m")
    command = [f"--run={run}", "--model=m", f"--output={run / 'refused'}"]
    with (
        served(FakeModel(reads, faults=[error(400, "at most 0 image(s)")], names=("m",))) as url,
        pytest.raises(UserError, match="at most 0 image"),
    ):
        scripts["controls"].main([*command, f"--url={url}"])
    path = run / "predictions" / "m" / "manifest.json"
    manifest = json.loads(path.read_text())
    config = manifest["config"]
    for changed, message in (
        ({}, "not asked for by eval/predict"),
        (config | {"prompt_version": "1"}, "answers are to an older prompt"),
    ):
        path.write_text(json.dumps(manifest | {"config": changed}))
        with pytest.raises(UserError, match=message):
            scripts["controls"].main([*command, "--url=http://127.0.0.1:1/v1"])
    path.unlink()
    with pytest.raises(UserError, match="no finished stage here"):
        scripts["controls"].main(command)
