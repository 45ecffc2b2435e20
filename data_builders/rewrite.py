"""Rewriting stage: cases and the textbook -> descriptions and rationales that a model helped to write.

    python -m data_builders.rewrite --config recipes/rewrite/vllm.yaml

Writes train.jsonl, validation.jsonl (the trajectories stage's columns, and ``record``: who was asked what, and which
step saw the answer), sentences.jsonl, rejected.jsonl and manifest.json with tokens and cost. Every answer is kept in
``cache``; after a kill, run the same command again. See docs/rewriting.md.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import Progress

from data_builders.closing import close, load_taxonomy
from data_builders.trajectories import SENTENCES
from skinr1.cases import Case, Role, training_cases
from skinr1.config import at_least, parse, run
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge
from skinr1.llm import Cache, Client, Endpoint, ordered
from skinr1.llm.endpoint import read_key
from skinr1.llm.usage import Price, read_prices
from skinr1.scale import case_files
from skinr1.stage import reopen, write_jsonl
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.asking import Asker
from skinr1.trajectories.description import Describer
from skinr1.trajectories.rationale import Reasoner
from skinr1.trajectories.recovery import Reader, candidates
from skinr1.trajectories.rewording import Reworder, read_drafts
from skinr1.trajectories.rewritten import Made, Maker
from skinr1.trajectories.writing import Writer

SPLITS = ("train", "validation")


@dataclass
class RewriteConfig:
    """Cases of the splits train and validation, described and argued by a model behind an endpoint."""

    model: str = field(metadata={"help": "Model that sees and writes, by the name the endpoint serves."})
    url: str = field(default="http://127.0.0.1:8000/v1", metadata={"help": "OpenAI-compatible endpoint."})
    key_file: str | None = field(default=None, metadata={"help": "File that holds the endpoint's key."})
    cases: str = field(default="runs/cases", metadata={"help": "Folder of the cases stage."})
    knowledge: str = field(default="runs/knowledge", metadata={"help": "Folder of the knowledge stage."})
    trajectories: str | None = field(default=None, metadata={"help": "Folder of trajectories to word anew as well."})
    output: str = field(default="runs/rewrite", metadata={"help": "Folder to write."})
    cache: str = field(default="runs/llm_cache", metadata={"help": "Folder that keeps every answer."})
    taxonomy: str | None = field(default=None, metadata={"help": "A tree's YAML instead of the shipped one."})
    roles: list[str] = field(
        default_factory=lambda: ["dense", "caption"], metadata={"help": f"Roles of the cases, of {', '.join(Role)}."}
    )
    reader: str | None = field(default=None, metadata={"help": "Model of the text-only reader; default: model."})
    open_question: bool = field(default=False, metadata={"help": "Ask the reader without a list of candidates."})
    votes: int = field(default=3, metadata={"help": "Readings of a description."})
    votes_needed: int = field(default=2, metadata={"help": "Readings that must find the diagnosis."})
    vote_temperature: float = field(default=0.7, metadata={"help": "Of the readings; 0 allows one vote only."})
    temperature: float = field(default=0.0, metadata={"help": "Of descriptions and rationales."})
    max_tokens: int = field(default=400, metadata={"help": "Of one answer; a longer one is rejected, not cut."})
    image_tokens: int = field(default=640, metadata={"help": "Visual tokens of an image, 28 x 28 px each."})
    prices: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Model -> [prompt, completion] per million tokens; cost is null without."}
    )
    concurrency: int = field(default=16, metadata={"help": "Requests under way at once."})
    attempts: int = field(default=8, metadata={"help": "Tries of a request after 429, 5xx or silence."})
    timeout: float = field(default=600.0, metadata={"help": "Seconds to wait for one answer."})
    seed: int = field(default=0, metadata={"help": "Of the model's sampling; each vote has one of its own."})

    def check(self) -> None:
        """Raises UserError for a value out of range."""
        at_least(self, ("votes", "votes_needed", "max_tokens", "image_tokens", "concurrency", "attempts"))
        for name in ("temperature", "vote_temperature"):
            if not 0 <= getattr(self, name) <= 2:
                raise UserError(f"{name} is not in 0 to 2", str(getattr(self, name)), "Correct it.")
        if not 0 < self.timeout < float("inf"):
            raise UserError("timeout is no number of seconds", str(self.timeout), "Give one above 0.")
        if self.votes_needed > self.votes:
            votes = f"{self.votes_needed} of {self.votes}"
            raise UserError("more votes needed than cast", votes, "Lower votes_needed.")
        if self.votes > 1 and self.vote_temperature == 0:
            raise UserError("votes at temperature 0 are all the same", f"{self.votes} votes", "Raise vote_temperature.")
        for role in self.roles:
            if role not in list(Role):
                raise UserError("unknown role", repr(role), f"Use {', '.join(Role)}.")

    def asker(self, prompt: str, temperature: float, model: str | None = None) -> Asker:
        """How one prompt is asked."""
        return Asker(prompt, model or self.model, self.max_tokens, temperature, self.seed)


def build(config: RewriteConfig, progress: bool = True) -> dict[str, int]:
    """Writes the stage folder and returns the counts of its manifest.

    Raises:
        UserError: a setting or input is wrong, the endpoint fails, or no row for training is left.
    """
    config.check()
    prices = read_prices(config.prices)
    key = read_key(Path(config.key_file)) if config.key_file is not None else None
    return asyncio.run(_build(config, prices, key, progress))


async def _build(config: RewriteConfig, prices: dict[str, Price], key: str | None, progress: bool) -> dict[str, int]:
    taxonomy = load_taxonomy(config.taxonomy)
    known = {case.case_id: case for case in training_cases(Path(config.cases)) if case.split in SPLITS}
    chosen = [case for case in known.values() if case.role in config.roles]
    drafts = list(read_drafts(Path(config.trajectories), SPLITS, known, taxonomy)) if config.trajectories else []
    async with Endpoint(config.url, key, attempts=config.attempts, timeout=config.timeout) as endpoint:
        client = Client(endpoint, Cache(Path(config.cache)), config.concurrency)
        maker = _maker(config, taxonomy, client, chosen)
        with Progress(disable=not progress) as bars:
            bar = bars.add_task("rewrite: cases", total=len(chosen))
            made = await ordered(maker.write, chosen, config.concurrency, partial(bars.advance, bar))
            bar = bars.add_task("rewrite: drafts", total=len(drafts), visible=bool(drafts))
            made += await ordered(maker.word, drafts, config.concurrency, partial(bars.advance, bar))
    counts = _close(config, made, {"cases": len(chosen), "drafts": len(drafts)}, taxonomy, client.usage.summary(prices))
    if progress:
        print(f"asked {client.asked}, answered by the cache {client.found}, tried again {endpoint.retries}")
    return counts


def _maker(config: RewriteConfig, taxonomy: Taxonomy, client: Client, cases: Sequence[Case]) -> Maker:
    choice = None if config.open_question else candidates([case.diagnoses for case in cases], taxonomy)
    if choice is not None and len(choice) == 1:
        raise UserError("a list of one candidate gives the answer away", choice[0], "Set open_question.")
    knowledge = Knowledge.load(Path(config.knowledge))
    reader = config.asker("read", config.vote_temperature, config.reader)
    writer = Writer(
        Describer(config.asker("describe", config.temperature), client, knowledge, taxonomy),
        Reader(reader, config.votes, config.votes_needed, choice),
        Reasoner(config.asker("reason", config.temperature), client, knowledge, taxonomy),
        client,
        taxonomy,
    )
    reworder = Reworder(config.asker("reword", config.temperature), client, knowledge, taxonomy)
    return Maker(writer, reworder, Path(config.cases), Path(config.output), config.image_tokens, taxonomy)


def _close(
    config: RewriteConfig, made: list[Made], asked: dict[str, int], taxonomy: Taxonomy, usage: dict[str, Any]
) -> dict[str, int]:
    books = [Path(config.knowledge) / name for name in ("passages.jsonl", "rules.jsonl", "differentials.jsonl")]
    drafts = [Path(config.trajectories) / f"{split}.jsonl" for split in SPLITS] if config.trajectories else []
    by_split = {split: [one for one in made if one.case.split == split] for split in SPLITS}
    sentences = [row for split in SPLITS for one in by_split[split] for row in one.sentences]
    reopen(Path(config.output))
    write_jsonl(Path(config.output) / SENTENCES, sentences)
    return close(
        "rewrite",
        config,
        rows={split: [row for one in found for row in one.rows] for split, found in by_split.items()},
        rejected=[row for one in made for row in one.rejected],
        cases={one.case.case_id: one.case for one in made}.values(),
        inputs=[*case_files(Path(config.cases)), *books, *drafts],
        taxonomy=taxonomy,
        counts=sum((one.counts for one in made), Counter(asked)),
        usage=usage,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    for name, count in build(parse(RewriteConfig, argv, prog="data_builders.rewrite")).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    run(main)
