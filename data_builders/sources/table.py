"""Reading a CSV of cases: the header checked at once, each cell with a reason when it is wrong."""

import csv
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from skinr1.cases import SkinTone
from skinr1.errors import UserError

UNKNOWN = frozenset({"", "UNK", "NA", "N/A", "NAN", "NONE"})


def read_rows(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields (line number, column -> stripped text). Further columns are left alone unless they look misspelt.

    Raises:
        UserError: no such file, not UTF-8 text, no row, a needed column missing, or a known column misspelt.
    """
    if not path.is_file():
        raise UserError("table not found", str(path), "Correct the path.")
    with open(path, encoding="utf-8-sig", newline="") as handle:
        reader = csv.DictReader(handle, restkey="", restval="")
        try:
            _check_header(path, list(reader.fieldnames or ()), required, optional)
            for row in reader:
                yield reader.line_num, {k: v.strip() for k, v in row.items() if k and isinstance(v, str)}
        except UnicodeDecodeError:
            raise UserError("table is not UTF-8 text", str(path), "Save it as CSV in UTF-8.") from None
        except csv.Error as error:
            raise UserError(f"table is not CSV ({error})", str(path), "Save it as CSV in UTF-8.") from None


def _check_header(path: Path, found: list[str], required: Sequence[str], optional: Sequence[str]) -> None:
    missing = [name for name in required if name not in found]
    if missing:
        seen = ", ".join(found) or "nothing"
        raise UserError(f"column {missing[0]!r} is missing; found: {seen}", str(path), "Add or rename the column.")
    for name in found:
        near = difflib.get_close_matches(name.strip().lower(), [*required, *optional], n=1, cutoff=0.8)
        if name not in required and name not in optional and near and near[0] not in found:
            raise UserError(f"unknown column {name!r}", str(path), f"Did you mean {near[0]!r}? Rename or remove it.")


def known(text: str) -> str | None:
    """The cell, or None when it says nothing."""
    return None if text.upper() in UNKNOWN else text


def boolean(text: str, where: str) -> bool | None:
    """True, False, or None for unknown. Raises UserError for anything else."""
    value = text.upper()
    if value in UNKNOWN:
        return None
    if value in ("TRUE", "1", "YES"):
        return True
    if value in ("FALSE", "0", "NO"):
        return False
    raise UserError(f"not True, False or UNK: {text!r}", where, "Correct the cell.")


def whole(text: str, where: str, low: int, high: int) -> int | None:
    """An integer (also written 3.0) within bounds, or None for unknown. Raises UserError otherwise."""
    if known(text) is None:
        return None
    try:
        number = float(text)
    except ValueError:
        raise UserError(f"not a number: {text!r}", where, "Correct the cell.") from None
    if not low <= number <= high or number != int(number):  # NaN fails the first
        raise UserError(f"not a whole number from {low} to {high}: {text!r}", where, "Correct the cell.")
    return int(number)


def sex(text: str, where: str) -> str | None:
    """ "female", "male", or None for unknown. Raises UserError otherwise."""
    value = {"female": "female", "f": "female", "male": "male", "m": "male"}.get(text.lower())
    if value is None and known(text) is not None:
        raise UserError(f"not female or male: {text!r}", where, "Correct the cell.")
    return value


def fitzpatrick(text: str, where: str, provenance: str) -> SkinTone | None:
    """A Fitzpatrick tone with who said it, or None for unknown."""
    value = whole(text, where, 1, 6)
    return (
        None
        if value is None
        else SkinTone.model_validate({"scale": "fitzpatrick", "value": value, "provenance": provenance})
    )
