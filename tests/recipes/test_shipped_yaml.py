"""Every shipped recipe goes through the real parser and, on a tiny model of its family, through two steps."""

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from skinr1 import config, vlm
from skinr1.training.grpo import GrpoConfig
from skinr1.training.sft import SftConfig
from tests.recipes import runs

DATA = ("aliases.yaml", "book.yaml", "gateway.yaml", "vllm-values.yaml")  # what a recipe or Kubernetes reads
RECIPES = sorted(path for path in (runs.ROOT / "recipes").glob("*/*.yaml") if path.name not in DATA)
PROGRAMS = {"sft": SftConfig, "grpo": GrpoConfig}
TRAINING = [path for path in RECIPES if path.stem.partition("_")[0] in PROGRAMS]
GPU = [path for path in TRAINING if path.parent.name.startswith("qwen")]
ON_CPU = (
    *("--use_cpu", "true", "--bf16", "false", "--dtype", "float32", "--gradient_checkpointing", "false"),
    *("--max_steps", 2, "--report_to", "none", "--logging_steps", 1, "--save_strategy", "no", "--lora_rank", 4),
)


def family_of(path: Path) -> str:
    return path.parent.name.rpartition("_")[0]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_header_names_the_command(path: Path):
    header = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert f"--config recipes/{path.parent.name}/{path.name}" in header


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_key_is_known(path: Path, tmp_path: Path):
    name = path.stem.partition("_")[0]
    program, trainer_config = runs.program(name), PROGRAMS[name]
    options = ["--config", str(path), "--use_cpu", "true", "--bf16", "false", "--output_dir", str(tmp_path)]
    if name == "grpo":
        options += ["--use_vllm", "false"]
    parsed = config.parse_many((program.Arguments, vlm.LoraArguments, trainer_config), options)
    wanted = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert str(parsed[0].model) == wanted["model"]
    assert parsed[2].learning_rate == wanted["learning_rate"]


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted({family_of(path) for path in GPU}))
def test_gpu_recipes_run_two_steps_on_a_tiny_model(family: str, tmp_path: Path):
    rows = runs.write_rows(tmp_path / "rows")
    base = runs.write_base(tmp_path / "base", family)
    sft, grpo = (
        next(path for path in GPU if family_of(path) == family and path.stem == stem) for stem in ("sft", "grpo")
    )
    files = ("--train_file", rows / "sft.jsonl", "--validation_file", rows / "sft.jsonl")
    runs.launch("sft.py", "--config", sft, "--model", base, *files, "--output_dir", tmp_path / "sft", *ON_CPU)
    rollouts = ("--use_vllm", "false", "--vllm_enable_sleep_mode", "false", "--max_completion_length", 16)
    files = ("--train_file", rows / "rl.jsonl", "--output_dir", tmp_path / "grpo")
    runs.launch("grpo.py", "--config", grpo, "--model", tmp_path / "sft", *files, *ON_CPU, *rollouts)
    assert (tmp_path / "grpo" / "adapter_model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows"), [("sft", "sft"), ("grpo", "rl")])
def test_full_fine_tuning_runs_two_steps_under_zero3_with_offload(tmp_path: Path, name: str, rows: str):
    """All parameters, two processes, and the optimizer in the host's memory: DeepSpeed's own Adam for CPUs."""
    folder, base = runs.write_rows(tmp_path / "rows"), runs.write_base(tmp_path / "base", "qwen2_5_vl")
    recipe = runs.ROOT / "recipes" / "qwen2_5_vl_7b" / f"{name}_full.yaml"
    files = ("--model", base, "--train_file", folder / f"{rows}.jsonl", "--output_dir", tmp_path / "run")
    options = ("--lora_rank", 0, "--deepspeed", runs.ROOT / "recipes" / "deepspeed" / "zero3_offload.json")
    own = {
        "sft": ("--validation_file", folder / "sft.jsonl"),
        "grpo": ("--use_vllm", "false", "--max_completion_length", 16),
    }
    runs.launch(f"{name}.py", "--config", recipe, *files, *ON_CPU, *options, *own[name], processes=2)
    before, after = (load_file(path / "model.safetensors") for path in (base, tmp_path / "run"))
    assert before.keys() == after.keys()
    assert name == "grpo" or any(not torch.equal(before[key], after[key]) for key in before)  # untrained: no reward
