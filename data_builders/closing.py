"""What the builders of training files share: the tree they name diagnoses by, and how they close their folder."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.licences import roll_up
from skinr1.scale import NO_BYTES
from skinr1.stage import MANIFEST, REJECTED, reopen, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy

# Where things lie, and how a model is reached, decides no byte of a stage's rows and differs between machines; the
# inputs' hashes are recorded.
_PLACES = frozenset({"cases", "knowledge", "trajectories", "rl", "output", "taxonomy", "cache", "url", "key_file"})
_PLACES |= {"concurrency", "attempts", "timeout", *NO_BYTES}


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
    reopen(output)
    write_jsonl(output / REJECTED, rejected)
    if not rows["train"]:
        raise nothing_to_train_on(output, len(rejected))
    total = {
        **{f"rows:{split}": write_jsonl(output / f"{split}.jsonl", found) for split, found in rows.items()},
        "rejected": len(rejected),
        **{f"rejected:{reason}": count for reason, count in Counter(map(reason_of, rejected)).items()},
        **counts,
    }
    return seal(stage, config, total, roll_up(cases), inputs, taxonomy, usage)


def reason_of(rejected: Mapping[str, Any]) -> str:
    """The part of a rejection's reason that is counted."""
    return str(rejected["reason"]).partition(":")[0]


def nothing_to_train_on(output: Path, rejected: int) -> UserError:
    """The error of a build whose train split is empty."""
    return UserError(
        f"no row to train on ({rejected} rejected)", str(output), f"See {REJECTED} there, or add cases in train."
    )


def settings_of(config: Any) -> dict[str, Any]:
    """What of a stage's configuration decides its bytes."""
    return {key: value for key, value in asdict(config).items() if key not in _PLACES}


def seal(
    stage: str,
    config: Any,
    counts: Mapping[str, int],
    licences: Mapping[str, int],
    inputs: Iterable[Path],
    taxonomy: Taxonomy,
    usage: Mapping[str, Any] | None = None,
) -> dict[str, int]:
    """Writes the manifest of a folder whose tables are written; returns its counts, sorted."""
    total = dict(sorted(counts.items()))
    write_manifest(
        Path(config.output),
        stage,
        config=settings_of(config),
        inputs=inputs,
        seed=config.seed,
        counts=total,
        licences=dict(sorted(licences.items())),
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
