"""A data card: what a build of cases holds, what it lacks, and under which licences, for programs and for people."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from skinr1.cases import Case, read_cases
from skinr1.datacard.card import card
from skinr1.datacard.gaps import FEW, Gap, Subject, gaps
from skinr1.datacard.markdown import markdown
from skinr1.datacard.plots import plots
from skinr1.datacard.reasoning import EXPECTED, read_reasoning
from skinr1.datacard.tally import SPLITS, Tally
from skinr1.errors import UserError
from skinr1.neighbours import cases_of, same_taxonomy
from skinr1.page.environment import environment
from skinr1.scale import case_files
from skinr1.stage import REJECTED, read_jsonl, read_manifest, write_atomic
from skinr1.taxonomy import Taxonomy

__all__ = ["FEW", "FILES", "Gap", "Subject", "Tally", "gaps", "write_card"]

FILES = ("card.json", "card.md", "card.html")


def write_card(
    folder: Path,
    taxonomy: Taxonomy,
    few: int = FEW,
    cases: Path | None = None,
    watch: Callable[[Iterable[Case]], Iterable[Case]] = iter,
) -> dict[str, Any]:
    """Writes card.json, card.md and card.html into a finished stage's folder; returns the card.

    A card of trajectories counts the cases that have one, and says besides what was made of them.

    Args:
        folder: of cases (of the stage cases or splits) or of trajectories.
        few: diagnoses of fewer cases are named as a gap.
        cases: the cases of a trajectories folder, where they do not lie beside it.
        watch: passes the cases through while they are read.

    Raises:
        UserError: the stage never finished, a row is no case, or the cases were made with another taxonomy.
    """
    if few < 1:
        raise UserError("few is under 1", str(few), "Give at least 1.")
    manifest = read_manifest(folder)
    same_taxonomy(manifest, taxonomy, folder)
    reasoning = None
    if case_files(folder)[0].is_file():
        tally = Tally.of(watch(read_cases(folder)))
    else:
        tally, reasoning = read_reasoning(folder, watch(read_cases(cases_of(folder, cases))))
    subject = Subject(tally, taxonomy, few, EXPECTED if reasoning else SPLITS)
    made = card(subject, manifest, _rejected(folder), reasoning)
    page = environment(taxonomy).get_template("card.html").render(card=made, plots=plots(subject))
    texts = (json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n", markdown(made), page)
    for name, text in zip(FILES, texts, strict=True):
        write_atomic(folder / name, text)
    return made


def _rejected(folder: Path) -> dict[str, int]:
    """Reason, up to its colon, -> rows; a stage that rejects nothing may have no such file."""
    if not (folder / REJECTED).is_file():
        return {}
    return dict(Counter(str(row.get("reason", "no reason")).partition(":")[0] for row in read_jsonl(folder / REJECTED)))
