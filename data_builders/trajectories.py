"""Trajectories stage: cases and the textbook -> train.jsonl, validation.jsonl, sentences.jsonl, rejected.jsonl.

    python -m data_builders.trajectories --config recipes/<model>/trajectories.yaml

``sentences.jsonl`` says of every sentence of every row what type it is and what it cites; a trajectory with a sentence
that nothing supports is in ``rejected.jsonl`` with that sentence, and the manifest counts both.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import track

from data_builders.closing import close, load_taxonomy
from skinr1.cases import Case, Role, training_cases
from skinr1.config import parse, run
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge
from skinr1.stage import write_jsonl
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories import (
    DEFAULT_KINDS,
    KINDS,
    Rewriter,
    TemplateRewriter,
    Trajectory,
    check,
    check_text,
    reword,
    trajectories,
)
from skinr1.trajectories.findings import Findings
from skinr1.trajectories.kinds import UNDIAGNOSED
from skinr1.trajectories.rows import MissingImage, relative_images, sentence_rows, trajectory_row

SENTENCES = "sentences.jsonl"


@dataclass
class TrajectoriesConfig:
    """Cases of the splits train and validation become reasoning trajectories: the dense ones, and those of any role
    that a kind without a diagnosis is for."""

    cases: str = field(default="runs/cases", metadata={"help": "Folder of the cases stage."})
    knowledge: str = field(default="runs/knowledge", metadata={"help": "Folder of the knowledge stage."})
    output: str = field(default="runs/trajectories", metadata={"help": "Folder to write."})
    taxonomy: str | None = field(default=None, metadata={"help": "A tree's YAML instead of the shipped one."})
    kinds: list[str] = field(default_factory=lambda: list(DEFAULT_KINDS), metadata={"help": f"Of {', '.join(KINDS)}."})
    per_case: int | None = field(
        default=None, metadata={"help": "Trajectories of one case at most, chosen by hash; all valid ones if null."}
    )
    seed: int = 0
    phrasings: int = field(default=1, metadata={"help": "Phrasings the template draws from; 1 keeps it regular."})


def build(config: TrajectoriesConfig, progress: bool = True, rewriter: Rewriter | None = None) -> dict[str, int]:
    """Writes the stage folder and returns the counts of its manifest.

    Args:
        rewriter: used instead of the template's own phrasings; a model rewords in :mod:`data_builders.rewrite`.

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
    rewriter = rewriter or TemplateRewriter(config.phrasings, config.seed)
    maker = _Maker(config, knowledge, taxonomy, rewriter)
    cases = [case for case in training_cases(folder) if kinds_for(case, config.kinds)]
    for case in track(cases, "trajectories: cases", disable=not progress):
        maker.add(case)
    write_jsonl(Path(config.output) / SENTENCES, maker.sentences["train"] + maker.sentences["validation"])
    knowledge_files = [
        Path(config.knowledge) / name for name in ("passages.jsonl", "rules.jsonl", "differentials.jsonl")
    ]
    return close(
        "trajectories",
        config,
        rows=maker.rows,
        rejected=maker.rejected,
        cases=cases,
        inputs=[folder / "cases.jsonl", *knowledge_files],
        taxonomy=taxonomy,
        counts=maker.counts,
    )


def kinds_for(case: Case, kinds: Sequence[str]) -> list[str]:
    """The kinds that a case is for: none outside train and validation.

    Dense cases are for all of them, cases of captions for those without a diagnosis. A refusal is only for images that
    are annotated as beyond assessment, and then for every role.
    """
    if case.split not in ("train", "validation"):
        return []
    refusable = bool(Findings.of(case).quality)
    allowed = KINDS if case.role is Role.DENSE else UNDIAGNOSED if case.role is Role.CAPTION else ("refusal",)
    return [kind for kind in kinds if kind in allowed and (refusable or kind != "refusal")]


class _Maker:
    """Collects rows, sentences, rejections and counts, case by case."""

    def __init__(self, config: TrajectoriesConfig, knowledge: Knowledge, taxonomy: Taxonomy, rewriter: Rewriter):
        self.config, self.knowledge, self.taxonomy, self.rewriter = config, knowledge, taxonomy, rewriter
        self.rows: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
        self.sentences: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
        self.rejected: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()

    def add(self, case: Case) -> None:
        try:
            images = relative_images(case, Path(self.config.cases), Path(self.config.output))
        except MissingImage as error:
            self.rejected.append({"case_id": case.case_id, "reason": str(error)})
            return
        made, refused = trajectories(case, self.knowledge, self.taxonomy, kinds_for(case, self.config.kinds))
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
        self.counts["checked"] += 1
        if faults:
            self._reject(trajectory, case, faults)
            return
        assert case.split is not None  # only cases of train and validation come here
        self.rows[case.split].append(trajectory_row(trajectory, case, images))
        read = sentence_rows(trajectory, self.taxonomy)
        row = {"case_id": case.case_id, "kind": trajectory.kind, "split": case.split, "sentences": read}
        self.sentences[case.split].append(row)
        self.counts["grounded"] += 1
        self.counts.update(f"sentences:{sentence['type']}" for sentence in read)
        self.counts[f"kind:{trajectory.kind}"] += 1
        for step in trajectory.steps:
            if step.wording != "template":
                self.counts[f"steps:{step.wording}"] += 1

    def _reject(self, trajectory: Trajectory, case: Case, faults: list[str]) -> None:
        """A trajectory is rejected whole, with the sentences that nothing supports."""
        unsupported = check_text(trajectory.text, case, self.knowledge, self.taxonomy)
        self.rejected.append(
            {
                "case_id": case.case_id,
                "kind": trajectory.kind,
                "reason": f"not grounded: {'; '.join(faults)}",
                "sentences": [asdict(fault) for fault in unsupported],
            }
        )
        self.counts["sentences:unsupported"] += len({fault.start for fault in unsupported})
        self.counts.update(f"unsupported:{fault.reason}" for fault in unsupported)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    counts = build(parse(TrajectoriesConfig, argv, prog="data_builders.trajectories"))
    for name, count in counts.items():
        print(f"{name}: {count}")
    print(f"grounded share: {counts['grounded'] / counts['checked']:.4f}")


if __name__ == "__main__":
    run(main)
