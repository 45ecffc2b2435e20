"""A data card: what a build of cases holds, what it lacks, and under which licences, for programs and for people."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from skinr1.cases import Case, read_cases
from skinr1.datacard.card import card
from skinr1.datacard.gaps import FEW, Gap, Subject, gaps
from skinr1.datacard.markdown import markdown
from skinr1.datacard.plots import plots
from skinr1.datacard.tally import Tally
from skinr1.errors import UserError
from skinr1.page.environment import environment
from skinr1.stage import REJECTED, read_jsonl, read_manifest, write_atomic
from skinr1.taxonomy import Taxonomy

__all__ = ["FEW", "FILES", "Gap", "Tally", "gaps", "same_taxonomy", "write_card"]

FILES = ("card.json", "card.md", "card.html")


def write_card(
    folder: Path, taxonomy: Taxonomy, few: int = FEW, watch: Iterable[Case] | None = None
) -> dict[str, Any]:
    """Writes card.json, card.md and card.html into a finished stage's folder of cases; returns the card.

    Args:
        few: diagnoses of fewer cases are named as a gap.
        watch: the folder's cases, where the caller shows how far they are read.

    Raises:
        UserError: the stage never finished, a row is no case, or the cases were made with another taxonomy.
    """
    if few < 1:
        raise UserError("few is under 1", str(few), "Give at least 1.")
    manifest = read_manifest(folder)
    same_taxonomy(manifest, taxonomy, folder)
    subject = Subject(Tally.of(read_cases(folder) if watch is None else watch), taxonomy, few)
    made = card(subject, manifest, _rejected(folder))
    page = environment(taxonomy).get_template("card.html").render(card=made, plots=plots(subject))
    texts = (json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n", markdown(made), page)
    for name, text in zip(FILES, texts, strict=True):
        write_atomic(folder / name, text)
    return made


def same_taxonomy(manifest: dict[str, Any], taxonomy: Taxonomy, folder: Path) -> None:
    """Raises UserError when a stage names its diagnoses by another tree."""
    if manifest.get("taxonomy") not in (None, taxonomy.hash):
        raise UserError(
            "made with another taxonomy", str(folder), "Give its YAML as --taxonomy, or run the stage again."
        )


def _rejected(folder: Path) -> dict[str, int]:
    """Reason, up to its colon, -> rows; a stage that rejects nothing may have no such file."""
    if not (folder / REJECTED).is_file():
        return {}
    return dict(Counter(str(row.get("reason", "no reason")).partition(":")[0] for row in read_jsonl(folder / REJECTED)))
