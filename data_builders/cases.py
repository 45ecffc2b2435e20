"""Cases stage: a source's rows and images -> cases.jsonl, images/, rejected.jsonl, manifest.json, and a data card.

    python -m data_builders.cases --config recipes/<model>/cases.yaml

Images are turned upright, made RGB, stripped of metadata and resized once, here, to the model's budget. A killed build
continues where it was; the same configuration gives the same bytes whatever the number of workers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from data_builders.closing import load_taxonomy
from data_builders.sources import Options, SourceRows
from data_builders.sources.catalogue import SOURCES
from data_builders.sources.preparing import PIECE, SPOOL, finish, make_cases, spool
from data_builders.sources.table import data_tables
from skinr1.errors import UserError
from skinr1.scale import NO_BYTES, ScaleConfig, Shards, cut, engine_of, licences_in
from skinr1.stage import MANIFEST, REJECTED, config_hash, file_hash, write_atomic, write_manifest
from skinr1.taxonomy import Taxonomy

_STARTED = "started.json"


@dataclass
class CasesConfig(ScaleConfig):
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
        dense_tones, dense_typical, dense_left_out, sparse_tones, sites, camera, class_weights: of the rendered clinic;
            see :func:`data_builders.sources.rendered_clinic.rendered_clinic`.
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
    dense_left_out: list[str] = field(default_factory=list)
    sparse_tones: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5, 6])
    sites: list[str] = field(default_factory=list)
    camera: str = "reference"
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
    if config.max_tokens < 1:
        raise UserError("max_tokens is under 1", str(config.max_tokens), "Give at least 1.")
    engine, output = engine_of(config), Path(config.output)
    taxonomy = load_taxonomy(config.taxonomy)
    inputs = _inputs(config)
    token = _claim(output, config, taxonomy, inputs)
    fractions = {name: getattr(config, f"{name}_fraction") for name in ("train", "validation", "test")}
    (output / MANIFEST).unlink(missing_ok=True)
    shards = Shards(output, token)
    spool(_source(config, taxonomy), shards.folder, config.commercial)
    make = partial(make_cases, output, config.max_tokens)
    made = shards.build(cut([shards.folder / SPOOL], PIECE), make, engine, "cases: images", progress)
    counts = finish(made, shards.folder, output, config.format, fractions, config.seed)
    if not counts["cases"]:
        raise UserError("no usable case", config.path or config.source, f"See the reasons in {output / REJECTED}.")
    licences = licences_in(counts)
    write_manifest(
        output,
        "cases",
        config=_identity(config),
        inputs=inputs,
        seed=config.seed,
        counts=dict(sorted(counts.items())),
        licences=licences,
        taxonomy_hash=taxonomy.hash,
        notes=["rendered, not clinical"] if config.source == "rendered_clinic" else [],
    )
    shards.close()
    return dict(sorted(counts.items()))


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
            dense_left_out=config.dense_left_out,
            sparse_tones=config.sparse_tones,
            sites=config.sites,
            camera=config.camera,
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
    for key in ("output", "path", "taxonomy", "label_map", *NO_BYTES):
        own.pop(key)
    return own


def _claim(output: Path, config: CasesConfig, taxonomy: Taxonomy, inputs: Sequence[Path]) -> str:
    """Marks the folder as this build's, so that images of another configuration are never taken for ours.

    Returns the mark: a hash of all that decides the cases.
    """
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
    return token


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    from skinr1.config import parse  # heavy; worker processes import this module and must not pay for it
    from skinr1.datacard import FILES, write_card

    config = parse(CasesConfig, argv, prog="data_builders.cases")
    for name, count in build(config).items():
        print(f"{name}: {count}")
    write_card(Path(config.output), load_taxonomy(config.taxonomy))
    print(f"what it holds and lacks: {Path(config.output) / FILES[-1]}")


if __name__ == "__main__":
    from skinr1.config import run

    run(main)
