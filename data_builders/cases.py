"""Cases stage: a source's rows and images -> cases.jsonl, images/, rejected.jsonl, manifest.json, and a data card.

    python -m data_builders.cases --config recipes/<model>/cases.yaml

Images are turned upright, made RGB, stripped of metadata and resized once, here, to the model's budget. A killed build
continues where it was; the same configuration gives the same bytes whatever the number of workers.
"""

import hashlib
import multiprocessing
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.progress import Progress

from data_builders.sources import Options, Rejection, SourceRows
from data_builders.sources.catalogue import SOURCES
from data_builders.sources.pictures import Job, make
from data_builders.sources.table import data_tables
from skinr1.cases import CASES_FILE, Case, Role
from skinr1.errors import UserError
from skinr1.licences import refuse_non_commercial, roll_up
from skinr1.splits import assign, audit, groups
from skinr1.stage import REJECTED, config_hash, file_hash, write_atomic, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy

_STARTED = "started.json"


@dataclass
class CasesConfig:
    """Configuration of the cases stage; keys of other sources than the chosen one have no effect.

    Attributes:
        source: rendered_clinic, folder (one's own images), or a data set of docs/sources.md.
        path: the data set's folder, or the folder or CSV of one's own images; unused by the rendered clinic.
        output: folder to write.
        max_tokens: visual token budget of one image; a token covers 28 x 28 px, so 16 is 112 x 112.
        taxonomy: a tree's YAML instead of the shipped one.
        label_map: YAML label map for source folder.
        licence: of images that state none themselves: one's own, an ISIC export without that column.
        modality: of images whose table does not say it: clinical or dermoscopic.
        commercial: refuse data whose licence does not allow commercial use, or does not say.
        dense_share: share of patients (by hash of seed and id) whose findings are kept; the rest is sparse. Null is all
            of one's own (source folder) and half of a public data set's.
        workers: processes that prepare images.
    """

    source: str = "rendered_clinic"
    path: str | None = None
    output: str = "runs/cases"
    seed: int = 0
    max_tokens: int = 16
    taxonomy: str | None = None
    train_fraction: float = 0.8
    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    workers: int = 2
    caption_patients: int = 2000
    dense_patients: int = 300
    sparse_patients: int = 2000
    dense_tones: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5, 6])
    dense_typical: bool = False
    dermoscopic_share: float = 0.4
    class_weights: dict[str, Any] | str | None = None
    label_map: str | None = None
    licence: str = "unstated"
    modality: str | None = None
    commercial: bool = False
    dense_share: float | None = None


def build(config: CasesConfig, progress: bool = True) -> dict[str, int]:
    """Writes the stage folder and returns the counts that its manifest records.

    Raises:
        UserError: the configuration cannot be met, the folder holds another build, or no case is left.
    """
    for key in ("max_tokens", "workers"):
        if getattr(config, key) < 1:
            raise UserError(f"{key} is under 1", str(getattr(config, key)), "Give at least 1.")
    output = Path(config.output)
    taxonomy = _taxonomy(config)
    inputs = _inputs(config)
    _claim(output, config, taxonomy, inputs)
    rows = list(_source(config, taxonomy))
    cases, rejected = _unique(rows)
    if config.commercial:
        refuse_non_commercial(cases)
    jobs = [_jobs(case, output, config.max_tokens) for case in cases]
    failures = _make_all([job for group in jobs for job in group], config.workers, progress)
    kept = []
    for case, group in zip(cases, jobs, strict=True):
        reasons = [failures[job.target] for job in group if job.target in failures]
        if reasons:
            rejected += [Rejection(f"case {case.case_id}", reason) for reason in reasons]
        else:
            names = tuple(f"images/{Path(job.target).name}" for job in group)
            kept.append(case.model_copy(update={"images": names}))
    write_jsonl(output / REJECTED, [asdict(rejection) for rejection in rejected])
    if not kept:
        raise UserError("no usable case", config.path or config.source, f"See the reasons in {output / REJECTED}.")
    kept = _split(kept, config)
    write_jsonl(output / CASES_FILE, [case.model_dump(mode="json") for case in kept])
    counts = _count(kept, rejected)
    notes = ["rendered, not clinical"] if config.source == "rendered_clinic" else []
    write_manifest(
        output,
        "cases",
        config=_identity(config),
        inputs=inputs,
        seed=config.seed,
        counts=counts,
        licences=roll_up(kept),
        taxonomy_hash=taxonomy.hash,
        notes=notes,
    )
    return counts


def _taxonomy(config: CasesConfig) -> Taxonomy:
    if config.taxonomy is not None and not Path(config.taxonomy).is_file():
        raise UserError("taxonomy file not found", config.taxonomy, "Correct the path.")
    return Taxonomy.load(Path(config.taxonomy) if config.taxonomy else None)


def _inputs(config: CasesConfig) -> list[Path]:
    """The tables the build reads; images are covered by their names in them."""
    paths = [Path(p) for p in (config.taxonomy, config.label_map) if p]
    for path in paths:
        if not path.is_file():
            raise UserError("input file not found", str(path), "Correct the path in the configuration.")
    if config.path and config.source != "rendered_clinic":
        if not Path(config.path).exists():
            raise UserError("input file not found", config.path, "Correct the path in the configuration.")
        paths += data_tables(Path(config.path))
    return paths


def _source(config: CasesConfig, taxonomy: Taxonomy) -> SourceRows:
    if config.source == "rendered_clinic":
        from data_builders.sources.rendered_clinic import rendered_clinic

        if isinstance(config.class_weights, str):
            raise UserError("class_weights is no mapping", config.class_weights, "Write `node: weight` lines in YAML.")
        return rendered_clinic(
            config.caption_patients,
            config.dense_patients,
            config.sparse_patients,
            config.seed,
            dense_tones=config.dense_tones,
            dense_typical=config.dense_typical,
            dermoscopic_share=config.dermoscopic_share,
            class_weights=config.class_weights,
            taxonomy=taxonomy,
        )
    if config.source not in SOURCES:
        names = ", ".join(["rendered_clinic", *SOURCES])
        raise UserError("unknown source", repr(config.source), f"Use one of: {names}.")
    if config.path is None:
        raise UserError("source needs a path", config.source, "Set path in the configuration.")
    if config.modality not in (None, "clinical", "dermoscopic"):
        raise UserError("unknown modality", config.modality, "Use clinical or dermoscopic, or leave it out.")
    options = Options(
        seed=config.seed,
        dense_share=(1.0 if config.source == "folder" else 0.5) if config.dense_share is None else config.dense_share,
        licence=config.licence,
        modality=config.modality,  # type: ignore[arg-type]  # checked above
        label_map=config.label_map,
    )
    return SOURCES[config.source](Path(config.path), taxonomy, options)


def _identity(config: CasesConfig) -> dict[str, Any]:
    """What decides the bytes: no paths of this machine, no number of workers."""
    own = asdict(config)
    for key in ("output", "workers", "path", "taxonomy", "label_map"):
        own.pop(key)
    return own


def _claim(output: Path, config: CasesConfig, taxonomy: Taxonomy, inputs: Sequence[Path]) -> None:
    """Marks the folder as this build's, so that images of another configuration are never taken for ours."""
    painter = hashlib.sha256()
    if config.source == "rendered_clinic":
        package = files("data_builders.rendered")
        for entry in sorted(package.iterdir(), key=lambda e: e.name):
            if entry.name.endswith((".py", ".yaml")):
                painter.update(entry.read_bytes())
    source = {"path": config.path, "inputs": [file_hash(path) for path in inputs], "painter": painter.hexdigest()}
    token = config_hash({**_identity(config), "taxonomy": taxonomy.hash, **source})
    marker = output / "images" / _STARTED
    if marker.is_file() and marker.read_text(encoding="utf-8") != token:
        raise UserError(
            "folder holds cases of another configuration or renderer", str(output), "Give another output, or remove it."
        )
    write_atomic(marker, token)
    for leftover in sorted((output / "images").glob(".*.partial")):
        leftover.unlink()


def _unique(rows: Sequence[Case | Rejection]) -> tuple[list[Case], list[Rejection]]:
    rejected = [row for row in rows if isinstance(row, Rejection)]
    seen: dict[str, Case] = {}
    for row in rows:
        if isinstance(row, Rejection):
            continue
        if row.case_id in seen:
            rejected.append(Rejection(f"case {row.case_id}", "case id occurs twice; the first is kept"))
        else:
            seen[row.case_id] = row
    return list(seen.values()), rejected


def _content(source: str) -> str:
    """A part of the name that changes with the picture, so that a picture prepared earlier is never a stale one."""
    return f"-{file_hash(Path(source))[:8]}" if Path(source).is_file() else ""


def _jobs(case: Case, output: Path, max_tokens: int) -> list[Job]:
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", case.case_id)
    if stem != case.case_id or len(stem) > 100:
        stem = f"{stem[:80]}-{hashlib.sha256(case.case_id.encode()).hexdigest()[:12]}"
    folder = output / "images"
    return [
        Job(source, str(folder / f"{stem}{'' if len(case.images) == 1 else f'-{i}'}{_content(source)}.png"), max_tokens)
        for i, source in enumerate(case.images)
    ]


def _make_all(jobs: Sequence[Job], workers: int, progress: bool) -> dict[str, str]:
    """Target -> reason of every job that failed."""
    failures: dict[str, str] = {}
    with Progress(disable=not progress) as bar:
        task = bar.add_task("cases: images", total=len(jobs))
        for job, reason in zip(jobs, _results(jobs, workers), strict=True):
            if reason is not None:
                failures[job.target] = reason
            bar.advance(task)
    return failures


def _results(jobs: Sequence[Job], workers: int) -> Iterator[str | None]:
    if workers == 1 or len(jobs) < 2:
        yield from map(make, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(make, jobs, chunksize=16)


def _split(cases: list[Case], config: CasesConfig) -> list[Case]:
    """Labelled cases by fraction; captions teach sight only and go to train unless their patient is split anyway.

    A split that a data set's authors published is kept; a data set that is all test stays so.
    """
    if all(case.split == "test" for case in cases):
        return cases
    fractions = {
        "train": config.train_fraction,
        "validation": config.validation_fraction,
        "test": config.test_fraction,
    }
    group_of = groups(cases)
    labelled = {group for case, group in zip(cases, group_of, strict=True) if case.role is not Role.CAPTION}
    divided = [i for i, group in enumerate(group_of) if group in labelled]
    result = [case.model_copy(update={"split": "train"}) for case in cases]
    if divided:
        for i, case in zip(divided, assign([cases[i] for i in divided], fractions, config.seed), strict=True):
            result[i] = case
    for fault in audit(result):
        raise UserError("split leaks", fault, "This is a fault of the builder; report it.")
    return result


def _count(cases: Sequence[Case], rejected: Sequence[Rejection]) -> dict[str, int]:
    counts = Counter({"cases": len(cases), "rejected": len(rejected)})
    counts["patients"] = len(set(groups(cases)))
    for case in cases:
        counts[f"role:{case.role}"] += 1
        counts[f"split:{case.role}:{case.split}"] += 1
    counts["diagnoses"] = len({d for case in cases for d in case.diagnoses})
    return dict(sorted(counts.items()))


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    from skinr1.config import parse  # heavy; worker processes import this module and must not pay for it
    from skinr1.datacard import FILES, write_card

    config = parse(CasesConfig, argv, prog="data_builders.cases")
    for name, count in build(config).items():
        print(f"{name}: {count}")
    write_card(Path(config.output), _taxonomy(config))
    print(f"what it holds and lacks: {Path(config.output) / FILES[-1]}")


if __name__ == "__main__":
    from skinr1.config import run

    run(main)
