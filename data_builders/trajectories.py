"""Trajectories stage: cases and the textbook -> train.jsonl, validation.jsonl, sentences.jsonl, rejected.jsonl.

    python -m data_builders.trajectories --config recipes/<model>/trajectories.yaml

``sentences.jsonl`` says of every sentence of every row what type it is and what it cites; a trajectory with a sentence
that nothing supports is in ``rejected.jsonl`` with that sentence, and the manifest counts both.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from data_builders.closing import load_taxonomy, nothing_to_train_on, seal, settings_of
from skinr1.cases import parse_case, refuse_evaluation_only
from skinr1.config import parse, run
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge
from skinr1.scale import COUNTS, Piece, ScaleConfig, Shards, Table, case_files, cut, engine_of, join, licences_in, rows
from skinr1.stage import config_hash, file_hash, reopen
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories import DEFAULT_KINDS, KINDS, TemplateRewriter
from skinr1.trajectories.making import Maker, kinds_for

__all__ = ["SENTENCES", "TrajectoriesConfig", "build", "kinds_for", "main", "make_rows"]

SENTENCES = "sentences.jsonl"
_KNOWLEDGE = ("passages.jsonl", "rules.jsonl", "differentials.jsonl")


@dataclass
class TrajectoriesConfig(ScaleConfig):
    """Cases of the splits train and validation become reasoning trajectories: the dense ones, and those of any role
    that a kind without a diagnosis is for."""

    cases: str = field(default="runs/cases", metadata={"help": "Folder of the cases stage."})
    knowledge: str = field(default="runs/knowledge", metadata={"help": "Folder of the knowledge stage."})
    output: str = field(default="runs/trajectories", metadata={"help": "Folder to write."})
    taxonomy: str | None = field(default=None, metadata={"help": "A tree's YAML instead of the shipped one."})
    kinds: list[str] = field(default_factory=lambda: list(DEFAULT_KINDS), metadata={"help": f"Of {', '.join(KINDS)}."})
    per_case: int | None = field(
        default=None, metadata={"help": "Trajectories of one case at most, chosen by hash; all valid ones if null."}
    )
    seed: int = field(default=0, metadata={"help": "Of what is drawn at random."})
    phrasings: int = field(default=1, metadata={"help": "Phrasings the template draws from; 1 keeps it regular."})


def build(config: TrajectoriesConfig, progress: bool = True) -> dict[str, int]:
    """Writes the stage folder and returns the counts of its manifest.

    Raises:
        UserError: an input is missing, a kind is unknown, or no trajectory for training is left.
    """
    _check(config)
    engine, output = engine_of(config), Path(config.output)
    taxonomy = load_taxonomy(config.taxonomy)
    Knowledge.load(Path(config.knowledge))  # raises what is wrong with it before any process starts
    inputs = [*case_files(Path(config.cases)), *(Path(config.knowledge) / name for name in _KNOWLEDGE)]
    pieces = cut(case_files(Path(config.cases)))
    token = _token(config, inputs[-len(_KNOWLEDGE) :], taxonomy)
    reopen(output)
    shards = Shards(output, token)
    made = shards.build(pieces, partial(make_rows, config, token), engine, "trajectories: cases", progress)
    tables = {split: Table(output, split, config.format, "trajectories") for split in ("train", "validation")}
    tables["sentences"] = Table(output, "sentences", config.format, "sentences")
    tables["rejected"] = Table(output, "rejected")
    counts = join(made, tables)
    if not tables["train"].count:
        raise nothing_to_train_on(output, tables["rejected"].count)
    licences = licences_in(counts)
    counts["rejected"] = tables["rejected"].count
    counts.update({f"rows:{split}": tables[split].count for split in ("train", "validation")})
    total = seal("trajectories", config, counts, licences, inputs, taxonomy)
    shards.close()
    return total


def _check(config: TrajectoriesConfig) -> None:
    for kind in config.kinds:
        if kind not in KINDS:
            raise UserError("unknown kind of trajectory", repr(kind), f"Use {', '.join(KINDS)}.")
    if config.per_case is not None and config.per_case < 1:
        raise UserError("per_case is under 1", str(config.per_case), "Give at least 1, or null for all.")


def _token(config: TrajectoriesConfig, inputs: Sequence[Path], taxonomy: Taxonomy) -> str:
    """What decides a shard beside its cases; image paths depend on where the output lies from the cases."""
    way = os.path.relpath(config.cases, config.output)
    return config_hash([settings_of(config), [file_hash(path) for path in inputs], taxonomy.hash, way])


def make_rows(config: TrajectoriesConfig, token: str, piece: Piece) -> Iterator[tuple[str, dict[str, Any]]]:
    """(stream, row) of the cases of a piece; see :class:`skinr1.trajectories.making.Maker`."""
    knowledge, taxonomy = _tools(token, config.knowledge, config.taxonomy)
    maker = Maker(
        knowledge,
        taxonomy,
        TemplateRewriter(config.phrasings, config.seed),
        Path(config.cases),
        Path(config.output),
        config.kinds,
        config.per_case,
        config.seed,
    )
    for where, row in rows(piece):
        yield from maker.rows(refuse_evaluation_only(parse_case(row, where), where))
    yield COUNTS, dict(maker.counts)


@lru_cache(maxsize=1)
def _tools(token: str, knowledge: str, taxonomy: str | None) -> tuple[Knowledge, Taxonomy]:
    """Read once by each process; the token changes with their content."""
    return Knowledge.load(Path(knowledge)), load_taxonomy(taxonomy)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    counts = build(parse(TrajectoriesConfig, argv, prog="data_builders.trajectories"))
    for name, count in counts.items():
        print(f"{name}: {count}")
    print(f"grounded share: {counts['grounded'] / counts['checked']:.4f}")


if __name__ == "__main__":
    run(main)
