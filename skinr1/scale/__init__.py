"""Stages over any number of cases: cut the input into pieces, make a shard of each, join the shards in order.

Memory holds one piece at a time. A shard is a file that appears when complete, under the hash of its input and its
stage's settings, so a killed build redoes whole pieces and none that was finished. See docs/scale.md.
"""

from skinr1.scale.config import NO_BYTES, ScaleConfig, engine_of
from skinr1.scale.engines import ENGINES, Engine
from skinr1.scale.pieces import Piece, cut, rows
from skinr1.scale.shards import COUNTS, LICENCE, Shards, join, licences_in, records
from skinr1.scale.tables import FORMATS, Table, case_files, read_rows, table_files

__all__ = [
    "COUNTS",
    "ENGINES",
    "FORMATS",
    "LICENCE",
    "NO_BYTES",
    "Engine",
    "Piece",
    "ScaleConfig",
    "Shards",
    "Table",
    "case_files",
    "cut",
    "engine_of",
    "join",
    "licences_in",
    "read_rows",
    "records",
    "rows",
    "table_files",
]
