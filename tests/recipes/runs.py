"""Small real inputs for the recipes: rows with images on disk, an untrained model, and a way to launch."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import psutil
from PIL import Image

from skinr1 import prompts
from skinr1.report import DISCLAIMER, SCHEMA_VERSION, Answer, DifferentialEntry, Report, render
from skinr1.taxonomy import Bucket

ROOT = Path(__file__).parents[2]
NEVUS = "neoplasm/benign/melanocytic/common_nevus"
MELANOMA = "neoplasm/malignant/melanocytic/superficial_spreading_melanoma"


def answer(node: str) -> str:
    """A valid answer for a node."""
    bucket = Bucket.BENIGN if node == NEVUS else Bucket.MALIGNANT
    entry = DifferentialEntry(diagnosis=node, probability=0.7, evidence_for=("brown colour",), evidence_against=())
    report = Report(
        schema_version=SCHEMA_VERSION,
        findings=("papule", "brown colour"),
        diagnosis=node,
        condition=bucket,
        differential=(entry,),
        confidence="high",
        advice="routine_visit",
        citations=("primer:common-nevus#morphology",),
        disclaimer=DISCLAIMER,
    )
    return render(
        Answer(f"Seen: papule, brown colour. Conclusion: {node.rpartition('/')[2].replace('_', ' ')}.", report)
    )


def write_rows(folder: Path, count: int = 8) -> Path:
    """sft.jsonl and rl.jsonl over ``count`` pictures of two diagnoses."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    sft, rl = [], []
    for index in range(count):
        node = (NEVUS, MELANOMA)[index % 2]
        pixels = np.random.default_rng(index).integers(0, 120, (112, 112, 3), dtype=np.uint8)
        pixels[..., index % 2] += 100
        name = f"images/{index}.png"
        Image.fromarray(pixels).save(folder / name)
        row: dict[str, Any] = {"prompt": prompts.messages(prompts.REPORT_QUESTION, 1), "images": [name]}
        reply = [{"role": "assistant", "content": [{"type": "text", "text": answer(node)}]}]
        bucket = "benign" if node == NEVUS else "malignant"
        sft.append({**row, "completion": reply})
        truth = {"case_id": str(index), "diagnoses": [node], "condition": bucket}
        rl.append({**row, **truth, "skin_tone": f"fitzpatrick {1 + index % 3}", "source": "test"})
    for name, rows in (("sft", sft), ("rl", rl)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def write_base(folder: Path, family: str) -> Path:
    """An untrained model of a family, small enough that a step takes a tenth of a second."""
    import torch

    from skinr1 import tiny

    size = tiny.TinySize(hidden=64, intermediate=96, layers=2, heads=2, vision_hidden=64, vision_layers=2)
    tokenizer = tiny.train_tokenizer(
        [prompts.SYSTEM, prompts.REPORT_QUESTION, answer(NEVUS), answer(MELANOMA)] * 3, 800
    )
    torch.manual_seed(0)
    tiny.save(tiny.build_model(tokenizer, size, family), tiny.build_processor(tokenizer, 112 * 112, family), folder)
    return folder


def torchrun(script: str, processes: int, *options: object) -> list[str]:
    """The command that runs a recipe."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(processes)]
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    return [*launcher, *rendezvous, str(ROOT / "recipes" / script), *map(str, options)]


def environment() -> dict[str, str]:
    """The recipe's: one thread a process, this tree's modules, and a reward of a user's own."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}


def launch(script: str, *options: object, processes: int = 1) -> str:
    """Runs a recipe under torchrun and returns its output; fails with it when the run fails."""
    command = torchrun(script, processes, *options)
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script} failed:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return done.stdout


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process whose output is piped. At the end all below it get SIGKILL, too: torchrun's workers lead groups."""
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, env=environment(), text=True, **quiet) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                launcher = psutil.Process(process.pid)
                for one in (launcher, *launcher.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.kill()


def program(name: str) -> ModuleType:
    """A recipe as a module, for what needs no process of its own."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "recipes" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def metrics(folder: Path) -> list[dict[str, float]]:
    """Rows of metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
