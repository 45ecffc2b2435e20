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
from skinr1.stage import REJECTED, config_hash, file_hash, reopen, write_atomic, write_manifest
from skinr1.taxonomy import Taxonomy

_STARTED = "started.json"


def _key(default: Any, text: str) -> Any:
    """A key with its help; a list is copied for each configuration."""
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata={"help": text})
    return field(default=default, metadata={"help": text})


@dataclass
class CasesConfig(ScaleConfig):
    """Configuration of the cases stage; keys of other sources than the chosen one have no effect."""

    source: str = _key(
        "rendered_clinic", "rendered_clinic, folder (one's own images), or a data set of docs/sources.md."
    )
    path: str | None = _key(None, "The data set's folder, or the folder or CSV of one's own images.")
    output: str = _key("runs/cases", "Folder to write.")
    seed: int = _key(0, "Of the splits, of what is kept dense, and of the rendered clinic.")
    max_tokens: int = _key(16, "Visual tokens an image may take; a token covers 28 x 28 px, so 16 is 112 x 112.")
    taxonomy: str | None = _key(None, "A tree's YAML instead of the shipped one.")
    train_fraction: float = _key(0.8, "Share of the patients; official splits of a data set come first.")
    validation_fraction: float = _key(0.1, "Share of the patients.")
    test_fraction: float = _key(0.1, "Share of the patients.")
    workers: int = _key(2, "Processes that prepare images, or CPUs of a Ray started here.")
    caption_patients: int = _key(2000, "Rendered clinic: patients with signs and no label, for pretraining.")
    dense_patients: int = _key(300, "Rendered clinic: patients with signs and label, the atlas.")
    sparse_patients: int = _key(2000, "Rendered clinic: patients with a label only.")
    dense_tones: list[int] = _key([1, 2, 3, 4, 5, 6], "Rendered clinic: Fitzpatrick tones of the atlas.")
    dense_typical: bool = _key(False, "Rendered clinic: the atlas shows typical pictures, as books do.")
    dense_left_out: list[str] = _key([], "Rendered clinic: nodes that the atlas lacks.")
    sparse_tones: list[int] = _key([1, 2, 3, 4, 5, 6], "Rendered clinic: tones of the others; twice is twice as often.")
    sites: list[str] = _key([], "Rendered clinic: body sites, equally often; none is plain skin.")
    camera: str = _key("reference", "Rendered clinic: reference or phone.")
    dermoscopic_share: float = _key(0.4, "Rendered clinic: share of dermoscopic pictures.")
    class_weights: dict[str, Any] | str | None = _key(None, "Rendered clinic: node -> how often it is seen (YAML).")
    label_map: str | None = _key(None, "Source folder: YAML that maps one's labels to nodes.")
    licence: str = _key("unstated", "Of images that state none: one's own, an ISIC export without that column.")
    modality: str | None = _key(None, "Of images whose table does not say it: clinical or dermoscopic.")
    commercial: bool = _key(False, "Refuse data whose licence does not allow commercial use, or does not say.")
    dense_share: float | None = _key(
        None, "Share of patients whose findings are kept; null: all of one's own, half of a public data set's."
    )


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
    reopen(output)
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
    counts = build(config)
    for name, count in counts.items():
        print(f"{name}: {count}")
    if counts.get("rejected"):
        print(f"why rows were rejected: {Path(config.output) / REJECTED}")
    write_card(Path(config.output), load_taxonomy(config.taxonomy))
    print(f"what it holds and lacks: {Path(config.output) / FILES[-1]}")


if __name__ == "__main__":
    from skinr1.config import run

    run(main)
