"""What the builders of training files share: the tree they name diagnoses by, and how they close their folder."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.stage import MANIFEST, REJECTED, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy

# Where things lie, and how a model is reached, decides no byte of a stage's rows and differs between machines; the
# inputs' hashes are recorded.
_PLACES = frozenset({"cases", "knowledge", "trajectories", "output", "taxonomy", "cache", "url", "key_file"})
_PLACES |= {"concurrency", "attempts", "timeout"}


def load_taxonomy(path: str | None) -> Taxonomy:
    """The shipped tree, or the one at ``path``. Raises UserError when the file is missing."""
    if path is not None and not Path(path).is_file():
        raise UserError("taxonomy file not found", path, "Correct the path.")
    return Taxonomy.load(Path(path) if path else None)


def close(
    stage: str,
    config: Any,
    *,
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    rejected: Sequence[Mapping[str, Any]],
    cases: Iterable[Case],
    inputs: Iterable[Path],
    taxonomy: Taxonomy,
    counts: Mapping[str, int],
    usage: Mapping[str, Any] | None = None,
) -> dict[str, int]:
    """Writes ``<split>.jsonl`` per entry of ``rows``, the rejections and, last, the manifest; returns its counts.

    Args:
        config: the stage's dataclass, with ``cases``, ``output`` and ``seed``.

    Raises:
        UserError: there is no row to train on; the rejections are written first and say why.
    """
    output = Path(config.output)
    write_jsonl(output / REJECTED, rejected)
    if not rows["train"]:
        raise UserError(
            f"no row to train on ({len(rejected)} rejected)",
            str(output),
            f"See {REJECTED} there, or add cases in train.",
        )
    reasons = Counter(str(row["reason"]).partition(":")[0] for row in rejected)
    total = {
        **{f"rows:{split}": write_jsonl(output / f"{split}.jsonl", found) for split, found in rows.items()},
        "rejected": len(rejected),
        **{f"rejected:{reason}": count for reason, count in reasons.items()},
        **counts,
    }
    total = dict(sorted(total.items()))
    settings = {key: value for key, value in asdict(config).items() if key not in _PLACES}
    write_manifest(
        output,
        stage,
        config=settings,
        inputs=inputs,
        seed=config.seed,
        counts=total,
        licences=dict(sorted(Counter(case.licence for case in cases).items())),
        taxonomy_hash=taxonomy.hash,
        notes=_notes(Path(config.cases)),
        usage=usage,
    )
    return total


def _notes(cases: Path) -> list[str]:
    """Remarks of the cases stage ("rendered, not clinical") go along with everything made from it."""
    path = cases / MANIFEST
    if not path.is_file():
        raise UserError("cases stage is not finished", str(cases), f"Run data_builders.cases ({MANIFEST} is missing).")
    return list(json.loads(path.read_text(encoding="utf-8")).get("notes", []))
