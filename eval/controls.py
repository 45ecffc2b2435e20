"""Runs the negative controls on a model's predictions, and says in words whether the model uses the image.

python eval/controls.py --run runs/demo --model grpo --url http://127.0.0.1:8000/v1 --weights runs/demo/merged/grpo

Asks the model again without an image, with another patient's image, and choice questions with the options in every
order; answers from the training labels, from what is written about the patient alone, and by a linear probe of the
vision tower; and asks whether the tower knows the source of a picture better than the diagnosis. Everything is scored
on the cases of RUN/predictions/MODEL and paired with the model's own answers. A run that was stopped asks nothing
twice. Without --url a server of --weights is started; what needs neither runs without both, and the rest is listed.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from skinr1 import config, vlm
from skinr1.controls import options
from skinr1.controls.asked import Asked, Interview, Round
from skinr1.controls.exchange import exchanged, without_images
from skinr1.controls.report import table
from skinr1.controls.rows import rows
from skinr1.controls.subject import Subject
from skinr1.controls.vision import Tower
from skinr1.controls.words import NO_IMAGE, PROBE, SHUFFLED, centre_words, option_words, verdict, words
from skinr1.interpret.setting import read_setting
from skinr1.metrics.catalogue import Seen
from skinr1.metrics.statistics import RESAMPLES
from skinr1.metrics.tree import Tree
from skinr1.predictions import PREDICTIONS
from skinr1.progress import progress_bar
from skinr1.scale import case_files
from skinr1.serving import process
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
    weights: Path | None = field(default=None, metadata={"help": "Folder of the model: its vision tower is probed."})
    pool: int = field(default=2000, metadata={"help": "At most so many training cases go through the vision tower."})
    layer: int = field(default=-1, metadata={"help": "Block of the vision tower; from the end when negative."})
    dtype: str = field(default="float32", metadata={"help": "dtype of the weights, where --weights is given."})
    max_model_len: int = field(default=4096, metadata={"help": "Tokens of prompt and answer, of a server it starts."})
    choice_cases: int = field(default=500, metadata={"help": "At most so many cases get choice questions; 0: none."})
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
    setting = read_setting(args.cases or args.run / "cases", args.predictions, taxonomy)
    output = args.output or args.run / "controls" / args.model
    return Subject(setting, taxonomy, Tree(taxonomy), args.seed, output)


@contextmanager
def server(args: Arguments, subject: Subject) -> Iterator[str | None]:
    """The server's address; one is started where only the weights are given, and None comes without either."""
    if args.url or not args.weights:
        yield args.url
        return
    base = vlm.base_of(args.weights)
    serving = process.ServeConfig(
        model=str(base),
        name=args.model if base == args.weights else "base",
        adapters=None if base == args.weights else {args.model: str(args.weights)},
        port=0,
        dtype=args.dtype,
        max_model_len=args.max_model_len,
        max_images=max(len(case.images) for case in subject.answered),
        enforce_eager=True,
        log=subject.output / "vllm.log",
    )
    with process.start(serving) as started:
        yield started.url


def ask(
    args: Arguments, url: str, subject: Subject, progress: Progress
) -> tuple[dict[str, Seen], dict[str, Any] | None]:
    """The controls that ask the model, and what the order of options does (None without a choice question)."""
    asked = Asked.of(args.predictions)
    choices = options.Choices.of(subject.answered, args.choice_cases, args.seed, subject.taxonomy)
    rounds = {
        NO_IMAGE: Round(without_images(subject.answered)),
        SHUFFLED: Round(exchanged(subject.answered, args.seed)),
        **choices.rounds(),
    }
    bars = {name: progress.add_task(f"ask: {name}", total=len(one.requests)) for name, one in rounds.items()}
    interview = Interview(asked, subject.setting.folder, subject.output, subject.taxonomy, args.concurrency)
    answers = asyncio.run(interview.ask(url, rounds, lambda name: progress.advance(bars[name])))
    note = "a negative control, not the model's own answers"
    turns = {name: answers.pop(name) for name in choices.rounds()}
    found = {name: subject.keep(name, given, f"{name}: {note}") for name, given in answers.items()}
    return found, options.result(choices, subject, turns) if turns else None


def run(args: Arguments, subject: Subject) -> dict[str, Any]:
    """All controls that the arguments allow: the content of controls.json."""
    controls, order, centres, missing = dict[str, Seen](), None, list[dict[str, Any]](), list[str]()
    with server(args, subject) as url:
        if url:
            with progress_bar() as progress:
                controls, order = ask(args, url, subject, progress)
            if order is None:
                missing.append(f"{options.NAME}, too few diagnoses that exclude each other, or --choice_cases 0")
        else:
            missing.append(f"{NO_IMAGE}, {SHUFFLED} and {options.NAME}, neither --url nor --weights given")
    with progress_bar() as progress:
        if subject.train:
            controls |= subject.unseeing(progress.track)
        else:
            missing.append("all that learn from training cases: the split train has none with one diagnosis")
        if subject.train and args.weights:
            tower = Tower(args.weights, args.pool, args.layer, args.dtype)
            controls[PROBE], centres = tower.look(subject, progress.track)
        elif subject.train:
            missing.append(f"{PROBE} and sources, no --weights given")
        made = rows(subject.own, controls, progress.track, args.resamples, args.seed)
    told = [*words(made), *([option_words(order)] if order else []), *centre_words(centres)]
    told += [f"Not run: {'; '.join(missing)}."] if missing else []
    return {
        "model": args.model,
        "verdict": verdict(made),
        "words": " ".join(told),
        "sentences": told,
        "rows": made,
        "options": order,
        "centres": centres,
        "not_run": missing,
    }


def write(args: Arguments, subject: Subject, found: dict[str, Any]) -> None:
    """Writes controls.json, then the manifest."""
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    write_atomic(subject.output / CONTROLS, text)
    write_manifest(
        subject.output,
        "controls",
        config={name: getattr(args, name) for name in ("model", "pool", "layer", "dtype", "choice_cases", "resamples")}
        | {"not_run": found["not_run"]},
        inputs=[args.predictions / PREDICTIONS, *case_files(subject.setting.folder)],
        seed=args.seed,
        counts={"answered": len(subject.answered), "train": len(subject.train), **subject.setting.left_out},
        taxonomy_hash=subject.taxonomy.hash,
    )


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "controls")
    taxonomy = Taxonomy.load(args.taxonomy)
    subject = read_subject(args, taxonomy)
    found = run(args, subject)
    write(args, subject, found)
    console = Console()
    console.print(table(found["rows"]))
    for sentence in found["sentences"]:
        console.print(f"- {sentence}", highlight=False, soft_wrap=True)
    console.print(f"{subject.output / CONTROLS}", soft_wrap=True)


if __name__ == "__main__":
    config.run(main)
