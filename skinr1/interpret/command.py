"""``skinr1 interpret``: what a model looks at, in a folder that the page shows.

skinr1 interpret --model runs/demo/merged/grpo --cases runs/demo/cases --predictions runs/demo/predictions/grpo \
    --output runs/demo/interpret/grpo --words "black colour" "scale"
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skinr1 import config, vlm
from skinr1.errors import UserError
from skinr1.interpret.scorer import Scorer
from skinr1.interpret.study import CONCEPTS, HEAT, PROBE, Setting, Study, read_setting
from skinr1.progress import progress_bar
from skinr1.scale import case_files
from skinr1.stage import config_hash, file_hash, write_atomic, write_manifest
from skinr1.taxonomy import Taxonomy

PARTS = {"probe": PROBE, "concepts": CONCEPTS, "heat": HEAT}


@dataclass
class Arguments:
    """Which model, which pictures, which questions. Parts that are finished for the same arguments are kept."""

    model: Path = field(metadata={"help": "Model or adapter folder, Qwen2.5-VL or Qwen3-VL."})
    cases: Path = field(metadata={"help": "Cases folder."})
    predictions: Path = field(metadata={"help": "That model's own answers to the cases, from eval/predict.py."})
    output: Path = field(metadata={"help": "Folder that receives probe.json, tcav.json, heat.json and pictures."})
    parts: list[str] = field(default_factory=lambda: [*PARTS], metadata={"help": f"Of {', '.join(PARTS)}."})
    layer: int = field(default=-1, metadata={"help": "Block of the vision tower; from the end when negative."})
    pool: int = field(default=2000, metadata={"help": "At most so many cases to learn a probe or directions from."})
    concepts: list[str] = field(
        default_factory=list, metadata={"help": "Signs to test; default: all with enough cases."}
    )
    classes: list[str] = field(
        default_factory=list, metadata={"help": "Diagnoses to test them on; default: the three most frequent."}
    )
    gradient_cases: int = field(
        default=60,
        metadata={"help": "At most so many answered cases, of all diagnoses in turn, that gradients are of."},
    )
    prefix: str = field(default="<think>Conclusion: ", metadata={"help": "What stands before a diagnosis' name."})
    rounds: int = field(default=30, metadata={"help": "Random sets for each sign, at least 30."})
    words: list[str] = field(
        default_factory=list, metadata={"help": "Words of the answer to map; default: the first sign it names."}
    )
    case_ids: list[str] = field(
        default_factory=list, metadata={"help": "Cases to map; default: one of each diagnosis."}
    )
    heat_cases: int = field(default=6, metadata={"help": "How many cases are mapped when none is named."})
    window: int = field(default=2, metadata={"help": "Side of the hiding square, in visual tokens."})
    batch: int = field(default=8, metadata={"help": "Pictures the model sees at once."})
    dtype: str = field(default="float32", metadata={"help": "dtype of the weights."})
    seed: int = field(default=17, metadata={"help": "Seed of random sets and orders."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})


def scorer_of(folder: Path, dtype: str, batch: int = 8) -> Scorer:
    """The model on the accelerator where there is one, with its processor."""
    import torch

    model = vlm.load_model(folder, dtype).to("cuda" if torch.cuda.is_available() else "cpu")
    return Scorer(model, vlm.load_processor(vlm.base_of(folder)), batch)


def finished(path: Path, asked: str) -> dict[str, Any] | None:
    """A part's content where it was made for the same arguments."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found if found.get("asked") == asked else None


def weights(model: Path) -> Iterable[Path]:
    """What identifies a model: its own files of weights, and its base's where it is an adapter."""
    folders = {model, Path(vlm.base_of(model))}
    return sorted(path for folder in folders for path in folder.glob("*.safetensors"))


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "skinr1 interpret")
    unknown = [name for name in args.parts if name not in PARTS]
    if unknown:
        raise UserError("no such part", unknown[0], f"Use {', '.join(PARTS)}.")
    config.at_least(args, ("gradient_cases", "heat_cases", "window", "batch"))
    vlm.existing(args.model)
    taxonomy = Taxonomy.load(args.taxonomy)
    inputs = [*weights(args.model), *case_files(args.cases), args.predictions / "predictions.jsonl"]
    names = ("layer", "pool", "concepts", "classes", "gradient_cases", "prefix", "rounds", "words", "case_ids")
    settings = {name: getattr(args, name) for name in (*names, "heat_cases", "window", "dtype", "seed")}
    setting: Setting = read_setting(args.cases, args.predictions, taxonomy, args.pool)
    asked = config_hash([settings, [file_hash(path) for path in inputs], taxonomy.hash])
    done = {name: finished(args.output / PARTS[name], asked) for name in args.parts}
    counts: dict[str, int] = {"answered": len(setting.answered), "pool": len(setting.pool), **setting.left_out}
    if not all(done.values()):
        scorer = scorer_of(args.model, args.dtype, args.batch)
        study = Study(scorer, setting, taxonomy, scorer.check_layer(args.layer), args.seed, args.output)
        with progress_bar() as bar:
            for name in args.parts:
                if done[name] is None:
                    done[name] = _part(name, study, args, bar.track) | {"asked": asked}
                    text = json.dumps(done[name], indent=1, sort_keys=True, ensure_ascii=False) + "\n"
                    write_atomic(args.output / PARTS[name], text)
    write_manifest(
        args.output,
        "interpret",
        config={**settings, "parts": args.parts},
        inputs=inputs,
        seed=args.seed,
        counts=counts,
        taxonomy_hash=taxonomy.hash,
    )
    for name in args.parts:
        print(f"{name}: {(done[name] or {})['words']}")
    print(args.output)


def _part(name: str, study: Study, args: Arguments, watch: Any) -> dict[str, Any]:
    if name == "probe":
        return study.probe(watch)
    if name == "concepts":
        return study.concepts(args.concepts, args.classes, args.gradient_cases, args.prefix, args.rounds, watch)
    return study.heat(args.words, args.case_ids, args.heat_cases, args.window, watch)
