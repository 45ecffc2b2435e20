"""RL stage: sparsely labelled cases -> train.jsonl and validation.jsonl of prompts with the label as columns.

python -m data_builders.rl --config recipes/<model>/rl.yaml
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import track

from data_builders.closing import close, load_taxonomy
from skinr1.cases import Case, Role, training_cases
from skinr1.config import parse, run
from skinr1.prompts import question
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.evidence import shared_bucket
from skinr1.trajectories.rows import MissingImage, prompt_row, relative_images


@dataclass
class RlConfig:
    """Sparse cases of the splits train and validation become prompts with their truth."""

    cases: str = field(default="runs/cases", metadata={"help": "Folder of the cases stage."})
    output: str = field(default="runs/rl", metadata={"help": "Folder to write."})
    taxonomy: str | None = field(default=None, metadata={"help": "A tree's YAML instead of the shipped one."})
    seed: int = 0


def build(config: RlConfig, progress: bool = True) -> dict[str, int]:
    """Writes the stage folder and returns the counts of its manifest.

    Raises:
        UserError: an input is missing, a label is not in the tree, or no row for training is left.
    """
    folder, output = Path(config.cases), Path(config.output)
    taxonomy = load_taxonomy(config.taxonomy)
    sparse = (case for case in training_cases(folder) if case.role is Role.SPARSE)
    cases = [case for case in sparse if case.split in ("train", "validation")]
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    rejected: list[dict[str, Any]] = []
    for case in track(cases, "rl: cases", disable=not progress):
        if not case.diagnoses:
            rejected.append({"case_id": case.case_id, "reason": "case has no diagnosis"})
            continue
        try:
            images = relative_images(case, folder, output)
        except MissingImage as error:
            rejected.append({"case_id": case.case_id, "reason": str(error)})
            continue
        assert case.split is not None  # chosen above
        rows[case.split].append(rl_row(case, images, taxonomy))
    return close(
        "rl",
        config,
        rows=rows,
        rejected=rejected,
        cases=cases,
        inputs=[folder / "cases.jsonl"],
        taxonomy=taxonomy,
        counts={"without one risk bucket": sum(row["condition"] is None for found in rows.values() for row in found)},
    )


def rl_row(case: Case, images: list[str], taxonomy: Taxonomy) -> dict[str, Any]:
    """Prompt, truth and groups; ``condition`` is null when the label's nodes differ in risk."""
    return {
        **prompt_row(question(case), images),
        "case_id": case.case_id,
        "diagnoses": list(case.diagnoses),
        "condition": shared_bucket(case.diagnoses, taxonomy),
        "skin_tone": case.tone_group,
        "source": case.source,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    for name, count in build(parse(RlConfig, argv, prog="data_builders.rl")).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    run(main)
