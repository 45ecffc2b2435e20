"""What learning.py and ablation.py share: one seed's data, SFT and arms, and the arms' answers to held-out patients.

    RUN/base                       the pretrained base, made once for all seeds: it stands for what a real run downloads
    RUN/seed-17/…                  cases, trajectories, rl, sft: the stages of skinr1 demo
    RUN/seed-17/arms/binary        a GRPO run
    RUN/seed-17/shifts/camera      cases that differ from training in one thing
    RUN/seed-17/answers/test/sft   predictions.jsonl of a model for a set of cases

What is finished is kept; killed, the same command goes on.
"""

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from answering import chosen_cases, write_answers
from rich.console import Console

from skinr1 import pipeline
from skinr1.scale import case_files
from skinr1.stage import MANIFEST, file_hash, read_manifest
from skinr1.taxonomy import Taxonomy
from skinr1.vlm import existing

BASE_RECIPES = [Path("recipes/tiny")]
IN_DISTRIBUTION = "test"
BASE, SFT = "base", "sft"


@dataclass(frozen=True)
class Arm:
    """A GRPO run: what it starts from, and how it departs from the recipe."""

    name: str
    start: str
    options: tuple[str, ...] = ()


@dataclass
class Arguments:
    """Which seeds, how long, how many cases. The defaults are the study's; smaller numbers try the machinery."""

    recipes: list[Path] = field(
        default_factory=lambda: [*BASE_RECIPES, Path("recipes/tiny_study")],
        metadata={"help": "As for skinr1 demo; where several have a stage, the last of them counts."},
    )
    output: Path = field(default=Path("runs/study"), metadata={"help": "Run folder: one folder a seed below it."})
    seeds: list[int] = field(default_factory=lambda: [17, 18, 19], metadata={"help": "Data, SFT and GRPO of each."})
    base: Path | None = field(default=None, metadata={"help": "A pretrained base; default: made once, from base_seed."})
    base_seed: int = field(default=7, metadata={"help": "Seed of the base and of the patients it is pretrained on."})
    steps: int | None = field(default=None, metadata={"help": "GRPO steps; default: the recipe's."})
    cases_limit: int | None = field(default=None, metadata={"help": "Only the first test cases, in order of id."})
    shift_patients: int = field(default=150, metadata={"help": "Patients of each set that differs from training."})
    max_tokens: int = field(default=160, metadata={"help": "Longest answer; trained ones have about 100 tokens."})


# What differs from the training cases: the options of the cases stage, and its recipe where that is another.
SHIFTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "camera": ("cases", ("--camera", "phone")),
    "tones": ("cases", ("--sparse_tones", "4", "5", "6")),
    "site": ("cases", ("--sites", "face", "scalp", "palm")),
    "leaves": ("cases_leaves", ()),
}
ONLY_TEST = (
    *("--caption_patients", "0", "--dense_patients", "0"),
    *("--train_fraction", "0", "--validation_fraction", "0", "--test_fraction", "1"),
)


class Seed:
    """One seed's run."""

    def __init__(self, args: Arguments, seed: int, console: Console):
        self.args, self.seed, self.console = args, seed, console
        self.folder = args.output / f"seed-{seed}"
        planned = pipeline.Arguments(args.recipes, self.folder, seed, processes=1)
        self.stages = {stage.name: stage for stage in pipeline.stages(planned)}
        self.taxonomy = Taxonomy.load()
        self._shifted: dict[str, Path] = {}

    def prepare(self, base: Path) -> None:
        """Data and SFT."""
        if not (self.folder / BASE).is_dir():
            half = self.folder / f".{BASE}.partial"
            shutil.copytree(base, half, ignore=shutil.ignore_patterns(pipeline.ORIGIN), dirs_exist_ok=True)
            half.rename(self.folder / BASE)
        self._run([self.stages[name] for name in ("knowledge", "cases", "trajectories", "rl", "sft")])

    def train(self, arm: Arm) -> None:
        """One arm, from what :meth:`prepare` made."""
        recipe = self.stages["grpo"]
        out = self.folder / "arms" / arm.name
        command = [*recipe.command, "--model", str(self.folder / arm.start), "--output_dir", str(out), *arm.options]
        if self.args.steps is not None:
            command += ["--max_steps", str(self.args.steps)]
        before = [self.stages[name] for name in ("rl", arm.start) if name in self.stages]
        stage = replace(recipe, name=arm.name, command=command, folder=out)
        pipeline.run_stage(stage, before, len(before) + 1, self.console)

    def cases(self, name: str) -> Path:
        """The folder of a set of cases: the seed's own, or of a shift, which is made if need be."""
        if name == IN_DISTRIBUTION:
            return self.folder / "cases"
        if name not in self._shifted:
            self._shifted[name] = self._shift(name)
        return self._shifted[name]

    def _shift(self, name: str) -> Path:
        out = self.folder / "shifts" / name
        recipe_name, options = SHIFTS[name]
        recipe = pipeline.recipe_of(recipe_name, self.args.recipes)
        assert recipe is not None
        # patients of their own: with the training seed they would be those of training, differently drawn
        made = [sys.executable, "-m", "data_builders.cases", "--config", str(recipe), "--seed", str(1000 + self.seed)]
        made += ["--output", str(out), "--sparse_patients", str(self.args.shift_patients), *ONLY_TEST, *options]
        stage = pipeline.Stage(name, made, recipe, out)
        pipeline.run_stage(stage, [], 1, self.console)
        return out

    def answer(self, model: str, name: str) -> Path:
        """A model's answers to a set of cases, unless the same weights have answered the same; the folder of them."""
        out = self.folder / "answers" / name / model
        folder = self.cases(name)
        weights = self.folder / (model if model in (BASE, SFT) else f"arms/{model}")
        cases = chosen_cases(folder, "test", self.args.cases_limit)
        if not _answered(out, [*case_files(folder), *weights.glob("*.safetensors")], len(cases)):
            write_answers(weights, folder, cases, out, self.args.max_tokens, self.taxonomy)
        return out

    def _run(self, plan: Sequence[pipeline.Stage]) -> None:
        for index, stage in enumerate(plan):
            pipeline.run_stage(stage, plan[:index], len(plan), self.console)


def _answered(folder: Path, inputs: Iterable[Path], count: int) -> bool:
    """Whether these weights have answered so many of these cases."""
    if not (folder / MANIFEST).is_file():
        return False
    manifest = read_manifest(folder)
    known = {row["sha256"] for row in manifest["inputs"]}
    return manifest["counts"]["cases"] == count and {file_hash(path) for path in inputs} <= known


def shared_base(args: Arguments, console: Console) -> Path:
    """The base: the one given, or made by the embedded recipes up to pretraining.

    Raises:
        UserError: the one given is not there, or a stage failed.
    """
    if args.base:
        return Path(existing(args.base))
    folder = args.output / "base-run"
    plan = list(pipeline.stages(pipeline.Arguments(BASE_RECIPES, folder, args.base_seed)))
    wanted = [stage for stage in plan if stage.name in ("knowledge", "cases", "trajectories", "captions", "pretrain")]
    for index, stage in enumerate(wanted):
        pipeline.run_stage(stage, wanted[:index], len(wanted), console)
    return folder / BASE


def runs(args: Arguments, arms: Sequence[Arm]) -> Iterator[Seed]:
    """Every seed, its arms trained."""
    console = Console()
    base = shared_base(args, console)
    for seed in args.seeds:
        run = Seed(args, seed, console)
        run.prepare(base)
        for arm in arms:
            run.train(arm)
        yield run
