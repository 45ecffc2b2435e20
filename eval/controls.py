"""Runs the negative controls on a model's predictions, and says in words whether the model uses the image.

python eval/controls.py --run runs/demo --model grpo --url http://127.0.0.1:8000/v1

Asks the model again without an image and with another patient's image, and answers from the training labels and from
what is written about the patient alone. All of it is scored on the cases of RUN/predictions/MODEL and paired with the
model's own answers. A run that was stopped asks nothing twice. Without --url the model is not asked, and whether it
uses the image stays unknown.
"""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from skinr1 import config
from skinr1.controls.asked import Asked, Interview, Round
from skinr1.controls.exchange import exchanged, without_images
from skinr1.controls.report import table
from skinr1.controls.rows import rows
from skinr1.controls.subject import ENTIRE, Subject
from skinr1.controls.words import NO_IMAGE, SHUFFLED, verdict, words
from skinr1.interpret.setting import read_setting
from skinr1.metrics.catalogue import Seen
from skinr1.metrics.statistics import RESAMPLES
from skinr1.metrics.tree import Tree
from skinr1.predictions import PREDICTIONS
from skinr1.progress import progress_bar
from skinr1.scale import case_files
from skinr1.stage import write_atomic, write_manifest
from skinr1.taxonomy import Taxonomy

CONTROLS = "controls.json"


@dataclass
class Arguments:
    """Whose predictions, and who is asked. Folders not given lie in the run folder."""

    run: Path = field(metadata={"help": "Run folder, e.g. runs/demo."})
    model: str = field(metadata={"help": "Folder below RUN/predictions; its manifest says how the model was asked."})
    url: str | None = field(
        default=None,
        metadata={"help": "OpenAI-compatible server of the same model, ending in /v1."},
    )
    cases: Path | None = field(default=None, metadata={"help": "Cases folder, with the training split."})
    output: Path | None = field(default=None, metadata={"help": "Default: RUN/controls/MODEL, where the page looks."})
    concurrency: int = field(default=32, metadata={"help": "Requests under way at once."})
    resamples: int = field(default=RESAMPLES, metadata={"help": "Bootstrap resamples of patients."})
    seed: int = field(default=17, metadata={"help": "Seed of the exchange, of draws and of the resampling."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})

    @property
    def predictions(self) -> Path:
        return self.run / "predictions" / self.model


def read_subject(args: Arguments, taxonomy: Taxonomy) -> Subject:
    """Raises UserError for predictions or cases that are missing or do not belong together."""
    setting = read_setting(args.cases or args.run / "cases", args.predictions, taxonomy, ENTIRE)
    output = args.output or args.run / "controls" / args.model
    return Subject(setting, taxonomy, Tree(taxonomy), args.seed, output)


def ask(args: Arguments, url: str, subject: Subject, progress: Progress) -> dict[str, Seen]:
    """The controls that ask the model."""
    asked = Asked.of(args.predictions)
    rounds = {
        NO_IMAGE: Round(without_images(subject.answered)),
        SHUFFLED: Round(exchanged(subject.answered, args.seed)),
    }
    bars = {name: progress.add_task(f"ask: {name}", total=len(one.requests)) for name, one in rounds.items()}
    interview = Interview(asked, subject.setting.folder, subject.output, subject.taxonomy, args.concurrency)
    answers = asyncio.run(interview.ask(url, rounds, lambda name: progress.advance(bars[name])))
    return {
        name: subject.keep(name, found, f"{name}: a negative control, not the model's own answers")
        for name, found in answers.items()
    }


def write(args: Arguments, subject: Subject, found: dict[str, Any]) -> None:
    """Writes controls.json, then the manifest."""
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    write_atomic(subject.output / CONTROLS, text)
    write_manifest(
        subject.output,
        "controls",
        config={"model": args.model, "asked": args.url is not None, "resamples": args.resamples},
        inputs=[args.predictions / PREDICTIONS, *case_files(subject.setting.folder)],
        seed=args.seed,
        counts={"answered": len(subject.answered), "train": len(subject.train), **subject.setting.left_out},
        taxonomy_hash=subject.taxonomy.hash,
    )


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "controls")
    taxonomy = Taxonomy.load(args.taxonomy)
    subject = read_subject(args, taxonomy)
    controls: dict[str, Seen] = {}
    with progress_bar() as progress:
        if args.url:
            controls |= ask(args, args.url, subject, progress)
        controls |= subject.unseeing()
    made = rows(subject.own, controls, args.resamples, args.seed)
    told = words(made)
    write(args, subject, {"model": args.model, "verdict": verdict(made), "words": " ".join(told), "rows": made})
    console = Console()
    console.print(table(made))
    for sentence in told:
        console.print(f"- {sentence}", highlight=False, soft_wrap=True)
    console.print(f"{subject.output / CONTROLS}", soft_wrap=True)


if __name__ == "__main__":
    config.run(main)
