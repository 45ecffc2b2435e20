"""What voting over several answers gains and what it costs, through the endpoint: one table.

    skinr1 serve --config recipes/serve/tiny.yaml
    python benchmarks/aggregation.py --cases runs/demo/cases --model grpo --url http://127.0.0.1:8000/v1

Every case is asked once greedily and ``samples`` times at ``temperature``, once with the image as it is and once with
views (flips, quarter turns, middle part). Smaller k use the first k of the same answers, so that rows differ in k only.
An answer that cannot be read is no vote; a case without any scores 0.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from skinr1 import config, prompts
from skinr1.cases import Case, read_cases
from skinr1.errors import UserError
from skinr1.images import load_image, png_bytes
from skinr1.progress import progress_bar
from skinr1.report import Answer, InvalidAnswer, Report, parse
from skinr1.rewards.hierarchy import ancestor_f
from skinr1.rewards.truth import Truth
from skinr1.serving.aggregation import VotingPolicy, aggregate, view
from skinr1.serving.client import AsyncClient, Sampling, request_body
from skinr1.stage import canonical_json, write_atomic
from skinr1.taxonomy import Taxonomy


@dataclass
class Arguments:
    """Which cases, which server, how many answers."""

    cases: Path = field(metadata={"help": "Cases folder."})
    model: str = field(metadata={"help": "Served name."})
    url: str = field(default="http://127.0.0.1:8000/v1", metadata={"help": "Server, ending in /v1."})
    split: str = field(default="test", metadata={"help": "Split whose labelled cases are asked."})
    limit: int = field(default=100, metadata={"help": "The first cases, in order of id."})
    samples: int = field(default=8, metadata={"help": "Answers drawn for each case and kind of view."})
    temperature: float = field(default=0.7, metadata={"help": "Of the drawn answers."})
    max_tokens: int = field(default=1024, metadata={"help": "Longest answer."})
    seed: int = field(default=17, metadata={"help": "Seed of the first answer; the next ones follow."})
    output: Path = field(default=Path("runs/bench-aggregation"), metadata={"help": "Folder for aggregation.json."})


@dataclass(frozen=True)
class Heard:
    """Answers to one case, None for one that could not be read, and how long they took together."""

    reports: tuple[Report | None, ...]
    seconds: float


async def hear(case: Case, args: Arguments, client: AsyncClient, taxonomy: Taxonomy, views: bool, draws: int) -> Heard:
    """One greedy answer (``draws`` 0), or that many drawn ones."""
    images = [load_image(args.cases / name) for name in case.images]
    messages = prompts.messages(prompts.question(case), len(images))
    greedy = Sampling(True, args.max_tokens, 0.0, args.seed, await client.image_tokens(args.model))

    async def one(number: int) -> Report | None:
        sampling = replace(greedy, temperature=args.temperature, seed=args.seed + number) if draws else greedy
        shown = [png_bytes(view(image, number if views else 0)) for image in images]
        answer = await client.complete(request_body(args.model, messages, shown, sampling, taxonomy))
        try:
            return parse(answer.text, taxonomy).report
        except InvalidAnswer:
            return None

    started = time.perf_counter()
    reports = await asyncio.gather(*(one(number) for number in range(max(1, draws))))
    return Heard(tuple(reports), time.perf_counter() - started)


def row(
    heard: Sequence[Heard], cases: Sequence[Case], k: int, policy: VotingPolicy, taxonomy: Taxonomy
) -> dict[str, float]:
    """Mean scores of the votes over the first ``k`` answers, declining counted as wrong, and how often it happens."""
    exact, closeness, answered = [], [], []
    for one, case in zip(heard, cases, strict=True):
        readable = [report for report in one.reports[:k] if report is not None]
        report = aggregate(readable, taxonomy, policy).report if readable else None
        said = report.diagnosis if report else None
        exact.append(said in case.diagnoses)
        answer = Answer("voted", report) if report else None
        closeness.append(ancestor_f(answer, Truth(case.diagnoses, None), taxonomy))
        answered.append(said is not None)
    given = sum(answered)
    return {
        "exact": sum(exact) / len(cases),
        "hierarchical_f": sum(closeness) / len(cases),
        "declined": 1 - given / len(cases),
        "exact_where_answered": sum(exact) / given if given else 0.0,
    }


async def ask(args: Arguments, cases: Sequence[Case], taxonomy: Taxonomy) -> dict[str, list[Heard]]:
    """Every case's answers by kind, one case after the other, so that seconds compare."""
    kinds = {"greedy": (False, 0), "drawn": (False, args.samples), "drawn, views": (True, args.samples)}
    found: dict[str, list[Heard]] = {kind: [] for kind in kinds}
    async with AsyncClient(args.url) as client:
        await client.check_model(args.model)
        with progress_bar() as progress:
            task = progress.add_task("aggregation: cases", total=len(cases))
            for case in cases:
                for kind, (views, draws) in kinds.items():
                    found[kind].append(await hear(case, args, client, taxonomy, views, draws))
                progress.advance(task)
    return found


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "aggregation")
    taxonomy = Taxonomy.load()
    labelled = (case for case in read_cases(args.cases) if case.split == args.split and case.diagnoses)
    cases = sorted(labelled, key=lambda case: case.case_id)[: args.limit]
    if not cases:
        raise UserError(f"no labelled case in split {args.split!r}", str(args.cases), "Choose another --split.")
    heard = asyncio.run(ask(args, cases, taxonomy))
    alone = sum(one.seconds for one in heard["greedy"])
    steps = [k for k in (2, 4, 8, 16) if k < args.samples] + [args.samples]
    rows = {"greedy, 1": row(heard["greedy"], cases, 1, VotingPolicy(), taxonomy) | {"answers": 1.0, "seconds": 1.0}}
    for kind in ("drawn", "drawn, views"):
        seconds = sum(one.seconds for one in heard[kind]) / alone
        for k in steps:
            for policy in (VotingPolicy(), VotingPolicy(weights="confidence")):
                cost = {"answers": float(k)} | ({"seconds": seconds} if k == args.samples else {})
                rows[f"{kind}, {k}, {policy.weights}"] = row(heard[kind], cases, k, policy, taxonomy) | cost
    columns = ("exact", "hierarchical_f", "declined", "exact_where_answered", "answers", "seconds")
    table = Table("answers", *columns, title=f"CCT-style votes, {len(cases)} cases; seconds relative to greedy")
    for name, values in rows.items():
        table.add_row(name, *(f"{values[column]:.3f}" if column in values else "" for column in columns))
    Console(width=130).print(table)
    write_atomic(args.output / "aggregation.json", canonical_json(rows) + "\n")


if __name__ == "__main__":
    config.run(main)
