"""Pass rates: the current model answers each prompt k times; what it always or never gets right is left out.

python -m data_builders.pass_rate --rows runs/demo/rl --model sft --output runs/demo/rl_sft   (after skinr1 serve)

Kept rows carry ``sampled``, ``right`` and ``invalid``. Every answer is kept in journal.jsonl: a killed run asks nothing
twice.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data_builders.closing import load_taxonomy, nothing_to_train_on
from skinr1 import prompts
from skinr1.config import parse, run
from skinr1.errors import UserError
from skinr1.pass_rates import Rate, Sample, Sampler, rate
from skinr1.predictions import JOURNAL, Journal, ask_all
from skinr1.progress import progress_bar
from skinr1.serving.client import AsyncClient, Completion, Sampling
from skinr1.stage import REJECTED, read_jsonl, read_manifest, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.rows import moved_images

SPLIT = "train.jsonl"


@dataclass
class PassRateConfig:
    """Rows of the RL stage are asked of a served model; only those it sometimes gets right stay."""

    rows: str = field(metadata={"help": "Folder of the RL stage."})
    model: str = field(metadata={"help": "Served name of the current model."})
    output: str = field(metadata={"help": "Folder to write; GRPO's --train_file is its train.jsonl."})
    url: str = field(default="http://127.0.0.1:8000/v1", metadata={"help": "The server's OpenAI-compatible base."})
    samples: int = field(default=8, metadata={"help": "Answers to each prompt."})
    temperature: float = field(default=0.8, metadata={"help": "As in the GRPO run that follows."})
    max_tokens: int = field(default=1024, metadata={"help": "Longest answer, in tokens."})
    structured: bool = field(default=False, metadata={"help": "Force valid reports; default: the raw model."})
    concurrency: int = field(default=32, metadata={"help": "Requests under way at once."})
    taxonomy: str | None = field(default=None, metadata={"help": "A tree's YAML instead of the shipped one."})
    seed: int = field(default=17, metadata={"help": "Seed of the first answer; the others count up from it."})


def build(config: PassRateConfig) -> dict[str, int]:
    """Writes the folder and returns the counts of its manifest.

    Raises:
        UserError: no finished RL stage, a server that fails, or no prompt that teaches anything.
    """
    if config.samples < 2:
        raise UserError("samples is under 2", str(config.samples), "One answer has no rate: give at least 2.")
    source, output = Path(config.rows), Path(config.output)
    if source.resolve() == output.resolve():
        raise UserError("output is the folder that is read", config.output, "Give another --output.")
    origin = read_manifest(source)
    taxonomy = load_taxonomy(config.taxonomy)
    rows = list(read_jsonl(source / SPLIT))
    answers = asyncio.run(_ask(config, rows, taxonomy))
    rates = [rate(row, found, taxonomy) for row, found in zip(rows, answers, strict=True)]
    kept, rejected = _divide(rows, rates, source, output)
    write_jsonl(output / REJECTED, rejected)
    if not kept:
        raise nothing_to_train_on(output, len(rejected))
    write_jsonl(output / SPLIT, kept)
    counts = {
        "prompts": len(rows),
        "kept": len(kept),
        "answers": sum(found.sampled for found in rates),
        "right": sum(found.right for found in rates),
        "invalid": sum(found.invalid for found in rates),
        **{f"rejected:{reason}": count for reason, count in Counter(row["reason"] for row in rejected).items()},
    }
    settings = ("model", "samples", "temperature", "max_tokens", "structured")
    write_manifest(
        output,
        "pass_rate",
        config={name: getattr(config, name) for name in settings} | {"prompt_version": prompts.PROMPT_VERSION},
        inputs=[source / SPLIT],
        seed=config.seed,
        counts=counts,
        licences=origin["licences"],
        taxonomy_hash=taxonomy.hash,
        notes=origin["notes"],
    )
    return counts


async def _ask(config: PassRateConfig, rows: list[dict[str, Any]], taxonomy: Taxonomy) -> list[list[Completion]]:
    """Answers of each row, in order."""
    journal = Journal(Path(config.output) / JOURNAL)
    asked = {
        f"{place}\t{number}": Sample(row, number) for place, row in enumerate(rows) for number in range(config.samples)
    }
    with progress_bar() as progress:
        bar = progress.add_task(f"pass rate of {config.model}", total=len(asked))
        async with AsyncClient(config.url, config.concurrency) as client:
            await client.check_model(config.model)
            banned = await client.image_tokens(config.model)
            sampling = Sampling(config.structured, config.max_tokens, config.temperature, config.seed, banned)
            sampler = Sampler(Path(config.rows), config.model, sampling, taxonomy)
            found = await ask_all(
                sampler.body, asked, client, journal, config.concurrency, lambda known: progress.advance(bar)
            )
    return [[found[f"{place}\t{number}"] for number in range(config.samples)] for place in range(len(rows))]


def _divide(
    rows: Sequence[dict[str, Any]], rates: Sequence[Rate], source: Path, output: Path
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    kept, rejected = [], []
    for row, found in zip(rows, rates, strict=True):
        if found.verdict is None:
            kept.append({**row, "images": moved_images(row["images"], source, output), **asdict(found)})
        else:
            rejected.append({"case_id": row["case_id"], "reason": found.verdict, **asdict(found)})
    return kept, rejected


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    for name, count in build(parse(PassRateConfig, argv, prog="data_builders.pass_rate")).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    run(main)
