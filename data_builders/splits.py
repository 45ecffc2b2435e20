"""Splits stage: folders of cases -> cases.jsonl with leak-proof splits, audit.json, audit.html, manifest.json.

    python -m data_builders.splits --cases runs/ham runs/isic --output runs/splits
    python -m data_builders.splits --cases runs/cases --check true --output runs/audit       (audit only)

Cases are joined by patient, lesion, known overlaps of data sets and near-duplicate pictures. Splits that the cases
already have are kept, but for groups that straddle them: there test wins, then validation, and the others move; audit
lists every one. A leak that remains fails the build, after the audit is written.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skinr1.cases import CASES_FILE, Case, read_cases
from skinr1.errors import UserError
from skinr1.scale import case_files
from skinr1.splits import Sight, conflicts, plan_by_role, report
from skinr1.stage import read_manifest, reopen, write_atomic, write_jsonl, write_manifest

AUDIT, PAGE = "audit.json", "audit.html"


@dataclass
class SplitsConfig:
    """One or several finished cases folders, divided together."""

    cases: list[str] = field(default_factory=lambda: ["runs/cases"], metadata={"help": "Folders of the cases stage."})
    output: str = field(default="runs/splits", metadata={"help": "Folder to write."})
    check: bool = field(default=False, metadata={"help": "Change no split: audit those there are, fail on a leak."})
    resplit: list[str] = field(
        default_factory=list, metadata={"help": "Sources whose present splits are dropped and drawn anew."}
    )
    train_fraction: float = field(default=0.8, metadata={"help": "Of the cases that have no split yet."})
    validation_fraction: float = field(default=0.1, metadata={"help": "See train_fraction."})
    test_fraction: float = field(default=0.1, metadata={"help": "See train_fraction."})
    seed: int = field(default=0, metadata={"help": "Draws the order of groups that are otherwise equal."})
    pictures: bool = field(default=True, metadata={"help": "Look for near-duplicate pictures."})
    shown: int = field(default=200, metadata={"help": "Pairs with thumbnails on the page; the file has all."})
    workers: int = field(default=2, metadata={"help": "Processes that hash pictures."})


def build(config: SplitsConfig, progress: bool = True) -> dict[str, int]:
    """Writes the stage folder and returns the counts of its manifest.

    Raises:
        UserError: an input is missing, a case id occurs twice, a picture cannot be read, or the split leaks.
    """
    output = Path(config.output)
    if any(Path(name).resolve() == output.resolve() for name in config.cases):
        raise UserError("output is one of the inputs", config.output, "Give another output.")
    reopen(output)
    (output / CASES_FILE).unlink(missing_ok=True)  # a leak found now must not leave an earlier build's standing
    cases, folders = _read(config)
    sights = _look(cases, folders, config, progress) if config.pictures else None
    done, audit = _audited(cases, sights, config)
    _write_audit(output, audit, dict(zip((case.case_id for case in cases), folders, strict=True)), config.shown)
    if audit["faults"]:
        more = f" ({len(audit['faults'])} faults)" if len(audit["faults"]) > 1 else ""
        raise UserError(f"split leaks{more}", audit["faults"][0], f"See {output / PAGE}.")
    counts = _counts(done, audit)
    write_jsonl(output / CASES_FILE, _relocated(done, folders, output))
    write_manifest(
        output,
        "splits",
        config=_identity(config),
        inputs=[path for name in config.cases for path in case_files(Path(name))],
        seed=config.seed,
        counts=counts,
        licences=dict(sorted(Counter(case.licence for case in done).items())),
        notes=sorted({note for name in config.cases for note in read_manifest(Path(name))["notes"]}),
    )
    return counts


def _identity(config: SplitsConfig) -> dict[str, Any]:
    """What decides the bytes: no paths of this machine, no number of workers."""
    return {key: value for key, value in vars(config).items() if key not in ("cases", "output", "workers")}


def _read(config: SplitsConfig) -> tuple[list[Case], list[Path]]:
    """All cases and, for each, its folder."""
    cases, folders, seen = [], [], set()
    for name in config.cases:
        read_manifest(Path(name))  # or the stage never finished
        for case in read_cases(Path(name)):
            if case.case_id in seen:
                raise UserError("case id occurs twice", case.case_id, "Leave out one of the folders.")
            seen.add(case.case_id)
            dropped = case.source in config.resplit and not config.check
            cases.append(case.model_copy(update={"split": None}) if dropped else case)
            folders.append(Path(name))
    drawn = ("train_fraction", "validation_fraction", "test_fraction", "seed")
    asked = [name for name in drawn if getattr(config, name) != getattr(SplitsConfig, name)]
    if asked and all(case.split for case in cases):
        raise UserError(
            f"{asked[0]} changes nothing", "all cases have a split already", "Name sources to draw anew in --resplit."
        )
    unknown = set(config.resplit) - {case.source for case in cases}
    if unknown:
        raise UserError("no such source among the cases", ", ".join(sorted(unknown)), "Correct resplit.")
    return cases, folders


def _look(cases: Sequence[Case], folders: Sequence[Path], config: SplitsConfig, progress: bool) -> list[Sight]:
    from skinr1.splits.duplicates import look  # heavy; worker processes import this module and must not pay for it

    return look(cases, folders, Path(config.output) / "fingerprints", config.workers, progress)


def _audited(cases: list[Case], sights: list[Sight] | None, config: SplitsConfig) -> tuple[list[Case], dict[str, Any]]:
    if config.check:
        return cases, report(cases, sights, None)
    fractions = {
        "train": config.train_fraction,
        "validation": config.validation_fraction,
        "test": config.test_fraction,
    }
    pairs = [sight.cases for sight in sights or ()]
    splits, _ = plan_by_role(lambda: cases, fractions, config.seed, pairs)
    done = [case.model_copy(update={"split": split}) for case, split in zip(cases, splits, strict=True)]
    by_ids_alone = plan_by_role(lambda: cases, fractions, config.seed)[0] if pairs else None
    return done, report(done, sights, by_ids_alone, conflicts(cases, pairs))


def _write_audit(output: Path, audit: dict[str, Any], folder_of: dict[str, Path], shown: int) -> None:
    from skinr1.splits.page import render

    write_atomic(output / AUDIT, json.dumps(audit, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    write_atomic(output / PAGE, render(audit, lambda case, image: folder_of[case] / image, shown))


def _relocated(cases: Sequence[Case], folders: Sequence[Path], output: Path) -> Iterable[dict[str, Any]]:
    """Image paths are relative to the folder of cases.jsonl; the pictures stay where they are."""
    for case, folder in zip(cases, folders, strict=True):
        images = tuple(Path(os.path.relpath(folder / image, output)).as_posix() for image in case.images)
        yield case.model_copy(update={"images": images}).model_dump(mode="json")


def _counts(cases: Sequence[Case], audit: dict[str, Any]) -> dict[str, int]:
    counts = {key: audit[key] for key in ("cases", "groups", "pairs_found", "pairs_across_splits_before")}
    counts["moved"] = audit["official"]["moved"]
    counts |= {f"split:{name}": count for name, count in Counter(case.split for case in cases).items()}
    return dict(sorted(counts.items()))


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    from skinr1.config import parse  # heavy, as above

    for name, count in build(parse(SplitsConfig, argv, prog="data_builders.splits")).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    from skinr1.config import run

    run(main)
