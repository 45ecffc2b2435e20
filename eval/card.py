"""A model card in Hugging Face's form (README.md), filled from the folders of a run.

python eval/card.py --model runs/demo/grpo --stages runs/demo/trajectories runs/demo/sft runs/demo/rl runs/demo/grpo \
    --cases runs/demo/cases --predictions runs/demo/predictions/grpo --scores runs/demo/scores/grpo
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from skinr1 import config
from skinr1.errors import UserError
from skinr1.modelcard import Splits, Subject, model_card, read_stages
from skinr1.stage import read_manifest, write_atomic
from skinr1.taxonomy import Taxonomy
from skinr1.weights import ADAPTER_CONFIG


@dataclass
class Arguments:
    """Which model, made by what, scored how."""

    model: Path = field(metadata={"help": "Model or adapter folder; receives README.md unless --output is given."})
    stages: list[Path] = field(
        metadata={"help": "Folders of all stages that made it, in order: licences, seeds, hashes."}
    )
    cases: Path = field(metadata={"help": "Cases folder with the splits."})
    predictions: Path = field(metadata={"help": "Its predictions folder."})
    scores: Path = field(metadata={"help": "Its scores folder."})
    name: str = field(default="", metadata={"help": "Name of the model; default: the folder's."})
    license: str = field(default="", metadata={"help": "Licence of the weights, as you state it."})
    controls: Path | None = field(default=None, metadata={"help": "controls.json of this model."})
    output: Path | None = field(default=None, metadata={"help": "File to write."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})


def read_json(path: Path) -> dict:
    """The object in a file. Raises UserError when it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError("file not found", str(path), "Run the script that writes it.") from None
    except ValueError:  # neither JSON nor UTF-8
        raise UserError("not JSON", str(path), "Run the script that writes it again.") from None


def base_model(folder: Path) -> str:
    """What an adapter names as its base: a hub name as it stands, of a folder only its name."""
    recorded = (
        read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
        if (folder / ADAPTER_CONFIG).is_file()
        else None
    )
    return "" if recorded is None else recorded if recorded.count("/") == 1 else Path(recorded).name


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "card")
    if not args.model.is_dir():
        raise UserError("no such model folder", str(args.model), "Correct --model.")
    stages = read_stages(args.stages)
    subject = Subject(
        name=args.name or args.model.resolve().name,
        base_model=base_model(args.model),
        adapter=(args.model / ADAPTER_CONFIG).is_file(),
        stages=stages,
        scores=read_json(args.scores / "scores.json"),
        prediction=read_manifest(args.predictions),
        splits=Splits.of(args.cases),
        taxonomy=Taxonomy.load(args.taxonomy),
        controls=read_json(args.controls) if args.controls else None,
        licence=args.license,
        notes=list(dict.fromkeys(note for made in stages.values() for note in made.get("notes") or ())),
    )
    output = args.output or args.model / "README.md"
    write_atomic(output, model_card(subject))
    if subject.splits.straddling:
        print(f"warning: {subject.splits.straddling} patients are in more than one split; the card says so")
    print(output)


if __name__ == "__main__":
    config.run(main)
