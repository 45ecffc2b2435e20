"""How many completions a second the reward presets judge, on one core: one table.

    python benchmarks/rewards.py

Completions are reports about diagnoses drawn from the shipped tree, each its own text (so that nothing is parsed once
and looked up later), with three findings, three diagnoses in the differential and about 90 words; one in twenty is cut
off. Reading the text is part of the time.
"""

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from skinr1 import concepts, config
from skinr1.progress import progress_bar
from skinr1.report import DISCLAIMER, SCHEMA_VERSION, Answer, DifferentialEntry, Report, render
from skinr1.rewards import PRESETS, Context, reward_functions
from skinr1.stage import canonical_json, write_atomic
from skinr1.taxonomy import Taxonomy

PASSAGE = "primer:common-nevus#morphology"
ABOUT = ("neoplasm/benign/melanocytic/common_nevus",)
TARGET = 20_000
LONGEST = 50  # milliseconds for any one text


@dataclass
class Arguments:
    """How many."""

    completions: int = field(default=20_000, metadata={"help": "Completions a turn."})
    repeats: int = field(default=5, metadata={"help": "Turns of each preset; the median counts."})
    seed: int = field(default=17, metadata={"help": "Seed of the completions."})
    output: Path = field(default=Path("runs/bench-rewards"), metadata={"help": "Folder for rewards.json."})


def completion(number: int, nodes: list[str], signs: list[str], taxonomy: Taxonomy, draw: random.Random) -> str:
    """One answer; its number stands in the reasoning, so that no two texts are equal."""
    said = draw.sample(nodes, 3)
    seen = tuple(draw.sample(signs, 3))
    entries = tuple(
        DifferentialEntry(diagnosis=node, probability=p, evidence_for=seen[:2], evidence_against=seen[2:])
        for node, p in zip(said, (0.62, 0.24, 0.08), strict=True)
    )
    names = [taxonomy.node(node).name for node in said]
    thought = (
        f"Case {number}. Seen: {', '.join(seen)}. First impression: {names[1]} [{PASSAGE}], for {seen[0]}. Revised "
        f"[{PASSAGE}], for {seen[1]}. Textbook [{PASSAGE}]: {names[0]} shows {', '.join(seen)}. Conclusion: {names[0]}."
    )
    report = Report(
        schema_version=SCHEMA_VERSION,
        findings=seen,
        diagnosis=said[0],
        condition=taxonomy.bucket(said[0]),
        differential=entries,
        confidence="moderate",
        advice="routine_visit",
        citations=(PASSAGE,),
        disclaimer=DISCLAIMER,
    )
    text = render(Answer(thought, report))
    return text[: len(text) // 2] if number % 20 == 0 else text


def rate(preset: str, texts: list[str], truth: dict[str, list[Any]], context: Context) -> float:
    """Completions a second of one core's time, all rewards of the preset together, with fresh functions."""
    functions, _ = reward_functions(preset, context)
    started = time.process_time()
    # in batches, as a trainer asks: every function over the batch, then the next batch
    for start in range(0, len(texts), 256):
        stop = start + 256
        columns = {name: values[start:stop] for name, values in truth.items()}
        for function in functions:
            function(completions=texts[start:stop], **columns)
    return len(texts) / (time.process_time() - started)


def hostile(taxonomy: Taxonomy) -> dict[str, str]:
    """Texts that are made to take long, by name."""
    good = completion(1, sorted(taxonomy.diagnoses)[:3], ["papule", "macule", "scale"], taxonomy, random.Random(0))
    return {
        "ten million letters": good.replace("</think>", "x" * 10_000_000 + "</think>"),
        "nested nine thousand deep": f"<think>x</think>\n{'[' * 9000}{']' * 9000}",
        "denials": good.replace("Seen:", "no a, " * 600),
        "names of diseases": good.replace("Seen:", "melanoma nevus " * 230),
    }


def slowest(preset: str, context: Context) -> tuple[str, float]:
    """Which hostile text takes the preset longest, and its milliseconds."""
    columns: dict[str, list[Any]] = {"diagnoses": [["neoplasm"]], "condition": [None], "findings": [["papule"]]}
    taken = {}
    for name, text in hostile(context.taxonomy).items():
        functions, _ = reward_functions(preset, context)
        started = time.process_time()
        for function in functions:
            function(completions=[text], **columns)
        taken[name] = 1000 * (time.process_time() - started)
    worst = max(taken, key=lambda name: taken[name])
    return worst, taken[worst]


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "rewards")
    taxonomy, draw = Taxonomy.load(), random.Random(args.seed)
    context = Context(taxonomy, {PASSAGE: ABOUT})
    nodes = sorted(node for node in taxonomy.diagnoses if taxonomy.bucket(node))
    signs = sorted(concepts.concepts())
    texts = [completion(number, nodes, signs, taxonomy, draw) for number in range(args.completions)]
    true = [draw.choice(nodes) for _ in texts]
    truth: dict[str, list[Any]] = {
        "diagnoses": [[node] for node in true],
        "condition": [taxonomy.bucket(node) for node in true],
        "findings": [draw.sample(signs, 3) for _ in true],
    }
    rates: dict[str, list[float]] = {preset: [] for preset in PRESETS}
    with progress_bar() as progress:
        task = progress.add_task("rewards: turns", total=args.repeats * len(PRESETS))
        for _ in range(args.repeats):
            for preset, found in rates.items():
                found.append(rate(preset, texts, truth, context))
                progress.advance(task)
    table = Table("preset", "completions/s, one core", "lowest and highest turn")
    for preset, found in rates.items():
        table.add_row(preset, f"{median(found):,.0f}", f"{min(found):,.0f} to {max(found):,.0f}")
    Console().print(table)
    print(f"target for safe: {TARGET:,}; reached: {'yes' if median(rates['safe']) >= TARGET else 'no'}")
    name, milliseconds = slowest("safe", context)
    print(f"slowest hostile text for safe: {name}, {milliseconds:.1f} ms (wanted: at most {LONGEST})")
    write_atomic(
        args.output / "rewards.json",
        canonical_json({"completions_per_second": rates, "slowest": {"text": name, "ms": milliseconds}}) + "\n",
    )


if __name__ == "__main__":
    config.run(main)
