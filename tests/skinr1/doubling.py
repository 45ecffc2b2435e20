"""Work on a piece, in a module that other processes can import."""

from pathlib import Path

from skinr1.errors import UserError
from skinr1.scale import COUNTS, Piece, rows


def double(log: Path, piece: Piece):
    """Says what it begins, then gives two streams."""
    with open(log, "a") as handle:
        handle.write(f"{piece.number}\n")
    for _, row in rows(piece):
        yield "even" if row["n"] % 2 == 0 else "odd", {"n": row["n"] * 2}
    yield COUNTS, {"seen": piece.rows}


def refuse(piece: Piece):
    raise UserError("no", str(piece.number), "Stop.")
    yield
