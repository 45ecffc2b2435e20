"""Training rows for other trainers: TRL, LLaVA / LLaMA-Factory, VERL, WebDataset.

python -m data_builders.export --input runs/demo/trajectories --format llava --output runs/export/llava
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import track

from skinr1.config import parse, run
from skinr1.errors import UserError
from skinr1.export import FORMATS, SPLITS, examples, written
from skinr1.licences import TERMS
from skinr1.stage import config_hash, file_hash, read_manifest, reopen, write_atomic, write_manifest

STARTED = "export.started"


@dataclass
class ExportConfig:
    """A finished folder of training rows, in the format of another trainer. Licences and notes go along."""

    input: str = field(metadata={"help": "Folder of the stage trajectories, rewrite, captions or rl."})
    output: str = field(metadata={"help": "Folder to write: new, or one of the same export."})
    format: str = field(default="trl", metadata={"help": f"One of {', '.join(FORMATS)}."})


def build(config: ExportConfig, progress: bool = True) -> dict[str, int]:
    """Writes the folder and returns rows by split.

    Raises:
        UserError: unknown format, no finished stage, a folder that holds something else, a missing image.
    """
    if config.format not in FORMATS:
        raise UserError("unknown format", repr(config.format), f"Use one of {', '.join(FORMATS)}.")
    source, output = Path(config.input), Path(config.output)
    origin = read_manifest(source)
    inputs = [path for split in SPLITS for path in written(source, split)]
    _claim(output, config_hash([config.format, [file_hash(path) for path in inputs]]))
    counts = {}
    for split in SPLITS:
        rows = track(examples(source, split), f"{config.format}: {split}", disable=not progress)
        counts[split] = FORMATS[config.format](split, rows, output)
    write_manifest(
        output,
        "export",
        config={"format": config.format, "stage": origin["stage"]},
        inputs=inputs,
        counts={f"rows:{split}": count for split, count in counts.items()},
        licences=origin["licences"],
        taxonomy_hash=origin["taxonomy"],
        notes=[*origin["notes"], *_kept_back(origin["licences"])],
    )
    return counts


def _kept_back(licences: Iterable[str]) -> list[str]:
    """A remark where a licence does not let pictures be passed on, or does not say so."""
    names = sorted(name for name in licences if name not in TERMS or not TERMS[name].redistribution)
    return [f"pictures that may not be passed on: {', '.join(names)}"] if names else []


def _claim(output: Path, token: str) -> None:
    """Marks the folder as this export's, so that no shard of another one is left among ours.

    Raises:
        UserError: the folder holds something else.
    """
    marker = output / STARTED
    if output.is_dir() and any(output.iterdir()):
        if not marker.is_file() or marker.read_text(encoding="utf-8") != token:
            raise UserError("the folder holds something else", str(output), "Give a new folder, or remove it.")
        reopen(output)
    write_atomic(marker, token)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    for split, count in build(parse(ExportConfig, argv, prog="data_builders.export")).items():
        print(f"{split}: {count} rows")


if __name__ == "__main__":
    run(main)
