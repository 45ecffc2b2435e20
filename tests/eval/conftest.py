"""A synthetic run folder for the evaluation scripts: predictions of three models that get better, and their logs."""

import importlib.util
import json
import math
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from skinr1.stage import write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy

TREE = """
version: synthetic
tree:
  neoplasm:
    children:
      benign:
        bucket: benign
        children:
          melanocytic: {children: {common_nevus: {}, blue_nevus: {}}}
          keratinocytic: {children: {seborrheic_keratosis: {}}}
      malignant:
        bucket: malignant
        children:
          melanocytic: {children: {nodular_melanoma: {}}}
          keratinocytic: {children: {basal_cell_carcinoma: {}}}
  inflammatory:
    bucket: non_neoplastic
    children:
      eczematous: {children: {atopic_dermatitis: {}}}
      papulosquamous: {children: {plaque_psoriasis: {}}}
"""
HOSTILE = '</p><script>alert("x")</script><img src=x onerror=alert(1)>{{ 7*7 }}'


def answer(node: str, rival: str, condition: str, thinking: str) -> str:
    signs = ["irregular border", "several colours"]
    report = {
        "schema_version": "v1",
        "findings": [*signs, "asymmetry"],
        "diagnosis": node,
        "condition": condition,
        "differential": [
            {"diagnosis": node, "probability": 0.72, "evidence_for": signs, "evidence_against": []},
            {"diagnosis": rival, "probability": 0.2, "evidence_for": [], "evidence_against": ["asymmetry"]},
        ],
        "confidence": "moderate",
        "advice": "prompt_visit",
        "citations": ["primer:common-nevus#morphology"],
        "disclaimer": "Research software, not a medical device.",
    }
    return f"<think>{thinking}</think>\n{json.dumps(report)}"


def predictions(folder: Path, skill: float, valid: float, tree: Taxonomy, cases: int) -> None:
    """Rows whose answers are right with probability ``skill`` and valid with probability ``valid``."""
    chance, rows = random.Random(f"{skill}"), []
    for number in range(cases):
        truth = tree.leaves[number % len(tree.leaves)]
        said = truth if chance.random() < skill else chance.choice(tree.leaves)
        thinking = f"I see an asymmetric lesion with an irregular border. {HOSTILE if number < 30 else ''}"
        text = answer(said, chance.choice(tree.leaves), tree.bucket(said), thinking)
        if chance.random() > valid:
            text = f"It is a mole I think {HOSTILE}"
        rows.append(
            {
                "case_id": f"case-{number:04}",
                "patient_id": f"patient-{number // 2:04}",
                "source": "rendered",
                "skin_tone": f"fitzpatrick {number % 6 + 1}" if number % 7 else None,
                "diagnoses": [truth],
                "label": truth.rpartition("/")[2],
                "condition": tree.bucket(truth),
                "image": f"images/{number % 12}.png",
                "text": text,
                "finish_reason": "stop",
            }
        )
    write_jsonl(folder / "predictions.jsonl", rows)
    write_manifest(folder, "predict", config={})


def logs(folder: Path) -> None:
    sft = [{"step": s, "loss": 2.5 * math.exp(-s / 40) + 0.2, "entropy": 1 / (1 + s / 20)} for s in range(1, 151)]
    write_jsonl(folder / "sft" / "metrics.jsonl", [*sft, {"step": 150, "train_runtime": 12.5}])
    chance = random.Random(7)
    grpo = [
        {
            "step": s,
            "loss": 0.001,
            "reward": 1.2 + s / 300 + chance.gauss(0, 0.08),
            "rewards/format/mean": 0.9 + s / 2000,
            "rewards/hierarchy/mean": 0.4 + s / 500 + chance.gauss(0, 0.05),
            "rewards/condition/mean": 0.6 + s / 900,
            "kl": s / 4000,
            "entropy": 0.6 - s / 500 if s > 1 else math.nan,
            "completions/mean_length": 120 - s / 5,
        }
        for s in range(1, 121)
    ]
    write_jsonl(folder / "grpo" / "metrics.jsonl", grpo)


def make_run(folder: Path, cases: int = 84, tree: Taxonomy | None = None) -> Path:
    """Writes the folder; ``taxonomy.yaml`` beside it where no tree is given."""
    folder.mkdir(parents=True, exist_ok=True)
    if tree is None:
        (folder / "taxonomy.yaml").write_text(TREE)
        tree = Taxonomy.load(folder / "taxonomy.yaml")
    (folder / "cases" / "images").mkdir(parents=True)
    for number in range(12):
        picture = Image.new("RGB", (112, 112), (230 - 12 * number, 190 - 12 * number, 160 - 10 * number))
        picture.paste((90, 50, 40), (30, 40, 80, 85))
        picture.save(folder / "cases" / "images" / f"{number}.png")
    for name, skill, valid in (("base", 0.05, 0.02), ("sft", 0.55, 0.9), ("grpo", 0.75, 1.0)):
        predictions(folder / "predictions" / name, skill, valid, tree, cases)
    logs(folder)
    return folder


def load(name: str) -> ModuleType:
    """A script of eval/ as a module."""
    path = Path(__file__).parents[2] / "eval" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"eval_{name}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def scripts() -> dict[str, ModuleType]:
    return {name: load(name) for name in ("score", "page", "import_predictions", "compare", "card", "export_benchmark")}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def scored(run: Path, scripts: dict[str, ModuleType]) -> Path:
    """The run folder with scores, each model against the one before it."""
    before = None
    for name in ("base", "sft", "grpo"):
        arguments = [f"--predictions={run}/predictions/{name}", f"--output={run}/scores/{name}", "--resamples=200"]
        arguments += [f"--taxonomy={run}/taxonomy.yaml", *([f"--baseline={before}"] if before else [])]
        scripts["score"].main(arguments)
        before = run / "predictions" / name
    return run
