"""Trajectories stage: dense cases and the textbook -> train.jsonl, validation.jsonl, rejected.jsonl, manifest.json.

python -m data_builders.trajectories --config recipes/<model>/trajectories.yaml
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import track

from data_builders.closing import close, load_taxonomy
from skinr1.cases import Case, Role, read_cases
from skinr1.config import parse, run
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories import (
    KINDS,
    OpenAIRewriter,
    Rewriter,
    TemplateRewriter,
    Trajectory,
    check,
    reword,
    trajectories,
)
from skinr1.trajectories.rows import MissingImage, relative_images, trajectory_row


@dataclass
class TrajectoriesConfig:
    """Dense cases of the splits train and validation become reasoning trajectories."""

    cases: str = field(default="runs/cases", metadata={"help": "Folder of the cases stage."})
    knowledge: str = field(default="runs/knowledge", metadata={"help": "Folder of the knowledge stage."})
    output: str = field(default="runs/trajectories", metadata={"help": "Folder to write."})
    taxonomy: str | None = field(default=None, metadata={"help": "A tree's YAML instead of the shipped one."})
    kinds: list[str] = field(default_factory=lambda: list(KINDS), metadata={"help": "Of direct, kept, switched."})
    per_case: int | None = field(
        default=None, metadata={"help": "Trajectories of one case at most, chosen by hash; all valid ones if null."}
    )
    seed: int = 0
    phrasings: int = field(default=1, metadata={"help": "Phrasings the template draws from; 1 keeps it regular."})
    rewrite_url: str | None = field(default=None, metadata={"help": "OpenAI-compatible endpoint that rewords steps."})
    rewrite_model: str | None = field(default=None, metadata={"help": "Model of that endpoint."})
    rewrite_key_file: str | None = field(default=None, metadata={"help": "File that holds the endpoint's key."})


def build(config: TrajectoriesConfig, progress: bool = True, rewriter: Rewriter | None = None) -> dict[str, int]:
    """Writes the stage folder and returns the counts of its manifest.

    Args:
        rewriter: used instead of the one the configuration names.

    Raises:
        UserError: an input is missing, a kind is unknown, or no trajectory for training is left.
    """
    for kind in config.kinds:
        if kind not in KINDS:
            raise UserError("unknown kind of trajectory", repr(kind), f"Use {', '.join(KINDS)}.")
    if config.per_case is not None and config.per_case < 1:
        raise UserError("per_case is under 1", str(config.per_case), "Give at least 1, or null for all.")
    folder = Path(config.cases)
    taxonomy = load_taxonomy(config.taxonomy)
    knowledge = Knowledge.load(Path(config.knowledge))
    rewriter = rewriter or _rewriter(config)
    maker = _Maker(config, knowledge, taxonomy, rewriter)
    dense = [case for case in read_cases(folder) if case.role is Role.DENSE and case.split in ("train", "validation")]
    for case in track(dense, "trajectories: cases", disable=not progress):
        maker.add(case)
    knowledge_files = [
        Path(config.knowledge) / name for name in ("passages.jsonl", "rules.jsonl", "differentials.jsonl")
    ]
    return close(
        "trajectories",
        config,
        rows=maker.rows,
        rejected=maker.rejected,
        cases=dense,
        inputs=[folder / "cases.jsonl", *knowledge_files],
        taxonomy=taxonomy,
        counts=maker.counts,
    )


class _Maker:
    """Collects rows, rejections and counts, case by case."""

    def __init__(self, config: TrajectoriesConfig, knowledge: Knowledge, taxonomy: Taxonomy, rewriter: Rewriter):
        self.config, self.knowledge, self.taxonomy, self.rewriter = config, knowledge, taxonomy, rewriter
        self.rows: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
        self.rejected: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()

    def add(self, case: Case) -> None:
        try:
            images = relative_images(case, Path(self.config.cases), Path(self.config.output))
        except MissingImage as error:
            self.rejected.append({"case_id": case.case_id, "reason": str(error)})
            return
        made, refused = trajectories(case, self.knowledge, self.taxonomy, self.config.kinds)
        self.rejected += [asdict(refusal) for refusal in refused]
        for trajectory in self._chosen(made):
            self._write(reword(trajectory, self.rewriter, case, self.knowledge, self.taxonomy), case, images)

    def _chosen(self, made: list[Trajectory]) -> list[Trajectory]:
        """At most ``per_case`` of them; which, the hash of seed and case decides, so that kinds stay balanced."""
        limit = self.config.per_case
        if limit is None or len(made) <= limit:
            return made
        digest = hashlib.sha256(f"{self.config.seed}\t{made[0].case_id}".encode()).digest()
        start = int.from_bytes(digest[:8], "big") % len(made)
        return [*made[start:], *made[:start]][:limit]

    def _write(self, trajectory: Trajectory, case: Case, images: list[str]) -> None:
        faults = check(trajectory, case, self.knowledge, self.taxonomy)
        if faults:
            row = {"case_id": case.case_id, "kind": trajectory.kind, "reason": f"not grounded: {'; '.join(faults)}"}
            self.rejected.append(row)
            return
        assert case.split is not None  # only cases of train and validation come here
        self.rows[case.split].append(trajectory_row(trajectory, case, images))
        self.counts[f"kind:{trajectory.kind}"] += 1
        for step in trajectory.steps:
            if step.wording != "template":
                self.counts[f"steps:{step.wording}"] += 1


def _rewriter(config: TrajectoriesConfig) -> Rewriter:
    if config.rewrite_url is None:
        return TemplateRewriter(config.phrasings, config.seed)
    if config.rewrite_model is None:
        raise UserError("rewrite_url needs a model", config.rewrite_url, "Set rewrite_model.")
    if config.rewrite_key_file is not None and not Path(config.rewrite_key_file).is_file():
        raise UserError("key file not found", config.rewrite_key_file, "Correct the path.")
    from openai import OpenAI

    key = Path(config.rewrite_key_file).read_text(encoding="utf-8").strip() if config.rewrite_key_file else "none"
    return OpenAIRewriter(OpenAI(base_url=config.rewrite_url, api_key=key), config.rewrite_model, seed=config.seed)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    for name, count in build(parse(TrajectoriesConfig, argv, prog="data_builders.trajectories")).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    run(main)
