"""Has a language model judge the reasoning of a model's answers, and says how far it agrees with the checker.

python eval/judge.py --run runs/demo --model grpo --judge some-model --url http://127.0.0.1:8000/v1

Any OpenAI-compatible endpoint will do. The judge sees text only: annotations, label, cited passages and the numbered
sentences. Each answer is kept in --cache, so nothing is paid for twice, not even after a kill. A sentence has the
verdict of more than half of the votes, else none, which counts as not supported. The checker (eval/score.py with
--cases and --knowledge) needs no judge; this says how much a judge would change.
"""

import asyncio
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from skinr1 import config
from skinr1.cases import read_cases
from skinr1.errors import UserError
from skinr1.judging import Judge, Judged, confusion, metrics, reasonings
from skinr1.knowledge import Knowledge
from skinr1.llm import Cache, Client, Endpoint, ordered
from skinr1.llm.endpoint import read_key
from skinr1.llm.usage import read_prices
from skinr1.metrics import Outcome, columns_of, estimates, read_outcomes, show
from skinr1.metrics.catalogue import Seen
from skinr1.metrics.outcomes import PREDICTIONS
from skinr1.metrics.statistics import RESAMPLES
from skinr1.metrics.tree import Tree
from skinr1.progress import progress_bar
from skinr1.prompts import JUDGE_VERSION
from skinr1.scale import case_files
from skinr1.stage import write_atomic, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.asking import Asker

SCORES, VERDICTS = "judge.json", "verdicts.jsonl"


@dataclass
class Arguments:
    """Whose reasoning, and who judges it. Folders not given lie in the run folder."""

    run: Path = field(metadata={"help": "Run folder, e.g. runs/demo."})
    model: str = field(metadata={"help": "Folder below RUN/predictions: whose reasoning is judged."})
    judge: str = field(metadata={"help": "Model that judges, by the name its endpoint serves; not the judged one."})
    url: str = field(default="http://127.0.0.1:8000/v1", metadata={"help": "OpenAI-compatible endpoint of the judge."})
    key_file: Path | None = field(default=None, metadata={"help": "File that holds the endpoint's key."})
    cases: Path | None = field(default=None, metadata={"help": "Cases folder."})
    knowledge: Path | None = field(default=None, metadata={"help": "Knowledge folder."})
    output: Path | None = field(default=None, metadata={"help": "Default: RUN/judge/MODEL."})
    cache: Path | None = field(default=None, metadata={"help": "Keeps every answer; default: RUN/judge/cache."})
    limit: int | None = field(default=None, metadata={"help": "Only the first cases, in order of id."})
    votes: int = field(default=3, metadata={"help": "Votes on a reasoning; an odd number."})
    structured: bool = field(
        default=True, metadata={"help": "Force the form by a JSON schema; false for an endpoint that refuses it."}
    )
    temperature: float = field(default=0.7, metadata={"help": "Of the votes; 0 allows one vote only."})
    max_tokens: int = field(default=1000, metadata={"help": "Of one vote; a longer one is no verdict."})
    concurrency: int = field(default=16, metadata={"help": "Requests under way at once."})
    attempts: int = field(default=8, metadata={"help": "Tries of a request after 429, 5xx or silence."})
    prices: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Model -> [prompt, completion] per million tokens; cost is null without."}
    )
    resamples: int = field(default=RESAMPLES, metadata={"help": "Bootstrap resamples of patients."})
    seed: int = field(default=17, metadata={"help": "Of the votes (each has its own) and of the resampling."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})

    def check(self) -> None:
        """Raises UserError for a value out of range."""
        if self.votes < 1 or self.votes % 2 == 0:
            raise UserError("votes are not an odd number", str(self.votes), "Give 1, 3, 5 ...")
        if self.votes > 1 and self.temperature <= 0:
            raise UserError("votes at temperature 0 are all the same", f"{self.votes} votes", "Raise temperature.")
        if self.judge == self.model:
            raise UserError("a model cannot judge itself", self.judge, "Give another model as --judge.")
        config.at_least(self, ("concurrency", "attempts", "max_tokens"))

    @property
    def predictions(self) -> Path:
        return self.run / "predictions" / self.model

    @property
    def folder(self) -> Path:
        return self.output or self.run / "judge" / self.model


async def judged(
    args: Arguments, outcomes: list[Outcome], taxonomy: Taxonomy
) -> tuple[dict[str, Judged], dict[str, Any]]:
    """Case id -> votes of every valid answer, and the usage. Raises UserError when the endpoint fails."""
    cases = {case.case_id: case for case in read_cases(args.cases or args.run / "cases")}
    knowledge = Knowledge.load(args.knowledge or args.run / "knowledge")
    read = reasonings(outcomes, cases, knowledge, taxonomy)
    key = read_key(args.key_file) if args.key_file else None
    asker = Asker("judge", args.judge, args.max_tokens, args.temperature, args.seed)
    async with Endpoint(args.url, key, attempts=args.attempts) as endpoint:
        client = Client(endpoint, Cache(args.cache or args.run / "judge" / "cache"), args.concurrency)
        judge = Judge(asker, args.votes, args.structured, client, taxonomy)
        with progress_bar() as progress:
            bar = progress.add_task(f"judge {args.model}", total=len(read))
            found = await ordered(judge.judge, read, args.concurrency, partial(progress.advance, bar))
    print(f"asked {client.asked}, answered by the cache {client.found}, tried again {endpoint.retries}")
    return {one.reasoning.case.case_id: one for one in found}, client.usage.summary(read_prices(args.prices))


def words(found: dict[str, Any]) -> list[str]:
    """What the numbers mean, a sentence each."""
    numbers = found["metrics"]
    supported, grounded = show(numbers["supported_sentence_rate"]), show(numbers["grounded_sentence_rate"])
    difference = show(numbers["supported_minus_grounded"], "+.2f")
    open_ = show(numbers["no_verdict_sentence_rate"])
    return [
        f"The judge calls {supported} of sentences supported, the checker {grounded} (difference {difference}).",
        f"On {found['sentences']} sentences they agree with kappa {show(numbers['kappa_with_checker'])}; the judge's "
        f"votes agree among themselves with alpha {show(numbers['alpha_of_votes'])}.",
        f"Without a majority: {open_} of sentences. Votes outside the form: {sum(found['unusable'].values())}. "
        f"Invalid answers, judged by nobody and supported by nothing: {found['invalid']}.",
    ]


def scores(args: Arguments, outcomes: list[Outcome], found: dict[str, Judged], taxonomy: Taxonomy) -> dict[str, Any]:
    """The content of judge.json."""
    seen = Seen(columns_of(outcomes, taxonomy), Tree(taxonomy))
    numbers = estimates(metrics(found), seen, args.resamples, args.seed)
    unusable = Counter(vote.partition(":")[0] for one in found.values() for vote in one.votes if isinstance(vote, str))
    made: dict[str, Any] = {
        "model": args.model,
        "judge": args.judge,
        "prompt_version": JUDGE_VERSION,
        "votes": args.votes,
        "n": len(outcomes),
        "sentences": sum(len(one.reasoning.texts) for one in found.values()),
        "invalid": len(outcomes) - len(found),
        "unusable": dict(sorted(unusable.items())),
        "metrics": {name: asdict(estimate) for name, estimate in numbers.items()},
        "confusion": confusion(found.values()),
    }
    return made | {"words": " ".join(words(made))}


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "judge")
    args.check()
    taxonomy = Taxonomy.load(args.taxonomy)
    outcomes = read_outcomes(args.predictions, taxonomy)[: args.limit]
    found, usage = asyncio.run(judged(args, outcomes, taxonomy))
    made = scores(args, outcomes, found, taxonomy)
    write_jsonl(args.folder / VERDICTS, (found[case_id].plain() for case_id in sorted(found)))
    write_atomic(args.folder / SCORES, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    names = ("model", "judge", "votes", "structured", "temperature", "max_tokens", "limit", "resamples")
    write_manifest(
        args.folder,
        "judge",
        config={name: getattr(args, name) for name in names} | {"prompt_version": JUDGE_VERSION},
        inputs=[args.predictions / PREDICTIONS, *case_files(args.cases or args.run / "cases")],
        seed=args.seed,
        counts={"cases": len(outcomes), "judged": len(found), "sentences": made["sentences"]},
        taxonomy_hash=taxonomy.hash,
        usage=usage,
    )
    console = Console()
    for sentence in words(made):
        console.print(f"- {sentence}", highlight=False, soft_wrap=True)
    console.print(f"{args.folder / SCORES}", soft_wrap=True)


if __name__ == "__main__":
    config.run(main)
