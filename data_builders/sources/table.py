"""Reading a table of cases: the header checked at once, each cell with a reason when it is wrong."""

import csv
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from skinr1.cases import SkinTone
from skinr1.errors import UserError

UNKNOWN = frozenset({"", "UNK", "UNKNOWN", "NA", "N/A", "NAN", "NONE"})
Row = dict[str, str]
# Our name of a column -> the names it has in the data set's releases, the usual one first.
Columns = Mapping[str, Sequence[str]]
_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"}
_TABLES = (".csv", ".tsv", ".tab", ".json")
_LISTED = 12  # names listed of what was found in the wrong place


def find_tables(path: Path, patterns: Sequence[str], dataset: str) -> list[Path]:
    """Files that match the first pattern which matches any, looked for in ``path`` and two levels below it.

    A path that is itself a file is taken as the table.

    Raises:
        UserError: nothing matches; names what lies there.
    """
    if path.is_file():
        return [path]
    for pattern in patterns:
        for depth in ("", "*/", "*/*/"):
            if found := sorted(file for file in path.glob(depth + pattern) if file.is_file()):
                return found
    raise wrong_layout(dataset, path, " or ".join(patterns))


def data_tables(path: Path) -> list[Path]:
    """Every table in a data set's folder and the levels that :func:`find_tables` looks in, for a manifest's inputs."""
    if not path.is_dir():
        return [path] if path.suffix.lower() in _TABLES and path.is_file() else []
    found = (file for depth in ("", "*/", "*/*/") for kind in _TABLES for file in path.glob(f"{depth}*{kind}"))
    return sorted({*filter(Path.is_file, found), *path.glob("HAM10000_metadata")})


def wrong_layout(dataset: str, path: Path, expected: str) -> UserError:
    """One line that says what a folder should hold and what it holds."""
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    found = ", ".join(names[:_LISTED]) + more if names else "nothing" if path.is_dir() else "no such folder"
    return UserError(
        f"not the layout of {dataset}: expected {expected}; found {found}", str(path), "Give the folder that holds it."
    )


def has_columns(table: Path, *names: str) -> bool:
    """Whether the header of a table has all the names."""
    header, _ = _header(table)
    return set(names) <= set(header)


def read_columns(table: Path, dataset: str, required: Columns, optional: Columns) -> Iterator[tuple[str, Row]]:
    """Yields (where, our column name -> stripped text) of each row; further columns are left alone.

    Raises:
        UserError: no such table, not UTF-8 CSV, or a needed column under none of its names; names the columns found.
    """
    header, delimiter = _header(table)
    chosen: dict[str, str] = {}
    for ours, theirs in {**required, **optional}.items():
        name = next((name for name in theirs if name in header), None)
        if name is not None:
            chosen[ours] = name
        elif ours in required:
            found = ", ".join(header) or "nothing"
            raise UserError(
                f"not a table of {dataset}: expected a column {' or '.join(theirs)}; found {found}",
                str(table),
                "Give the data set's own table.",
            )
    for line, row in _rows(table, delimiter):
        yield f"{table.name}:{line}", {ours: (row.get(theirs) or "").strip() for ours, theirs in chosen.items()}


def _header(table: Path) -> tuple[list[str], str]:
    if not table.is_file():
        raise UserError("table not found", str(table), "Correct the path.")
    try:
        with open(table, encoding="utf-8-sig", newline="") as handle:
            first = handle.readline()
            delimiter = next((sign for sign in "\t;" if sign in first and "," not in first), ",")
            handle.seek(0)
            return [name.strip() for name in next(csv.reader(handle, delimiter=delimiter), [])], delimiter
    except UnicodeDecodeError:
        raise UserError("table is not UTF-8 text", str(table), "Save it as CSV in UTF-8.") from None


_MORE = "\0"  # no column is called that


def _rows(table: Path, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    with open(table, encoding="utf-8-sig", newline="") as handle:
        reader = csv.DictReader(handle, restkey=_MORE, restval="", delimiter=delimiter)
        try:
            for row in reader:
                if row.pop(_MORE, ""):
                    where = f"{table}:{reader.line_num}"
                    raise UserError("row has more cells than the header", where, "Quote cells that hold the delimiter.")
                yield reader.line_num, {k.strip(): v for k, v in row.items() if k and isinstance(v, str)}
        except UnicodeDecodeError:
            raise UserError("table is not UTF-8 text", str(table), "Save it as CSV in UTF-8.") from None
        except csv.Error as error:
            raise UserError(f"table is not CSV ({error})", str(table), "Save it as CSV in UTF-8.") from None


def read_rows(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[tuple[int, Row]]:
    """Yields (line number, column -> stripped text) of a table that a user wrote: a misspelt column is an error.

    Raises:
        UserError: no such file, not UTF-8 text, no row, a needed column missing, or a known column misspelt.
    """
    header, delimiter = _header(path)
    _check_header(path, header, required, optional)
    for line, row in _rows(path, delimiter):
        yield line, {name: text.strip() for name, text in row.items()}


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
    if value in ("TRUE", "1", "1.0", "YES"):
        return True
    if value in ("FALSE", "0", "0.0", "NO"):
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
    """A Fitzpatrick tone (3, 3.0, III or FST3) with who said it, or None for unknown (also written -1)."""
    plain = text.upper().removeprefix("FST").strip()
    if plain in ("-1", "-1.0", "NONE_IDENTIFIED"):
        return None
    return _tone("fitzpatrick", whole(_ROMAN.get(plain, plain), where, 1, 6), provenance)


def monk(text: str, where: str, provenance: str) -> SkinTone | None:
    """A Monk tone (4 or MST 4) with who said it, or None for unknown."""
    return _tone("monk", whole(text.upper().removeprefix("MST").strip(), where, 1, 10), provenance)


def _tone(scale: str, value: int | None, provenance: str) -> SkinTone | None:
    if value is None:
        return None
    return SkinTone.model_validate({"scale": scale, "value": value, "provenance": provenance})
