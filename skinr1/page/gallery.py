"""What the gallery shows: which cases, and each model's answer to them in words and marks."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skinr1.metrics.hierarchy import shared_depth, top1
from skinr1.metrics.outcomes import Outcome
from skinr1.page.environment import node_path
from skinr1.page.pictures import data_address, find
from skinr1.page.worst import Level, error_in_words, levels
from skinr1.report import Report
from skinr1.taxonomy import Taxonomy
from skinr1.taxonomy.tree import normalise

# A wrong diagnosis is near when it shares the branch with a true one down to this level.
NEAR_LEVEL = 2
RAW_SHOWN = 1500


@dataclass(frozen=True)
class Mark:
    """A verdict: a sign, a word and a style class, so that colour is never the only bearer."""

    sign: str
    word: str
    style: str


RIGHT = Mark("✓", "right", "right")
NEAR = Mark("≈", "near", "near")
WRONG = Mark("✗", "wrong", "wrong")
INVALID = Mark("∅", "invalid", "wrong")


@dataclass(frozen=True)
class Reply:
    """One model's answer to one case. ``report`` is None when invalid; ``raw`` is then the text, cut for display.

    ``levels`` is the answer's path down to its first wrong level, which ``error`` says in words.
    """

    model: str
    mark: Mark
    diagnosis: str
    path: str
    report: Report | None
    rivals: tuple[str, ...]
    thinking: str
    faults: tuple[str, ...]
    problem: str
    raw: str
    cut: int
    levels: tuple[Level, ...]
    error: str


@dataclass(frozen=True)
class Exhibit:
    """One case with everything said about it. ``picture`` is None when the file cannot be shown."""

    case_id: str
    picture: str | None
    truth: tuple[str, ...]
    names: str
    label: str
    condition: str
    skin_tone: str
    source: str
    replies: tuple[Reply, ...]


def mark(outcome: Outcome, taxonomy: Taxonomy) -> Mark:
    """right: a true node exactly; near: same branch down to level 2; wrong, no diagnosis included; invalid."""
    if outcome.predicted is None:
        return WRONG if outcome.answer else INVALID
    if top1(outcome, taxonomy):
        return RIGHT
    near = any(shared_depth(outcome.predicted, node, taxonomy) >= NEAR_LEVEL for node in outcome.row.diagnoses)
    return NEAR if near else WRONG


def choose(outcomes: Sequence[Outcome], size: int) -> list[str]:
    """Case ids, one of each true diagnosis after another, each drawn by the hash of its id: no answer sways it."""
    queues: dict[tuple[str, ...], list[str]] = {}
    for outcome in sorted(outcomes, key=lambda o: hashlib.sha256(o.case_id.encode()).hexdigest()):
        queues.setdefault(tuple(sorted(outcome.row.diagnoses)), []).append(outcome.case_id)
    rounds = max((len(queue) for queue in queues.values()), default=0)
    order = [queues[key][turn] for turn in range(rounds) for key in sorted(queues) if turn < len(queues[key])]
    return order[:size]


def exhibits(
    runs: Mapping[str, Sequence[Outcome]], folders: tuple[Path, ...], taxonomy: Taxonomy, case_ids: Sequence[str]
) -> list[Exhibit]:
    """The cases in the order given, with every model's answer where it has one.

    Args:
        runs: model name -> outcomes.
        folders: where relative image paths may lie.
    """
    by_case = {name: {o.case_id: o for o in run} for name, run in runs.items()}
    found = []
    for case_id in case_ids:
        row = next(run[case_id] for run in by_case.values() if case_id in run).row
        file = find(row.image, folders) if row.image else None
        found.append(
            Exhibit(
                case_id=case_id,
                picture=data_address(file) if file else None,
                truth=tuple(node_path(node, taxonomy) for node in row.diagnoses),
                names=" or ".join(taxonomy.node(node).name for node in row.diagnoses),
                label="" if _is_named(row.label or "", row.diagnoses, taxonomy) else row.label or "",
                condition=_words(row.condition or "unknown"),
                skin_tone=row.skin_tone or "unknown",
                source=row.source,
                replies=tuple(_reply(name, run[case_id], taxonomy) for name, run in by_case.items() if case_id in run),
            )
        )
    return found


def _reply(model: str, outcome: Outcome, taxonomy: Taxonomy) -> Reply:
    text = outcome.row.text
    report = outcome.answer.report if outcome.answer else None
    named = outcome.predicted
    entries = report.differential if report else ()
    return Reply(
        model=model,
        mark=mark(outcome, taxonomy),
        diagnosis="" if report is None else taxonomy.node(named).name if named else "no diagnosis",
        path=node_path(named, taxonomy) if named else "",
        report=report,
        rivals=tuple(taxonomy.node(entry.diagnosis).name for entry in entries),
        thinking=outcome.answer.thinking.strip() if outcome.answer else "",
        faults=outcome.faults,
        problem=str(outcome.invalid or ""),
        raw="" if report else text[:RAW_SHOWN],
        cut=0 if report else max(0, len(text) - RAW_SHOWN),
        levels=levels(outcome, taxonomy),
        error="" if named is None or top1(outcome, taxonomy) else error_in_words(outcome, taxonomy),
    )


def _is_named(label: str, nodes: Sequence[str], taxonomy: Taxonomy) -> bool:
    """The data set's own label says no more than the node's name."""
    return any(normalise(label) == normalise(taxonomy.node(node).name) for node in nodes)


def _words(name: str) -> str:
    return name.replace("_", " ")
