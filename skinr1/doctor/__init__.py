"""``skinr1 doctor``: is this machine fit for it, does a recipe fit a GPU, what will it cost.

skinr1 doctor
skinr1 doctor --recipe recipes/qwen2_5_vl_7b/sft.yaml --gpu a100-40 --gpus 2
skinr1 doctor --costs true --format markdown
skinr1 doctor --parity runs/demo/sft
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from skinr1 import config
from skinr1.doctor.versions import Finding, packages, programs
from skinr1.errors import UserError

FORMATS = ("table", "json", "markdown")


@dataclass
class Arguments:
    """Without options: versions and programs. With --recipe: memory of one GPU. With --costs: a page of costs.

    With --parity: whether vLLM sees the prompts that training saw.
    """

    recipe: Path | None = field(default=None, metadata={"help": "YAML of sft.py or grpo.py."})
    model: str | None = field(default=None, metadata={"help": "Base of the recipe's model, where that is an adapter."})
    gpu: str = field(default="h100-80", metadata={"help": "Kind of GPU: h100-80, h200-141, a100-80, a100-40 …"})
    gpus: int = field(default=8, metadata={"help": "How many."})
    zero: int = field(default=2, metadata={"help": "DeepSpeed's ZeRO stage: 0, 2 or 3."})
    offload: bool = field(default=False, metadata={"help": "Optimizer's states in the host's memory."})
    costs: bool = field(default=False, metadata={"help": "Tokens, FLOPs, memory and hours of 1 to 8 GPUs."})
    parity: Path | None = field(default=None, metadata={"help": "Model or adapter: its processor beside vLLM's."})
    format: str = field(default="table", metadata={"help": f"{', '.join(FORMATS)}; markdown for --costs only."})


def recipe_plan(path: Path) -> tuple[str, dict[str, Any]]:
    """The base of the recipe's model and what of it decides memory: fields of :class:`skinr1.doctor.estimates.Plan`.

    Raises:
        UserError: no such file, or no recipe of SFT or GRPO.
    """
    if not path.is_file():
        raise UserError("recipe not found", str(path), "Correct the path.")
    recipe = _read(path)
    if not {"per_device_train_batch_size", "model"} <= recipe.keys():
        raise UserError("no training recipe", str(path), "Give the YAML of sft.py or grpo.py.")
    rows = recipe["per_device_train_batch_size"]
    if "max_completion_length" in recipe:
        prompts = max(1, rows // recipe.get("num_generations", 8))
        tokens = prompts * recipe.get("max_prompt_tokens", 2048) + rows * recipe["max_completion_length"]
    else:
        tokens = rows * recipe.get("max_row_tokens", 2048)
    colocated = recipe.get("vllm_mode", "colocate") == "colocate"
    share = recipe.get("vllm_gpu_memory_utilization", 0.3) if colocated else 0.0
    return _base(path.parent, str(recipe["model"])), {
        "tokens": tokens,
        "rank": recipe.get("lora_rank", 64),
        "checkpointing": bool(recipe.get("gradient_checkpointing", True)),
        "rollout_share": share if recipe.get("use_vllm") else 0.0,
        "rollout_parts": recipe.get("vllm_tensor_parallel_size", 1),
        "reference": bool(recipe.get("beta", 0.0)),
    }


def _read(path: Path) -> dict[str, Any]:
    """The keys of a YAML file; none where it holds something else. Raises UserError for a file that is not YAML."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise UserError("not readable as YAML", str(path), "Correct or remove the file.") from None
    return content if isinstance(content, dict) else {}


def _base(recipes: Path, model: str) -> str:
    """What a model is trained from, where the recipes beside it say whose output it is; it need not be there yet."""
    found = [_read(path) for path in sorted(recipes.glob("*.yaml"))]
    made = {recipe["output_dir"]: recipe["model"] for recipe in found if {"output_dir", "model"} <= recipe.keys()}
    while model in made:
        model = made.pop(model)
    return model


def check_recipe(args: Arguments, path: Path) -> dict[str, float]:
    """GiB of one GPU by what takes them, the GPU's own as ``of``, and whether it ``fits``.

    Raises:
        UserError: an unknown model or GPU.
    """
    from skinr1.doctor.estimates import GPUS, Plan, fits, memory
    from skinr1.doctor.models import model

    if args.gpus < 1 or args.zero not in (0, 2, 3):
        raise UserError("gpus is under 1, or zero not 0, 2 or 3", f"{args.gpus}, {args.zero}", "Correct them.")
    named, what = recipe_plan(path)
    made, gpu = model(args.model or named), GPUS[args.gpu]
    plan = Plan(args.gpus, zero=args.zero, offload=args.offload, **what)
    return {**memory(made, plan, gpu), "of": gpu.memory_gib, "fits": fits(made, plan, gpu)}


def _parity(folder: Path) -> list[Finding]:
    from skinr1.doctor.parity import parity

    return parity(folder)


def _versions_table(findings: Sequence[Finding]) -> Table:
    table = Table("what", "found", "wanted", "for", "state")
    for finding in findings:
        style = None if finding.state == "ok" else "bold"
        table.add_row(finding.what, finding.found, finding.wanted, finding.needed, finding.state, style=style)
    return table


def main(argv: Sequence[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "skinr1 doctor")
    if args.format not in FORMATS or (args.format == "markdown" and not args.costs):
        raise UserError("unknown format here", args.format, "Use table or json; markdown goes with --costs true.")
    console = Console()
    if not args.costs and args.recipe is None:
        found = [*packages(), *programs()] if args.parity is None else _parity(args.parity)
        if args.format == "json":
            print(json.dumps([asdict(finding) for finding in found], indent=2))
        else:
            console.print(_versions_table(found))
        return
    from skinr1.doctor.costs import Workload, costs, markdown
    from skinr1.doctor.estimates import GPUS

    if args.gpu not in GPUS:
        raise UserError("unknown GPU", repr(args.gpu), f"Use one of {', '.join(GPUS)}.")
    if args.costs:
        if args.format == "json":
            print(json.dumps([asdict(cost) for cost in costs(args.gpu, Workload())], indent=2))
        else:
            sys.stdout.write(markdown(args.gpu, Workload()))
        return
    assert args.recipe is not None
    memory = check_recipe(args, args.recipe)
    if args.format == "json":
        print(json.dumps(memory, indent=2))
        return
    table = Table("takes memory", "GiB", title=f"{args.recipe.name} on one of {args.gpus} {args.gpu}, an estimate")
    for name, value in memory.items():
        if name not in ("of", "fits"):
            table.add_row(name, f"{value:.1f}", style="bold" if name == "total" else None)
    console.print(table)
    console.print(f"{'fits' if memory['fits'] else 'does not fit'} into {memory['of']:.0f} GiB")
    if not memory["fits"] and memory["total"] <= memory["of"]:
        console.print("vLLM's share does not hold the weights: raise vllm_gpu_memory_utilization")


if __name__ == "__main__":
    config.run(main)
