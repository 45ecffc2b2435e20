"""Asks a model about the cases of a split; resumable, and the same bytes for the same answers.

python eval/predict.py --cases runs/demo/cases --split test --model grpo --url http://127.0.0.1:8000/v1 \
    --output runs/demo/predictions/grpo

With --task eval/tasks/NAME.yaml something else than the report is asked (docs/evaluation.md); without a server,
--backend transformers --weights FOLDER answers in this process.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.progress import Progress

from skinr1 import backends, config, prompts
from skinr1.cases import Case, read_cases
from skinr1.errors import UserError
from skinr1.knowledge import EDGES, Knowledge
from skinr1.llm.cache import Cache
from skinr1.llm.endpoint import read_key
from skinr1.predictions import JOURNAL, PREDICTIONS, Asker, Journal, prediction_row
from skinr1.progress import progress_bar
from skinr1.scale import case_files
from skinr1.serving.client import Sampling
from skinr1.stage import REJECTED, write_jsonl, write_manifest
from skinr1.tasks import Questions, answers_to, load_task
from skinr1.taxonomy import Taxonomy


@dataclass
class Arguments:
    """Which cases, which model, how answers are drawn."""

    cases: Path = field(metadata={"help": "Cases folder."})
    model: str = field(metadata={"help": "Served name of the model or adapter."})
    output: Path = field(metadata={"help": "Folder that receives predictions.jsonl and manifest.json."})
    split: Literal["train", "validation", "test", "all"] = field(default="test", metadata={"help": "Split, or all."})
    role: Literal["dense", "sparse", "any"] = field(default="any", metadata={"help": "Only cases of this role."})
    url: str = field(default="http://127.0.0.1:8000/v1", metadata={"help": "OpenAI-compatible server, ending in /v1."})
    structured: bool = field(default=False, metadata={"help": "Force valid answers; default: the raw model."})
    max_tokens: int = field(default=1024, metadata={"help": "Longest answer, in tokens."})
    temperature: float = field(default=0.0, metadata={"help": "0 is greedy."})
    seed: int = field(default=17, metadata={"help": "Seed of sampling, and of a task's options."})
    concurrency: int = field(default=32, metadata={"help": "Requests under way at once."})
    limit: int | None = field(default=None, metadata={"help": "Only the first cases, in order of id."})
    ban_image_tokens: bool = field(default=True, metadata={"help": "Bar image placeholders, as training does (vLLM)."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})
    task: Path | None = field(default=None, metadata={"help": "A file of eval/tasks, or your own; default: a report."})
    knowledge: Path | None = field(default=None, metadata={"help": "Whose rivals a task asks about; default: primer."})
    backend: Literal["server", "transformers"] = field(default="server", metadata={"help": "Who answers."})
    weights: Path | None = field(
        default=None,
        metadata={"help": "Model folder: loaded by transformers; its hash keeps answers of other weights apart."},
    )
    dtype: str = field(default="float32", metadata={"help": "dtype of the weights that transformers load."})
    batch: int = field(default=16, metadata={"help": "Questions that transformers answer at once."})
    cache: Path | None = field(default=None, metadata={"help": "Folder of answers that runs share."})
    budget_tokens: int | None = field(default=None, metadata={"help": "Stop once the server counted so many tokens."})
    api_key_file: Path | None = field(default=None, metadata={"help": "File with the server's API key."})


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


def weights_of(args: Arguments, progress: Progress) -> dict[str, str]:
    """The hash of the weights where they are given. Raises UserError when there are none."""
    return {"weights": backends.weights_identity(args.weights, progress.track)} if args.weights else {}


@asynccontextmanager
async def model_of(
    args: Arguments, weights: Mapping[str, str], taxonomy: Taxonomy, progress: Progress
) -> AsyncIterator[backends.Backend]:
    """The model that answers, with a journal in the output folder, whose keys hold the hash of the weights if given.

    Raises:
        UserError: it is not served, cannot be loaded, or its key or weights are not where they should be.
    """
    sampling = Sampling(args.structured, args.max_tokens, args.temperature, args.seed)
    asker = Asker(args.cases, args.model, sampling, taxonomy)
    cache = Cache(args.cache) if args.cache else None
    journal = Journal(args.output / JOURNAL, None, cache, args.budget_tokens)
    if args.backend == "transformers":
        if args.weights is None:
            raise UserError("no model to load", "--backend transformers", "Give --weights, the folder of a model.")
        journal.identity = {**weights, "dtype": args.dtype, "backend": args.backend, "batch": f"{args.batch}"}
        local = backends.in_process(args.weights, args.dtype, asker, journal, args.batch, args.ban_image_tokens)
        async with local as backend:
            yield backend
        return
    journal.identity = weights or ({"endpoint": backends.endpoint_identity(args.url)} if cache else None)
    key = read_key(args.api_key_file) if args.api_key_file else None
    served = backends.server(args.url, asker, journal, args.concurrency, args.ban_image_tokens, key)
    async with served as backend:
        yield backend


async def predict(
    args: Arguments, cases: list[Case], taxonomy: Taxonomy, progress: Progress, weights: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Rows of reports of all cases, asked for under a progress bar. Raises UserError as :func:`answers_to`."""
    async with model_of(args, weights, taxonomy, progress) as model:
        bar = progress.add_task(f"predict {args.model}", total=len(cases))
        answers = await model.ask(model.asker, cases, lambda known: progress.advance(bar))
    return [prediction_row(case, answers[case.case_id], taxonomy) for case in cases]


async def predict_task(
    args: Arguments, asked: Questions, taxonomy: Taxonomy, progress: Progress, weights: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Rows of a task's answers; a bar for each round of a descent. Raises UserError as :func:`answers_to`."""

    def begun(total: int) -> Callable[[], None]:
        bar = progress.add_task(f"{asked.task.name}: {args.model}", total=total)
        return lambda: progress.advance(bar)

    async with model_of(args, weights, taxonomy, progress) as model:
        return await answers_to(asked, model, taxonomy, args.seed, begun)


def write_rows(
    args: Arguments,
    rows: Sequence[Mapping[str, Any]],
    unlabelled: int,
    taxonomy: Taxonomy,
    weights: Mapping[str, str],
    asked: Questions | None = None,
) -> None:
    """Writes predictions.jsonl, then the manifest: the whole task, the hash of given weights, no address and no key."""
    write_jsonl(args.output / PREDICTIONS, rows)
    names = ["model", "split", "role", "structured", "max_tokens", "temperature", "limit", "ban_image_tokens"]
    names += ["backend", "dtype", "batch"] if args.backend == "transformers" else []
    settings = {name: getattr(args, name) for name in names} | {"prompt_version": prompts.PROMPT_VERSION, **weights}
    counts = {
        "cases": len(rows),
        "cut": sum(row["finish_reason"] == "length" for row in rows),
        "unlabelled": unlabelled,
    }
    if asked:
        write_jsonl(args.output / REJECTED, map(asdict, asked.left_out))
        settings["task"] = asked.task.model_dump(mode="json")
        counts |= {f"not asked: {reason}": count for reason, count in asked.reasons.items()}
    write_manifest(
        args.output,
        "predict",
        config=settings,
        inputs=[*case_files(args.cases), *([args.knowledge / EDGES] if asked and args.knowledge else [])],
        seed=args.seed,
        counts=counts,
        taxonomy_hash=taxonomy.hash,
    )


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "predict")
    config.at_least(args, ("concurrency", "batch", "max_tokens"))
    taxonomy = Taxonomy.load(args.taxonomy)
    cases, unlabelled = chosen_cases(args)
    told, left_out = f"{len(cases)} answers", f", {unlabelled} without a label left out" if unlabelled else ""
    asked = None
    if args.task:
        knowledge = Knowledge.load(args.knowledge) if args.knowledge else None
        asked = Questions.of(load_task(args.task), cases, taxonomy, args.seed, knowledge)
    with progress_bar() as progress:
        weights = weights_of(args, progress)
        if asked is None:
            rows = asyncio.run(predict(args, cases, taxonomy, progress, weights))
        else:
            rows = asyncio.run(predict_task(args, asked, taxonomy, progress, weights))
    write_rows(args, rows, unlabelled, taxonomy, weights, asked)
    if asked:
        told = f"{len(rows)} answers to {asked.task.name}"
        left_out += f", {len(asked.left_out)} not asked (see {REJECTED})" if asked.left_out else ""
    print(f"{told} of {args.model} in {args.output / PREDICTIONS}{left_out}")


if __name__ == "__main__":
    config.run(main)
