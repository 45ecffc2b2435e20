"""Evaluates a run: every model answers the held-out cases through vLLM, then scores and a page.

python eval/run.py --config recipes/tiny/evaluate.yaml --run runs/demo --output runs/demo/page

Adapters are merged first, with the logit check: a CPU server is several times slower with an adapter.
"""

import asyncio
import os
import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import page
import predict
import score
from rich.console import Console
from rich.progress import Progress

from skinr1 import config, prompts
from skinr1.cases import read_cases
from skinr1.errors import UserError
from skinr1.metrics import markdown_table, summary_table
from skinr1.progress import progress_bar
from skinr1.scale import case_files
from skinr1.serving import process
from skinr1.stage import MANIFEST, config_hash, file_hash, write_atomic
from skinr1.taxonomy import Taxonomy
from skinr1.weights import ADAPTER_WEIGHTS

MODELS = ("base", "sft", "grpo")
TABLE = "table.md"


@dataclass
class Arguments:
    """Which run, which cases."""

    run: Path = field(
        metadata={"help": "Run folder with sft/ and grpo/ (and base/, unless the adapter names its base)."}
    )
    output: Path = field(metadata={"help": "Folder of the page."})
    split: Literal["train", "validation", "test", "all"] = field(
        default="test", metadata={"help": "Split of the cases."}
    )
    role: Literal["dense", "sparse", "any"] = field(default="any", metadata={"help": "Only cases of this role."})
    structured: bool = field(default=False, metadata={"help": "Force valid reports; default: the raw model."})
    max_tokens: int = field(default=1024, metadata={"help": "Longest answer, in tokens."})
    max_model_len: int = field(default=1024, metadata={"help": "Tokens of prompt, image and answer together."})
    cases_limit: int | None = field(default=None, metadata={"help": "Only the first cases, in order of id."})
    dtype: str = field(default="bfloat16", metadata={"help": "dtype of the served models."})
    parallel_servers: int = field(default=1, metadata={"help": "Models served at once (on a CPU: one a core)."})
    seed: int = field(default=17, metadata={"help": "Seed of resampling."})
    tone_from_images: bool = field(default=False, metadata={"help": "Estimate skin tone from the pictures, too."})
    controls: bool = field(
        default=False, metadata={"help": "Run the negative controls on the last model: serves and asks it again."}
    )
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})
    title: str = field(default="skinr1: one run", metadata={"help": "Heading of the page."})


def full_models(run: Path) -> dict[str, Path]:
    """Folders vLLM can serve: the base, and both adapters merged."""
    from skinr1 import merge, vlm

    base = vlm.base_of(run / "sft")
    folders = {"base": Path(base)}
    image = run / "cases" / next(iter(read_cases(run / "cases"))).images[0]
    for name in MODELS[1:]:
        folders[name] = run / "merged" / name
        adapter = file_hash(run / name / ADAPTER_WEIGHTS)
        record = folders[name] / "merged_from"
        if not record.is_file() or record.read_text(encoding="utf-8") != adapter:
            merge.main(["--adapter", str(run / name), "--output", str(folders[name]), "--image", str(image)])
            write_atomic(record, adapter)
    return folders


def question(args: Arguments) -> list[Any]:
    """What decides the answers beside the weights: the cases, and how they are asked."""
    how = (args.split, args.role, args.structured, args.max_tokens, args.max_model_len, args.cases_limit, args.dtype)
    files = [file_hash(path) for path in case_files(args.run / "cases")]
    return [*files, prompts.PROMPT_VERSION, *map(str, how)]


def ask(args: Arguments, name: str, folder: Path, core: int, progress: Progress) -> None:
    """Serves one model and has it answer all cases, unless the same weights have already answered the same."""
    output = args.run / "predictions" / name
    asked = config_hash([*(file_hash(path) for path in sorted(folder.glob("*.safetensors"))), *question(args)])
    record = output / "asked"
    if record.is_file() and record.read_text(encoding="utf-8") != asked:
        raise UserError("answers of other weights, or to other cases", str(output), "Remove this folder to ask again.")
    if (output / MANIFEST).is_file():
        return
    write_atomic(record, asked)
    serving = process.ServeConfig(
        model=str(folder),
        name=name,
        port=0,
        dtype=args.dtype,
        max_model_len=args.max_model_len,
        enforce_eager=True,
        log=output / "vllm.log",
        cpu_threads=str(core) if args.parallel_servers > 1 else "auto",
    )
    with process.start(serving, Console(quiet=True)) as server:
        asking = predict.Arguments(
            cases=args.run / "cases",
            model=name,
            output=output,
            split=args.split,
            role=args.role,
            url=server.url,
            structured=args.structured,
            max_tokens=args.max_tokens,
            limit=args.cases_limit,
            concurrency=64,
        )
        cases, unlabelled = predict.chosen_cases(asking)
        taxonomy = Taxonomy.load(args.taxonomy)
        rows = asyncio.run(predict.predict(asking, cases, taxonomy, progress, {}))
        predict.write_rows(asking, rows, unlabelled, taxonomy, {})


def ask_all(args: Arguments, folders: dict[str, Path]) -> None:
    """All models, some at once; the quickest (the base says little) goes last."""
    with (
        progress_bar() as progress,
        ThreadPoolExecutor(args.parallel_servers) as pool,
    ):
        waiting = progress.add_task("starting vLLM (about 40 s), then asking", total=len(folders))
        jobs = [
            pool.submit(ask, args, name, folder, index % min(args.parallel_servers, os.cpu_count() or 1), progress)
            for index, (name, folder) in enumerate(reversed(folders.items()))
        ]
        for job in jobs:
            job.result()
            progress.advance(waiting)


def score_all(args: Arguments) -> None:
    """Scores every model, each against the one before it."""
    before: Path | None = None
    for name in MODELS:
        predictions = args.run / "predictions" / name
        output = args.run / "scores" / name
        images = args.run / "cases" if args.tone_from_images else None
        score.write_scores(
            score.Arguments(predictions, output, before, images=images, seed=args.seed, taxonomy=args.taxonomy)
        )
        before = predictions


def control(args: Arguments, weights: Path) -> None:
    """Asks the last model again without its pictures and with others; what was asked before is not asked twice."""
    import controls  # slow: it brings the models' libraries

    options = ["--run", str(args.run), "--model", MODELS[-1], "--weights", str(weights), "--dtype", args.dtype]
    options += ["--max_model_len", str(args.max_model_len), "--seed", str(args.seed)]
    controls.main([*options, *_tree(args)])


def _tree(args: Arguments) -> list[str]:
    return ["--taxonomy", str(args.taxonomy)] if args.taxonomy else []


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "evaluate")
    if args.parallel_servers < 1:
        raise UserError("parallel_servers is under 1", str(args.parallel_servers), "Give at least 1.")
    folders = full_models(args.run)
    ask_all(args, folders)
    score_all(args)
    if args.controls:
        control(args, folders[MODELS[-1]])
    stages = [name for name in ("base", "sft", "grpo") if (args.run / name / "metrics.jsonl").is_file()]
    options = ["--run", str(args.run), "--output", str(args.output), "--title", args.title, "--stages", *stages]
    page.main([*options, *_tree(args)])
    scores = {name: page.read_scores(args.run / "scores" / name) for name in MODELS}
    write_atomic(args.run / "scores" / TABLE, markdown_table(scores))
    console = Console()
    console.print(summary_table({"majority": scores["base"]["majority_class"], **scores}))
    served = ["skinr1", "serve", "--model", str(folders["grpo"]), "--name", "grpo", "--dtype", args.dtype]
    console.print(f"page:  {args.output / page.PAGE}\nserve: {shlex.join(served)} --enforce_eager true", soft_wrap=True)


if __name__ == "__main__":
    config.run(main)
