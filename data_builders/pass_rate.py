"""Pass-rate stage: an RL stage -> the same without the questions that a model always or never gets right.

    python -m data_builders.pass_rate --model sft --rl runs/rl --output runs/rl_passed

Each prompt of ``split`` is asked ``samples`` times. Rows that stay carry ``right`` and ``sampled``, rejected.jsonl
lists the others with their counts. Answers are kept in ``cache``: after a kill, run the same command again. The other
split is copied unasked, or validation would measure something else than before. See docs/questions.md.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from data_builders.closing import load_taxonomy, nothing_to_train_on, settings_of
from skinr1.config import at_least, parse, run
from skinr1.errors import UserError
from skinr1.llm import Cache, Client, Endpoint, ordered
from skinr1.llm.endpoint import read_key
from skinr1.progress import progress_bar
from skinr1.questions.pass_rate import Rate, Sampler
from skinr1.serving.client import AsyncClient, Sampling
from skinr1.stage import REJECTED, read_jsonl, read_manifest, reopen, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy

SPLITS = ("train", "validation")
COLUMNS = ("prompt", "images", "case_id", "diagnoses")


@dataclass
class PassRateConfig:
    """Which questions, which model, how its answers are drawn: as in the training that follows."""

    model: str = field(metadata={"help": "Served name of the model or adapter."})
    url: str = field(default="http://127.0.0.1:8000/v1", metadata={"help": "OpenAI-compatible endpoint."})
    key_file: str | None = field(default=None, metadata={"help": "File that holds the endpoint's key."})
    rl: str = field(default="runs/rl", metadata={"help": "Folder of the RL stage."})
    output: str = field(default="runs/rl_passed", metadata={"help": "Folder to write."})
    cache: str = field(default="runs/llm_cache", metadata={"help": "Folder that keeps every answer."})
    taxonomy: str | None = field(default=None, metadata={"help": "A tree's YAML instead of the shipped one."})
    split: str = field(default="train", metadata={"help": f"Split to ask, of {', '.join(SPLITS)}; or both."})
    samples: int = field(default=8, metadata={"help": "Answers to each prompt."})
    temperature: float = field(default=1.0, metadata={"help": "Of the answers; above 0."})
    max_tokens: int = field(default=1024, metadata={"help": "Longest answer, in tokens."})
    ban_image_tokens: bool = field(default=True, metadata={"help": "Bar image placeholders, as training does (vLLM)."})
    concurrency: int = field(default=32, metadata={"help": "Requests under way at once."})
    attempts: int = field(default=8, metadata={"help": "Tries of a request after 429, 5xx or silence."})
    timeout: float = field(default=600.0, metadata={"help": "Seconds to wait for one answer."})
    seed: int = field(default=0, metadata={"help": "Of the first answer; the others count up."})

    def check(self) -> None:
        """Raises UserError for a value out of range."""
        at_least(self, ["samples"], 2)
        at_least(self, ("max_tokens", "concurrency", "attempts"))
        if not 0 < self.temperature <= 2:
            raise UserError("temperature is not above 0 and up to 2", str(self.temperature), "Correct it.")
        if not 0 < self.timeout < float("inf"):
            raise UserError("timeout is no number of seconds", str(self.timeout), "Give one above 0.")
        if self.split not in (*SPLITS, "both"):
            raise UserError("unknown split", repr(self.split), f"Use {', '.join(SPLITS)} or both.")


def build(config: PassRateConfig, progress: bool = True) -> dict[str, int]:
    """Writes the stage folder and returns the counts of its manifest.

    Raises:
        UserError: a setting or input is wrong, the endpoint fails, or no row for training is left.
    """
    config.check()
    taxonomy = load_taxonomy(config.taxonomy)
    manifest = read_manifest(Path(config.rl))
    if manifest.get("taxonomy") != taxonomy.hash:
        raise UserError("rows were built with another taxonomy", config.rl, "Give the same --taxonomy.")
    rows = {split: read_rows(Path(config.rl), split) for split in SPLITS}
    asked = {split: config.split in (split, "both") for split in SPLITS}
    questions = [row for split in SPLITS if asked[split] for row in rows[split]]
    rates, usage = asyncio.run(_rates(config, questions, taxonomy, progress))
    reopen(Path(config.output))
    counts: Counter[str] = Counter()
    kept: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    rejected: list[dict[str, Any]] = []
    rated = iter(rates)
    for split in SPLITS:
        for row in rows[split]:
            rate = next(rated) if asked[split] else None
            counts.update(counts_of(rate) if rate else {f"not asked:{split}": 1})
            if rate is not None and rate.verdict:
                rejected.append(rejection(row, split, rate))
                continue
            counted = {"right": rate.right, "sampled": rate.sampled} if rate else {}
            kept[split].append({**row, **counted, "images": _moved(row["images"], config)})
    return _write(config, kept, rejected, counts, manifest, usage)


def read_rows(folder: Path, split: str) -> list[dict[str, Any]]:
    """The rows of a split. Raises UserError when a column is missing."""
    path, found = folder / f"{split}.jsonl", []
    for number, row in enumerate(read_jsonl(path), 1):
        missing = [column for column in COLUMNS if column not in row]
        if missing:
            raise UserError(f"column {missing[0]!r} is missing", f"{path}:{number}", "Give the folder of an RL stage.")
        found.append(row)
    return found


async def _rates(
    config: PassRateConfig, questions: list[dict[str, Any]], taxonomy: Taxonomy, progress: bool
) -> tuple[list[Rate], dict[str, Any]]:
    key = read_key(Path(config.key_file)) if config.key_file is not None else None
    async with Endpoint(config.url, key, attempts=config.attempts, timeout=config.timeout) as endpoint:
        client = Client(endpoint, Cache(Path(config.cache)), config.concurrency)
        banned: tuple[int, ...] = ()
        if config.ban_image_tokens:
            async with AsyncClient(endpoint.url, attempts=config.attempts) as server:
                banned = await server.image_tokens(config.model)
        sampling = Sampling(False, config.max_tokens, config.temperature, config.seed, banned)
        sampler = Sampler(client, config.model, sampling, config.samples, Path(config.rl), taxonomy)
        bars = progress_bar()
        bars.disable = not progress
        with bars:
            bar = bars.add_task("pass rate: prompts", total=len(questions))
            rates = await ordered(sampler.rate, questions, config.concurrency, partial(bars.advance, bar))
    if progress:
        print(f"asked {client.asked}, answered by the cache {client.found}, tried again {endpoint.retries}")
    return rates, client.usage.summary({})


def rejection(row: dict[str, Any], split: str, rate: Rate) -> dict[str, Any]:
    """A line of rejected.jsonl."""
    counted = {"right": rate.right, "sampled": rate.sampled, "invalid": dict(rate.invalid), "cut off": rate.cut}
    return {"case_id": row["case_id"], "split": split, "reason": rate.verdict, **counted}


def counts_of(rate: Rate) -> Counter[str]:
    """What one question adds to the manifest's counts: answers, and prompts by how many answers were right."""
    counts = Counter({"answers": rate.sampled, "answers:right": rate.right, "answers:cut off": rate.cut})
    counts["answers:invalid"] = sum(count for _, count in rate.invalid)
    counts.update({f"answers:invalid:{reason}": count for reason, count in rate.invalid})
    if rate.fault is None:
        counts[f"prompts:{rate.right} of {rate.sampled} right"] = 1
    return counts


def _moved(images: list[str], config: PassRateConfig) -> list[str]:
    """Paths relative to the RL stage, as paths relative to the output."""
    return [Path(os.path.relpath(Path(config.rl) / name, config.output)).as_posix() for name in images]


def _write(
    config: PassRateConfig,
    kept: dict[str, list[dict[str, Any]]],
    rejected: list[dict[str, Any]],
    counts: Counter[str],
    manifest: dict[str, Any],
    usage: dict[str, Any],
) -> dict[str, int]:
    output = Path(config.output)
    counts["rejected"] = write_jsonl(output / REJECTED, rejected)
    counts.update(f"rejected:{row['reason'].partition(':')[0]}" for row in rejected)
    if not kept["train"]:
        raise nothing_to_train_on(output, len(rejected))
    counts.update({f"rows:{split}": write_jsonl(output / f"{split}.jsonl", kept[split]) for split in SPLITS})
    write_manifest(
        output,
        "pass_rate",
        config=settings_of(config),
        inputs=[Path(config.rl) / f"{split}.jsonl" for split in SPLITS],
        seed=config.seed,
        counts=(total := dict(sorted(counts.items()))),
        licences=manifest["licences"],
        taxonomy_hash=manifest["taxonomy"],
        notes=manifest["notes"],
        usage=usage,
    )
    return total


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    for name, count in build(parse(PassRateConfig, argv, prog="data_builders.pass_rate")).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    run(main)
