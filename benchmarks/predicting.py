"""Does asking keep vLLM busy? The asking part of eval/predict.py against `vllm bench serve`, on the same requests.

    python benchmarks/predicting.py
    python benchmarks/predicting.py --requests 256 --concurrency 32 --turns 5

One vLLM with an untrained model of the real class is asked by both in turns, the first of which does not count: the
same pictures, words, greedy sampling and length of answer (end tokens are ignored). vLLM's prefix and picture caches
are off, or whoever comes second would find the work done. The time of ours runs from the first case to the finished
predictions.jsonl: pictures are read from the disk, requests hashed, answers written down. vLLM's own client has its
requests in memory before its clock starts.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from serving import NAME, pictures, untrained

from skinr1 import backends, config, prompts
from skinr1.cases import Case, Role
from skinr1.errors import UserError
from skinr1.predictions import JOURNAL, PREDICTIONS, Asker, Journal, prediction_row
from skinr1.progress import progress_bar
from skinr1.serving.client import Sampling
from skinr1.serving.process import ServeConfig, environment, start
from skinr1.stage import write_atomic, write_jsonl
from skinr1.taxonomy import Taxonomy

NODE = "neoplasm/benign/melanocytic/common_nevus"
WANTED = 0.95
# The subcommand itself: the command line around it looks for a distribution named vllm, which the CPU build is not.
BENCH = """
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""


@dataclass
class Arguments:
    """How much. The defaults take some minutes on two cores."""

    model: Path | None = field(default=None, metadata={"help": "Folder of a model; default: an untrained tiny one."})
    requests: int = field(default=96, metadata={"help": "Requests a turn."})
    concurrency: int = field(default=32, metadata={"help": "Of them at once, for both."})
    answer_tokens: int = field(default=64, metadata={"help": "Length of every answer."})
    turns: int = field(default=3, metadata={"help": "Turns that count; the medians are compared."})
    seed: int = field(default=17, metadata={"help": "Seed of the pictures."})
    output: Path = field(default=Path("runs/bench-predict"), metadata={"help": "Folder for predict.json and logs."})


@dataclass(frozen=True)
class Plain:
    """Requests that `vllm bench serve` can send as well: one message, and answers of one length."""

    asker: Asker

    def body(self, case: Case) -> dict[str, Any]:
        body = self.asker.request(case, f"{prompts.SYSTEM} {prompts.REPORT_QUESTION}")
        return {**body, "messages": body["messages"][1:], "ignore_eos": True}


def write_cases(args: Arguments) -> list[Case]:
    """Cases with a rendered picture each."""
    cases = []
    (args.output / "images").mkdir(parents=True, exist_ok=True)
    for number, picture in zip(range(args.requests), pictures(args.seed), strict=False):
        write_atomic(args.output / "images" / f"{number}.png", picture)
        facts = {"source": "rendered", "role": Role.SPARSE, "diagnoses": (NODE,), "licence": "CC0-1.0"}
        cases.append(Case.model_validate({"case_id": f"c{number:05}", "images": (f"images/{number}.png",), **facts}))
    return cases


def write_requests(path: Path, plain: Plain, cases: Sequence[Case]) -> None:
    """The same requests as `vllm bench serve` reads them."""
    write_jsonl(path, ({"content": plain.body(case)["messages"][0]["content"]} for case in cases))


async def ours(args: Arguments, url: str, plain: Plain, cases: Sequence[Case]) -> float:
    """Requests a second, of a run that nothing is known of yet."""
    folder = args.output / "predictions"
    shutil.rmtree(folder, ignore_errors=True)
    with progress_bar() as progress:
        bar = progress.add_task("ours", total=len(cases))
        started = time.perf_counter()
        journal = Journal(folder / JOURNAL)
        async with backends.server(url, plain.asker, journal, args.concurrency, False, None) as server:
            answers = await server.ask(plain, cases, lambda known: progress.advance(bar))
        write_jsonl(
            folder / PREDICTIONS,
            (prediction_row(case, answers[case.case_id], plain.asker.taxonomy) for case in cases),
        )
        took = time.perf_counter() - started
    lengths = {answer.finish_reason for answer in answers.values()}
    if lengths != {"length"}:
        raise UserError(f"answers ended by {', '.join(sorted(lengths))}", url, "All must have the same length.")
    return len(cases) / took


def theirs(args: Arguments, url: str, model: Path, requests: Path) -> float:
    """Requests a second as `vllm bench serve` reports them. Raises UserError when it fails, or not all are answered."""
    result = args.output / "vllm_bench.json"
    flags: dict[str, Any] = {
        "backend": "openai-chat",
        "base-url": url.removesuffix("/v1"),
        "endpoint": "/v1/chat/completions",
        "model": NAME,
        "tokenizer": model,
        "dataset-name": "custom_image",
        "dataset-path": requests,
        "num-prompts": args.requests,
        "custom-output-len": args.answer_tokens,
        "max-concurrency": args.concurrency,
        "temperature": 0,
        "extra-body": json.dumps({"seed": args.seed}),
        "ready-check-timeout-sec": 0,
        "result-dir": result.parent,
        "result-filename": result.name,
    }
    switches = ("--disable-shuffle", "--no-oversample", "--ignore-eos", "--save-result", "--disable-tqdm")
    command = [
        sys.executable,
        "-c",
        BENCH,
        *(str(part) for name, value in flags.items() for part in (f"--{name}", value)),
        *switches,
    ]
    log = args.output / "vllm_bench.log"
    # Its machine-wide settings are the server's: without them the CPU build cannot import torchvision.
    with open(log, "wb") as output:
        code = subprocess.run(
            command, stdout=output, stderr=output, env=environment(ServeConfig()), check=False
        ).returncode
    if code:
        raise UserError(f"vllm bench serve ended with {code}", str(log), "Read this log.")
    found = json.loads(result.read_text(encoding="utf-8"))
    if found["completed"] != args.requests:
        raise UserError(f"{found['completed']} of {args.requests} answered", str(log), "Read this log.")
    return float(found["request_throughput"])


def main() -> None:
    """Raises UserError when a server does not start or a request fails."""
    args = config.parse(Arguments, prog="benchmarks/predicting.py")
    config.at_least(args, ("requests", "concurrency", "answer_tokens", "turns"))
    args.output.mkdir(parents=True, exist_ok=True)
    taxonomy = Taxonomy.load()
    model = args.model or untrained(args.output / "model", taxonomy, args.seed)
    cases = write_cases(args)
    sampling = Sampling(structured=False, max_tokens=args.answer_tokens, seed=args.seed)
    plain = Plain(Asker(args.output, NAME, sampling, taxonomy))
    requests = args.output / "requests.jsonl"
    write_requests(requests, plain, cases)
    uncached = {"enable_prefix_caching": False, "mm_processor_cache_gb": 0}
    serving = ServeConfig(
        model=str(model), name=NAME, port=0, enforce_eager=True, log=args.output / "vllm.log", vllm_args=uncached
    )
    rates: dict[str, list[float]] = {"ours": [], "vllm bench serve": []}
    with start(serving) as server:
        for turn in range(args.turns + 1):
            for name in sorted(rates, reverse=turn % 2 == 1):
                own = name == "ours"
                rate = (
                    asyncio.run(ours(args, server.url, plain, cases))
                    if own
                    else theirs(args, server.url, model, requests)
                )
                if turn:  # the first warms up
                    rates[name].append(rate)
    share = median(rates["ours"]) / median(rates["vllm bench serve"])
    title = (
        f"{args.requests} requests of {args.answer_tokens} tokens, {args.concurrency} at once, {os.cpu_count()} cores"
    )
    table = Table("client", "requests/s, median", "of each turn", title=title)
    for name, found in rates.items():
        table.add_row(name, f"{median(found):.2f}", ", ".join(f"{rate:.2f}" for rate in found))
    Console().print(table)
    print(f"share: {share:.1%} (wanted: {WANTED:.0%})")
    write_atomic(args.output / "predict.json", json.dumps({"rates": rates, "share": round(share, 4)}, indent=2) + "\n")


if __name__ == "__main__":
    config.run(main)
