"""eval/controls.py against a small HTTP server: a model that looks, one that does not, a run that is cut off."""

import base64
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skinr1.cases import Case, Role, read_cases
from skinr1.errors import UserError
from skinr1.metrics import read_outcomes
from skinr1.predictions import prediction_row
from skinr1.serving import process
from skinr1.serving.client import Completion
from skinr1.stage import write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy
from tests.eval.conftest import load
from tests.folders import digests
from tests.llm_server import FakeModel, error, served
from tests.recipes.runs import MELANOMA, NEVUS, answer, write_base

TREE = Taxonomy.load()
TESTED, TRAINED = 40, 60
# Each has a colour of its own on the pictures, and an age of its own for most patients.
NODES = (
    NEVUS,
    MELANOMA,
    "inflammatory/eczematous/dermatitis/nummular_eczema",
    "infectious/viral/papillomavirus/common_wart",
)
AGES = (20, 40, 60, 80)


def looks(body: dict[str, Any]) -> str:
    """Goes by the colour of the picture; without one it says nothing that counts."""
    for part in body["messages"][-1]["content"]:
        if part["type"] == "image_url":
            data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
            red, green, blue = np.asarray(Image.open(io.BytesIO(data)), dtype=float).mean(axis=(0, 1))
            if max(red, green, blue) - min(red, green, blue) < 40:
                return answer(NODES[3])
            return answer(NODES[int(np.argmax([red, green, blue]))])
    return "I see no picture."


def reads(body: dict[str, Any]) -> str:
    """Goes by the age that it is told."""
    found = re.search(r"age (\d+)", body["messages"][-1]["content"][-1]["text"])
    return answer(NODES[AGES.index(int(found[1]))]) if found else "How old?"


def takes_the_first(body: dict[str, Any]) -> str:
    """Names the first option of a choice; else goes by the colour."""
    found = re.search(r"One of these is the diagnosis: ([^;]+);", body["messages"][-1]["content"][-1]["text"])
    return answer(next(node for node in NODES if TREE.node(node).name == found[1])) if found else looks(body)


def write_cases(folder: Path) -> None:
    """One in five has the age of another diagnosis; two sources, and all pictures of the second are brighter."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for n in range(TESTED + TRAINED):
        kind = n % 4
        pixels = np.random.default_rng(n).integers(60, 120, (56, 56, 3), dtype=np.uint8) + 40 * (n // 4 % 2)
        if kind < 3:
            pixels[..., kind] += 80
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{n}.png")
        case = Case(
            case_id=f"c{n:03}",
            source=("clinic", "street")[n // 4 % 2],
            images=(f"images/{n}.png",),
            role=Role.SPARSE,
            diagnoses=(NODES[kind],),
            patient_id=f"p{n:03}",
            age=AGES[kind] if n % 5 else AGES[(kind + 1) % 4],
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
def ask(run: Path, scripts: dict[str, ModuleType]) -> Any:
    """Has a model predict, then runs the controls on it; returns what they found."""

    def go(answers: Any, name: str, *more: str) -> tuple[dict[str, Any], FakeModel]:
        model = FakeModel(answers, names=(name,))
        with served(model) as url:
            common = [f"--model={name}", f"--url={url}"]
            predictions = [f"--cases={run / 'cases'}", f"--output={run / 'predictions' / name}"]
            scripts["predict"].main([*common, *predictions])
            model.asked.clear()
            scripts["controls"].main([*common, f"--run={run}", "--resamples=200", *more])
        return json.loads((run / "controls" / name / "controls.json").read_text()), model

    return go


def named(found: dict[str, Any]) -> dict[str, Any]:
    return {row["name"]: row for row in found["rows"]}


def test_a_model_that_looks_is_told_from_one_that_reads(ask: Any, run: Path, capsys: pytest.CaptureFixture) -> None:
    looked, _ = ask(looks, "looks")
    assert looked["verdict"] == "uses the image"
    rows = named(looked)
    assert rows["model"]["top1"]["value"] == 1 and rows["no image"]["valid_report_rate"]["value"] == 0
    assert rows["shuffled image"]["top1"]["value"] < 0.5
    assert rows["metadata only"]["top1"]["value"] == 0.8 and rows["training majority"]["top1"]["value"] == 0.25
    assert looked["options"]["same_in_every_order"]["value"] == 1 and looked["options"]["p_place"] == 1
    out = capsys.readouterr().out
    assert "The model uses the image" in out and "shuffled image" in out and "Not run: linear probe" in out
    for control in ("no_image", "shuffled_image", "training_majority", "training_frequencies", "metadata_only"):
        assert len(read_outcomes(run / "controls" / "looks" / control, TREE)) == TESTED
    manifest = (run / "controls" / "looks" / "manifest.json").read_text()
    assert json.loads(manifest)["counts"]["train"] == TRAINED and str(run) not in manifest

    read, _ = ask(reads, "reads", "--choice_cases=0")
    assert read["verdict"] == "no use of the image shown" and read["options"] is None
    same = named(read)["shuffled image"]
    assert same["beside"]["same_diagnosis"]["value"] == 1 and same["model_minus"]["top1"]["value"] == 0
    assert "not shown to differ from that of metadata only" in read["words"]
    assert "option order, too few diagnoses" in read["words"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("model") / "base", "qwen2_5_vl")


def test_the_vision_tower_is_probed_and_the_order_of_options_found_out(ask: Any, run: Path, weights: Path) -> None:
    found, model = ask(takes_the_first, "first", f"--weights={weights}")
    assert found["not_run"] == [] and model.calls == TESTED + 4 * TESTED + 4
    assert found["options"]["named_in_place_1"]["value"] == 1 and found["options"]["p_place"] < 1e-6
    assert "where the true one stands matters" in found["words"]
    assert named(found)["linear probe"]["top1"]["n"] == TESTED
    source, modality = found["centres"]
    assert source["values"] == ["clinic", "street"] and source["robustness_index"]["n"] == TESTED
    assert source["kappa_of_centre"]["value"] > 0.5  # brightness is there to be read, even by untrained weights
    assert modality == {"attribute": "modality", "why": "fewer than two values, none known"}
    before = digests(run / "controls")
    again, model = ask(takes_the_first, "first", f"--weights={weights}")
    assert again == found and model.calls == 0 and digests(run / "controls") == before


def test_without_an_address_the_weights_are_served(
    ask: Any, run: Path, weights: Path, scripts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = ask(looks, "m", "--choice_cases=0")
    started = []

    @contextmanager
    def start(serving: process.ServeConfig) -> Iterator[SimpleNamespace]:
        started.append(serving)
        with served(FakeModel(looks, names=("m",))) as url:
            yield SimpleNamespace(url=url)

    monkeypatch.setattr(process, "start", start)
    command = [f"--run={run}", "--model=m", f"--weights={weights}", "--choice_cases=0", "--resamples=200"]
    scripts["controls"].main([*command, f"--output={run / 'served'}"])
    assert (started[0].model, started[0].name, started[0].max_images) == (str(weights), "m", 1)
    rows = named(json.loads((run / "served" / "controls.json").read_text()))
    assert rows.pop("linear probe")["top1"]["n"] == TESTED and rows == named(found)


def test_a_run_that_is_cut_off_asks_nothing_twice(ask: Any, run: Path) -> None:
    _, model = ask(looks, "m", "--choice_cases=0")
    exchanged, unseen = TESTED, 4  # without a picture only four ages are left to ask about
    assert model.calls == exchanged + unseen and set(model.asked.values()) == {1}
    journal = run / "controls" / "m" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:30]) + lines[30][:20])  # killed while it wrote
    whole = {name: digest for name, digest in digests(run / "controls").items() if "journal" not in str(name)}
    _, again = ask(looks, "m", "--choice_cases=0")
    assert again.calls == exchanged + unseen - 30
    assert {name: digest for name, digest in digests(run / "controls").items() if "journal" not in str(name)} == whole


def test_without_a_server_the_verdict_is_open(run: Path, scripts: dict[str, ModuleType]) -> None:
    cases = [case for case in read_cases(run / "cases") if case.split == "test"]
    rows = [prediction_row(case, Completion(answer(case.diagnoses[0]), "stop"), TREE) for case in cases]
    write_jsonl(run / "predictions" / "m" / "predictions.jsonl", rows)
    write_manifest(run / "predictions" / "m", "predict", config={})
    scripts["controls"].main([f"--run={run}", "--model=m", "--resamples=20"])
    found = json.loads((run / "controls" / "m" / "controls.json").read_text())
    assert found["verdict"] == "not known" and len(found["not_run"]) == 2
    assert list(named(found)) == ["model", "training majority", "training frequencies", "metadata only"]
    write_jsonl(run / "cases" / "cases.jsonl", [case.model_dump(mode="json") for case in cases])  # no training split
    scripts["controls"].main([f"--run={run}", "--model=m", "--resamples=20"])
    found = json.loads((run / "controls" / "m" / "controls.json").read_text())
    assert list(named(found)) == ["model"] and "the split train has none" in found["words"]


def test_what_cannot_be_repeated_is_refused(ask: Any, run: Path, scripts: dict[str, ModuleType]) -> None:
    ask(reads, "m", "--choice_cases=0")
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
