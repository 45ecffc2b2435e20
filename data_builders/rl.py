"""RL stage: sparsely labelled cases -> train.jsonl and validation.jsonl of prompts with the label as columns.

python -m data_builders.rl --config recipes/<model>/rl.yaml
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import track

from data_builders.closing import close, load_taxonomy
from skinr1.cases import Role, training_cases
from skinr1.choices import Question, questions
from skinr1.config import parse, run
from skinr1.errors import UserError
from skinr1.prompts import choice_question, question
from skinr1.scale.tables import case_files
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.evidence import shared_bucket
from skinr1.trajectories.rows import MissingImage, prompt_row, relative_images


@dataclass
class RlConfig:
    """Sparse cases of the splits train and validation become prompts with their truth."""

    cases: str = field(default="runs/cases", metadata={"help": "Folder of the cases stage."})
    output: str = field(default="runs/rl", metadata={"help": "Folder to write."})
    taxonomy: str | None = field(default=None, metadata={"help": "A tree's YAML instead of the shipped one."})
    questions: str = field(default="open", metadata={"help": "open, or choice: among diagnoses listed in the prompt."})
    options: int = field(default=4, metadata={"help": "Diagnoses to choose from."})
    seed: int = field(default=0, metadata={"help": "Decides options, their order and which cases balance leaves out."})


def build(config: RlConfig, progress: bool = True) -> dict[str, int]:
    """Writes the stage folder and returns the counts of its manifest.

    Raises:
        UserError: an input is missing, a label is not in the tree, or no row for training is left.
    """
    if config.questions not in ("open", "choice"):
        raise UserError("unknown kind of question", repr(config.questions), "Use open or choice.")
    folder, output = Path(config.cases), Path(config.output)
    taxonomy = load_taxonomy(config.taxonomy)
    sparse = (case for case in training_cases(folder) if case.role is Role.SPARSE)
    cases = [case for case in sparse if case.split in ("train", "validation")]
    rejected = [{"case_id": case.case_id, "reason": "case has no diagnosis"} for case in cases if not case.diagnoses]
    labelled = [case for case in cases if case.diagnoses]
    if config.questions == "choice":
        asked, refused = questions(labelled, config.options, taxonomy, config.seed)
        rejected += [{"case_id": case.case_id, "reason": reason} for case, reason in refused]
    else:
        asked = [Question(case, ()) for case in labelled]
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    for asking in track(asked, "rl: cases", disable=not progress):
        case = asking.case
        try:
            images = relative_images(case, folder, output)
        except MissingImage as error:
            rejected.append({"case_id": case.case_id, "reason": str(error)})
            continue
        assert case.split is not None  # chosen above
        rows[case.split].append(rl_row(asking, images, taxonomy))
    return close(
        "rl",
        config,
        rows=rows,
        rejected=rejected,
        cases=cases,
        inputs=case_files(folder),
        taxonomy=taxonomy,
        counts={"without one risk bucket": sum(row["condition"] is None for found in rows.values() for row in found)},
    )


def rl_row(asking: Question, images: list[str], taxonomy: Taxonomy) -> dict[str, Any]:
    """Prompt, truth and groups; ``condition`` is null when the label's nodes differ in risk."""
    case = asking.case
    names = [taxonomy.node(node).name for node in asking.options]
    row = {
        **prompt_row(choice_question(case, names) if names else question(case), images),
        "case_id": case.case_id,
        "diagnoses": list(case.diagnoses),
        "condition": shared_bucket(case.diagnoses, taxonomy),
        "skin_tone": case.tone_group,
        "source": case.source,
    }
    return {**row, "options": list(asking.options)} if names else row


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    for name, count in build(parse(RlConfig, argv, prog="data_builders.rl")).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    run(main)
