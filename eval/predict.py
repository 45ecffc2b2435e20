"""Asks a served model about the cases of a split; resumable, and the same bytes for the same answers.

python eval/predict.py --cases runs/demo/cases --split test --model grpo --url http://127.0.0.1:8000/v1 \
    --output runs/demo/predictions/grpo
"""

import asyncio
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.progress import Progress

from skinr1 import config, prompts
from skinr1.cases import Case, read_cases
from skinr1.errors import UserError
from skinr1.predictions import JOURNAL, PREDICTIONS, Asker, Journal, ask_all, prediction_row
from skinr1.progress import progress_bar
from skinr1.scale import case_files
from skinr1.serving.client import AsyncClient, Completion, Sampling
from skinr1.stage import write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy


@dataclass
class Arguments:
    """Which cases, which server, how answers are drawn."""

    cases: Path = field(metadata={"help": "Cases folder."})
    model: str = field(metadata={"help": "Served name of the model or adapter."})
    output: Path = field(metadata={"help": "Folder that receives predictions.jsonl and manifest.json."})
    split: Literal["train", "validation", "test", "all"] = field(default="test", metadata={"help": "Split, or all."})
    role: Literal["dense", "sparse", "any"] = field(default="any", metadata={"help": "Only cases of this role."})
    url: str = field(default="http://127.0.0.1:8000/v1", metadata={"help": "OpenAI-compatible server, ending in /v1."})
    structured: bool = field(default=False, metadata={"help": "Force valid reports; default: the raw model."})
    max_tokens: int = field(default=1024, metadata={"help": "Longest answer, in tokens."})
    temperature: float = field(default=0.0, metadata={"help": "0 is greedy."})
    seed: int = field(default=17, metadata={"help": "Seed of sampling."})
    concurrency: int = field(default=32, metadata={"help": "Requests under way at once."})
    limit: int | None = field(default=None, metadata={"help": "Only the first cases, in order of id."})
    ban_image_tokens: bool = field(default=True, metadata={"help": "Bar image placeholders, as training does (vLLM)."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})


def chosen_cases(args: Arguments) -> tuple[list[Case], int]:
    """Labelled cases of the split, by id, and how many without a label were left out: they cannot be scored.

    Raises:
        UserError: nothing is left, or two cases share an id.
    """
    found = [
        case
        for case in read_cases(args.cases)
        if args.split in ("all", case.split) and args.role in ("any", case.role.value)
    ]
    labelled = sorted((case for case in found if case.diagnoses), key=lambda case: case.case_id)
    if not labelled:
        raise UserError(f"no labelled case in split {args.split!r}", str(args.cases), "Choose another --split.")
    for first, second in itertools.pairwise(labelled):
        if first.case_id == second.case_id:
            raise UserError("case id occurs twice", f"{args.cases}: {first.case_id}", "Rebuild the cases.")
    return labelled[: args.limit], len(found) - len(labelled)


async def predict(args: Arguments, cases: list[Case], taxonomy: Taxonomy, progress: Progress) -> dict[str, Completion]:
    """Asks all cases under a progress bar. Raises UserError as :func:`skinr1.predictions.ask_all`."""
    bar = progress.add_task(f"predict {args.model}", total=len(cases))
    journal = Journal(args.output / JOURNAL)
    async with AsyncClient(args.url, args.concurrency) as client:
        await client.check_model(args.model)
        banned = await client.image_tokens(args.model) if args.ban_image_tokens else ()
        sampling = Sampling(args.structured, args.max_tokens, args.temperature, args.seed, banned)
        asker = Asker(args.cases, args.model, sampling, taxonomy)
        return await ask_all(asker, cases, client, journal, args.concurrency, lambda known: progress.advance(bar))


def write(
    args: Arguments, cases: list[Case], answers: dict[str, Completion], unlabelled: int, taxonomy: Taxonomy
) -> None:
    """Writes predictions.jsonl, then the manifest."""
    rows = [prediction_row(case, answers[case.case_id], taxonomy) for case in cases]
    write_jsonl(args.output / PREDICTIONS, rows)
    names = ("model", "split", "role", "structured", "max_tokens", "temperature", "limit", "ban_image_tokens")
    write_manifest(
        args.output,
        "predict",
        config={name: getattr(args, name) for name in names} | {"prompt_version": prompts.PROMPT_VERSION},
        inputs=case_files(args.cases),
        seed=args.seed,
        counts={
            "cases": len(rows),
            "cut": sum(row["finish_reason"] == "length" for row in rows),
            "unlabelled": unlabelled,
        },
        taxonomy_hash=taxonomy.hash,
    )


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "predict")
    taxonomy = Taxonomy.load(args.taxonomy)
    cases, unlabelled = chosen_cases(args)
    with progress_bar() as progress:
        answers = asyncio.run(predict(args, cases, taxonomy, progress))
    write(args, cases, answers, unlabelled, taxonomy)
    left_out = f", {unlabelled} without a label left out" if unlabelled else ""
    print(f"{len(cases)} answers of {args.model} in {args.output / PREDICTIONS}{left_out}")


if __name__ == "__main__":
    config.run(main)
