"""What the gateway costs in front of vLLM, and whether it stays sound under load: one table, on one machine.

    python benchmarks/serving.py
    python benchmarks/serving.py --reports 1000 --aborted 1000 --load_seconds 300

An untrained model of the real class is served by one vLLM; the gateway runs in front of it as a process of its own.
`direct` and `gateway` get requests of the same form and size in turns, each about a picture of its own (else caches
would answer), so that their ratio holds whatever else the machine does.
Everything stays on the loopback interface. Set --model to measure your own.
"""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from data_builders.rendered import Clinic, sample_case
from skinr1 import client, config, prompts
from skinr1.concepts import concepts
from skinr1.errors import UserError
from skinr1.progress import progress_bar
from skinr1.report import structural_tag
from skinr1.serving.client import with_images
from skinr1.serving.process import ServeConfig, free_port, start
from skinr1.stage import write_atomic
from skinr1.taxonomy import Taxonomy

NAME = "untrained"
Row = tuple[str, str, str, str]


@dataclass
class Arguments:
    """How much of each. The defaults take some minutes on two cores."""

    model: Path | None = field(default=None, metadata={"help": "Folder of a model; default: an untrained tiny one."})
    requests: int = field(default=48, metadata={"help": "Requests a turn of the throughput."})
    concurrency: int = field(default=16, metadata={"help": "Of them at once."})
    turns: int = field(default=5, metadata={"help": "Turns of direct and gateway; the medians count."})
    pairs: int = field(default=200, metadata={"help": "Pairs of requests for the added latency."})
    reports: int = field(default=200, metadata={"help": "Reports that must all be valid."})
    aborted: int = field(default=200, metadata={"help": "Streams that are left after their first piece."})
    load_seconds: float = field(default=60.0, metadata={"help": "Time under 64 clients."})
    clients: int = field(default=64, metadata={"help": "Of the load."})
    answer_tokens: int = field(default=64, metadata={"help": "Length of the answers whose throughput is compared."})
    seed: int = field(default=17, metadata={"help": "Seed of the pictures and of sampling."})
    output: Path = field(default=Path("runs/bench-serving"), metadata={"help": "Folder for serving.json and logs."})


def untrained(folder: Path, taxonomy: Taxonomy, seed: int) -> Path:
    """A tiny model with random weights, whose tokenizer knows the words of the reports."""
    import torch

    from skinr1 import tiny

    size = tiny.TinySize(hidden=64, intermediate=96, layers=2, heads=2, vision_hidden=64, vision_layers=2)
    texts = [prompts.SYSTEM, prompts.REPORT_QUESTION, *taxonomy.nodes, *concepts()] * 2
    tokenizer = tiny.train_tokenizer(texts, 1500)
    torch.manual_seed(seed)
    tiny.save(tiny.build_model(tokenizer, size), tiny.build_processor(tokenizer, 112 * 112), folder)
    return folder


def pictures(seed: int) -> Iterator[bytes]:
    """Rendered pictures without end, each its own; the image gate lets them pass."""
    clinic = Clinic.load()
    nodes = [disease.node for disease in clinic.diseases]
    for number in itertools.count():
        visit = sample_case(np.random.default_rng([seed, number]), [nodes[number % len(nodes)]], clinic=clinic)
        yield visit.cases[0].spec.png()


@dataclass
class Bench:
    """The two addresses, and what is asked of them."""

    args: Arguments
    direct: str
    gateway: str
    process: psutil.Process
    tag: dict[str, Any]
    pictures: Iterator[bytes]
    http: httpx.AsyncClient

    def body(self, tokens: int, structured: bool, stream: bool = False) -> dict[str, Any]:
        """One chat about a new picture."""
        messages = with_images(prompts.messages(prompts.REPORT_QUESTION, 1), [next(self.pictures)])
        body: dict[str, Any] = {
            "model": NAME,
            "messages": messages,
            "max_tokens": tokens,
            "temperature": 1.0,
            "seed": self.args.seed,
            "stream": stream,
        }
        return body | ({"response_format": self.tag} if structured else {"ignore_eos": True})

    async def ask(self, url: str, body: dict[str, Any]) -> None:
        """One chat. Raises UserError when it is not answered."""
        response = await self.http.post(f"{url}/v1/chat/completions", json=body)
        if response.status_code != 200:
            raise UserError(f"answered {response.status_code}", url, response.text[:200])

    async def metric(self, name: str) -> float:
        """Sum over the labels of one of vLLM's metrics."""
        lines = (await self.http.get(f"{self.direct}/metrics")).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))


async def bounded(jobs: Iterator[Awaitable[None]], concurrency: int) -> None:
    """Runs jobs, so many at once."""
    slots = asyncio.Semaphore(concurrency)

    async def one(job: Awaitable[None]) -> None:
        async with slots:
            await job

    await asyncio.gather(*map(one, jobs))


async def throughput(bench: Bench) -> Row:
    """Requests a second of the same requests; the gateway's share of what vLLM does alone."""
    rates: dict[str, list[float]] = {bench.direct: [], bench.gateway: []}
    for turn in range(bench.args.turns + 1):
        for url in sorted(rates, reverse=turn % 2 == 0):
            bodies = [bench.body(bench.args.answer_tokens, structured=False) for _ in range(bench.args.requests)]
            started = time.perf_counter()
            await bounded((bench.ask(url, body) for body in bodies), bench.args.concurrency)
            if turn:  # the first warms up
                rates[url].append(bench.args.requests / (time.perf_counter() - started))
    direct, gateway = (median(rates[url]) for url in (bench.direct, bench.gateway))
    return "throughput, requests/s", f"{direct:.1f}", f"{gateway:.1f}", f"{gateway / direct:.1%} (wanted: 95 %)"


async def added_latency(bench: Bench) -> Row:
    """Time of single-token answers, one at a time, in pairs of which each goes first in turn."""
    times: dict[str, list[float]] = {bench.direct: [], bench.gateway: []}
    for pair in range(bench.args.pairs + 10):
        for url in sorted(times, reverse=pair % 2 == 0):
            body = bench.body(1, structured=False)
            started = time.perf_counter()
            await bench.ask(url, body)
            if pair >= 10:
                times[url].append(1000 * (time.perf_counter() - started))
    direct, gateway = (float(np.percentile(times[url], 95)) for url in (bench.direct, bench.gateway))
    middle = median(times[bench.gateway]) - median(times[bench.direct])
    told = f"{gateway - direct:+.1f} ms; median {middle:+.1f} ms (wanted: 15 ms)"
    return "p95 of one-token answers, ms", f"{direct:.1f}", f"{gateway:.1f}", told


async def first_token(bench: Bench) -> Row:
    """Delay of the first streamed token with the grammar of the whole taxonomy, and without any."""
    times: dict[bool, list[float]] = {False: [], True: []}
    for pair in range(60):
        for structured in (False, True):
            body = bench.body(4, structured, stream=True)
            started = time.perf_counter()
            async with bench.http.stream("POST", f"{bench.gateway}/v1/chat/completions", json=body) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data:") and json.loads(line[5:])["choices"][0]["delta"].get("content"):
                        break
            if pair >= 10:
                times[structured].append(1000 * (time.perf_counter() - started))
    free, forced = median(times[False]), median(times[True])
    return "first token, ms: free, structured", f"{free:.1f}", f"{forced:.1f}", f"{forced - free:+.1f} ms (wanted: 100)"


async def valid_reports(bench: Bench) -> Row:
    """Reports over random weights: the client reads each with the project's own types, or raises."""
    valid, started = 0, time.perf_counter()
    async with client.AsyncClient(bench.gateway, timeout=600) as asking:
        with progress_bar() as bar:
            task = bar.add_task("reports", total=bench.args.reports)

            async def one(seed: int) -> None:
                nonlocal valid
                await asking.report([next(bench.pictures)], seed=seed)
                valid += 1
                bar.advance(task)

            await bounded((one(seed) for seed in range(bench.args.reports)), bench.args.concurrency)
    rate = bench.args.reports / (time.perf_counter() - started)
    return "valid reports", "", f"{valid} of {bench.args.reports}", f"{rate:.1f} a second"


async def aborted_streams(bench: Bench) -> Row:
    """Clients that leave after the first piece of the reasoning; what vLLM still does a moment later."""

    async def one() -> None:
        body = client.request([next(bench.pictures)]).model_dump(mode="json", exclude_none=True)
        address = f"{bench.gateway}/v1/reports?stream=true"
        async with bench.http.stream("POST", address, json=body) as response:
            async for _ in response.aiter_raw():
                return

    await bounded((one() for _ in range(bench.args.aborted)), bench.args.concurrency)
    started, left = time.perf_counter(), 1.0
    while left and time.perf_counter() - started < 10:
        left = await bench.metric("vllm:num_requests_running") + await bench.metric("vllm:num_requests_waiting")
        await asyncio.sleep(0.05)
    told = f"after {time.perf_counter() - started:.1f} s (wanted: 0)"
    return f"left in vLLM by {bench.args.aborted} aborted streams", "", f"{left:.0f}", told


async def load(bench: Bench) -> Row:
    """Many clients at once for a while; errors, and the gateway's memory after a sixth of the time and at the end."""
    errors, done = 0, 0
    until, sizes = time.monotonic() + bench.args.load_seconds, [0.0]

    async def one() -> None:
        nonlocal errors, done
        while time.monotonic() < until:
            try:
                await bench.ask(bench.gateway, bench.body(16, structured=False))
                done += 1
            except (httpx.HTTPError, UserError):
                errors += 1

    async def watch() -> None:
        await asyncio.sleep(bench.args.load_seconds / 6)
        sizes[0] = bench.process.memory_info().rss / 2**20

    await asyncio.gather(watch(), *(one() for _ in range(bench.args.clients)))
    end = bench.process.memory_info().rss / 2**20
    told = f"{done} answers, {errors} errors, {end - sizes[0]:+.1f} MiB"
    name = f"{bench.args.clients} clients, {bench.args.load_seconds:.0f} s: MiB of the gateway"
    return name, f"{sizes[0]:.0f}", f"{end:.0f}", told


async def prefix_cache(bench: Bench) -> Row:
    """Share of prompt tokens that vLLM had in its cache: every picture was new, the instructions before it were not."""
    hits = await bench.metric("vllm:prefix_cache_hits_total")
    asked = await bench.metric("vllm:prefix_cache_queries_total")
    return "prompt tokens from the prefix cache", "", f"{hits:.0f} of {asked:.0f}", f"{hits / max(1, asked):.1%}"


MEASURES: tuple[Callable[[Bench], Awaitable[Row]], ...] = (
    throughput,
    added_latency,
    first_token,
    valid_reports,
    aborted_streams,
    load,
    prefix_cache,
)


async def measure(args: Arguments, direct: str, gateway: str, process: psutil.Process, taxonomy: Taxonomy) -> list[Row]:
    """All rows, one measure after the other."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=600, limits=limits, trust_env=False) as http:
        tag = structural_tag(taxonomy)
        bench = Bench(args, direct, gateway, process, tag, pictures(args.seed), http)
        rows = []
        for measuring in MEASURES:
            rows.append(await measuring(bench))
            Console(stderr=True).print("   ".join(rows[-1]))
        return rows


@contextmanager
def gateway_of(upstream: str, output: Path) -> Iterator[tuple[str, psutil.Process]]:
    """`skinr1 serve` in front of a server that runs already."""
    port = free_port("127.0.0.1")
    flags = {"upstreams": upstream, "port": port, "jobs": output / "jobs", "max_requests": 256}
    command = [sys.executable, "-m", "skinr1", "serve", *(str(p) for k, v in flags.items() for p in (f"--{k}", v))]
    with open(output / "gateway.log", "wb") as log:
        running = subprocess.Popen(command, stderr=log, stdout=log)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while not _ready(url):
            if running.poll() is not None or time.monotonic() > deadline:
                raise UserError("the gateway did not start", str(output / "gateway.log"), "Read this log.")
            time.sleep(0.2)
        yield url, psutil.Process(running.pid)
    finally:
        running.terminate()
        running.wait(60)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


def main() -> None:
    """Raises UserError when a server does not start or a request fails."""
    args = config.parse(Arguments, prog="benchmarks/serving.py")
    args.output.mkdir(parents=True, exist_ok=True)
    taxonomy = Taxonomy.load()
    model = args.model or untrained(args.output / "model", taxonomy, args.seed)
    serving = ServeConfig(
        model=str(model), name=NAME, port=0, enforce_eager=True, dtype="auto", log=args.output / "vllm.log"
    )
    with start(serving) as server, gateway_of(server.url, args.output) as (gateway, process):
        rows = asyncio.run(measure(args, server.url.removesuffix("/v1"), gateway, process, taxonomy))
    table = Table("measured", "direct", "gateway", "result", title=f"one vLLM, {len(taxonomy.nodes)} diagnoses")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    write_atomic(args.output / "serving.json", json.dumps([list(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    config.run(main)
