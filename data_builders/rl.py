"""RL stage: sparsely labelled cases -> train.jsonl and validation.jsonl of prompts with the label as columns.

    python -m data_builders.rl --config recipes/<model>/rl.yaml

``--questions choice`` names candidates in the prompt (docs/questions.md); ``--questions description`` asks the dense,
annotated cases for their signs. The answer is a report in each case.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import track

from data_builders.closing import close, load_taxonomy
from skinr1.cases import Case, Role, training_cases
from skinr1.config import parse, run
from skinr1.errors import UserError
from skinr1.prompts import choice_question, description_question, question
from skinr1.questions import Label, Options, hits, option_name, option_sets
from skinr1.scale import case_files
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.evidence import shared_bucket
from skinr1.trajectories.rows import MissingImage, prompt_row, relative_images

SPLITS = ("train", "validation")
QUESTIONS = ("open", "choice", "description")
REMEDY = {
    Role.SPARSE: "Build the cases with a smaller --dense_share (0.5, say), or leave the findings of some rows out.",
    Role.DENSE: "Descriptions need annotated signs: add findings to some rows.",
}
Found = list[tuple[Case, list[str]]]


@dataclass
class RlConfig:
    """Sparse cases of the splits train and validation become prompts with their truth; dense ones for descriptions."""

    cases: str = field(default="runs/cases", metadata={"help": "Folder of the cases stage."})
    output: str = field(default="runs/rl", metadata={"help": "Folder to write."})
    taxonomy: str | None = field(default=None, metadata={"help": "A tree's YAML instead of the shipped one."})
    questions: str = field(default="open", metadata={"help": f"{', '.join(QUESTIONS)}."})
    options: int = field(default=4, metadata={"help": "Candidates of a choice."})
    seed: int = field(default=0, metadata={"help": "Of the choices."})


def build(config: RlConfig, progress: bool = True) -> dict[str, int]:
    """Writes the stage folder and returns the counts of its manifest.

    Raises:
        UserError: an input is missing, a setting is wrong, a label is not in the tree, no row for training is left, or
            no choice could be built.
    """
    if config.questions not in QUESTIONS:
        raise UserError("unknown kind of question", repr(config.questions), f"Use {' or '.join(QUESTIONS)}.")
    folder = Path(config.cases)
    taxonomy = load_taxonomy(config.taxonomy)
    described = config.questions == "description"
    role = Role.DENSE if described else Role.SPARSE
    offered = [case for case in training_cases(folder) if case.split in SPLITS]
    cases = [case for case in offered if case.role is role]
    if offered and not cases:
        held = ", ".join(f"{count} {name}" for name, count in sorted(Counter(c.role.value for c in offered).items()))
        raise UserError(f"no {role.value} case to ask about ({held})", config.cases, REMEDY[role])
    found, rejected = _usable(cases, folder, Path(config.output), described, progress)
    chosen: dict[str, Options] | None = None
    counts: dict[str, int] = {}
    if config.questions == "choice":
        chosen, counts = choices(found, taxonomy, config.options, config.seed)
    ask = description_question if described else question
    rows = {split: [rl_row(case, images, taxonomy, ask, chosen) for case, images in found[split]] for split in SPLITS}
    counts["without one risk bucket"] = sum(row["condition"] is None for split in SPLITS for row in rows[split])
    inputs = case_files(folder)
    return close(
        "rl", config, rows=rows, rejected=rejected, cases=cases, inputs=inputs, taxonomy=taxonomy, counts=counts
    )


def _usable(
    cases: Sequence[Case], folder: Path, output: Path, described: bool, progress: bool
) -> tuple[dict[str, Found], list[dict[str, Any]]]:
    """Cases with their images by split, and the rejected ones."""
    found: dict[str, Found] = {split: [] for split in SPLITS}
    rejected: list[dict[str, Any]] = []
    for case in track(cases, "rl: cases", disable=not progress):
        if not case.diagnoses:
            rejected.append({"case_id": case.case_id, "reason": "case has no diagnosis"})
            continue
        if described and not case.present():
            rejected.append({"case_id": case.case_id, "reason": "case has no sign to describe"})
            continue
        try:
            images = relative_images(case, folder, output)
        except MissingImage as error:
            rejected.append({"case_id": case.case_id, "reason": str(error)})
            continue
        assert case.split is not None  # chosen by it
        found[case.split].append((case, images))
    return found, rejected


def rl_row(
    case: Case,
    images: list[str],
    taxonomy: Taxonomy,
    ask: Callable[[Case], str],
    chosen: Mapping[str, Options] | None = None,
) -> dict[str, Any]:
    """Prompt, truth and groups; ``condition`` is null when the label's nodes differ in risk.

    ``differential``, ``findings`` and ``absent`` are what readers and annotators said; mostly they are empty.

    Args:
        ask: words the question of a case.
        chosen: options by case. Then each row has the column ``options``, lists of nodes, which is empty where the case
            found no place and is asked openly.
    """
    row: dict[str, Any] = {
        **prompt_row(ask(case), images),
        "case_id": case.case_id,
        "diagnoses": list(case.diagnoses),
        "condition": shared_bucket(case.diagnoses, taxonomy),
        "differential": [{"node": node, "weight": weight} for node, weight in case.differential],
        "findings": list(case.present()),
        "absent": list(case.absent()),
        "skin_tone": case.tone_group,
        "source": case.source,
    }
    if chosen is None:
        return row
    options = chosen.get(case.case_id, ())
    if options:
        names = [option_name(nodes, taxonomy) for nodes in options]
        row |= prompt_row(choice_question(case, names), images)
    return {**row, "options": [list(nodes) for nodes in options]}


def choices(
    found: Mapping[str, Found], taxonomy: Taxonomy, size: int, seed: int
) -> tuple[dict[str, Options], dict[str, int]]:
    """Options by case, and counts: choices, open questions, and what shortcuts get right in train.

    Raises:
        UserError: no case in train has enough labels beside it that exclude its own.
    """
    made: dict[str, Options] = {}
    counts: dict[str, int] = {}
    for split in SPLITS:
        labels = {case.case_id: label_of(case) for case, _ in found[split]}
        chosen = option_sets(labels, taxonomy, size, seed)
        prior = Counter(label.nodes for label in labels.values())
        right = hits(((options, labels[case_id].nodes) for case_id, options in chosen.items()), taxonomy, prior)
        counts |= {f"choice:{split}": len(chosen), f"open:{split}": len(labels) - len(chosen)}
        counts |= {f"choice:{split}:right by {name}": count for name, count in right.items()}
        made |= chosen
    if found["train"] and not counts["choice:train"]:
        what = f"no {size} labels that exclude one another"
        raise UserError(what, "train", "Give fewer --options, or more diagnoses.")
    return made, counts


def label_of(case: Case) -> Label:
    """The nodes of the label, and those that readers gave weight beside it."""
    also = sorted({node for node, _ in case.differential} - set(case.diagnoses))
    return Label(case.diagnoses, tuple(also))


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    for name, count in build(parse(RlConfig, argv, prog="data_builders.rl")).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    run(main)
