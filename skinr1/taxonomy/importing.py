"""A user's own taxonomy from a table or JSON, with every fault of its structure listed before a tree is made of it.

Forms (see :func:`read_rows`): CSV or TSV rows; a JSON list of such rows; the nested form of the YAML files; a flat
``{name: [names of its members]}``; and Skin-R1's ``synonym_map`` / ``subtype_map``.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from skinr1.errors import UserError
from skinr1.taxonomy.codes import Known
from skinr1.taxonomy.lint import lint
from skinr1.taxonomy.node import Bucket, Node, normalise
from skinr1.taxonomy.tree import Taxonomy

COLUMNS = ("id", "name", "parent", "bucket", "aliases", "contagious", "diagnosis", "icd10cm", "isic", "doid")
SKIN_R1_BUCKETS = "benign or precancerous_in_situ or malignant"
_BUCKET_WORDS = {bucket.value: bucket for bucket in Bucket} | {"precancerous_in_situ": Bucket.INDETERMINATE}
_YES, _NO = {"1", "true", "yes", "y", "x"}, {"", "0", "false", "no", "n"}


@dataclass(frozen=True)
class Row:
    """One node as a table writes it. ``key`` names it, ``parents`` are keys; ``bucket`` is the text as found."""

    key: str
    name: str
    parents: tuple[str, ...] = ()
    bucket: str = ""
    aliases: tuple[str, ...] = ()
    contagious: bool = False
    diagnosis: bool = False
    codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """Rows and what was wrong with the file beyond its rows."""

    rows: tuple[Row, ...]
    faults: tuple[str, ...] = ()
    version: str = "imported"


def read_taxonomy(path: Path) -> Taxonomy:
    """A tree from a file of any of the forms.

    Raises:
        UserError: the file is unreadable, or its rows are no tree; the message holds the first fault and their number.
    """
    nested = _nested(path)
    if nested is not None:
        return nested
    draft = read_rows(path)
    faults = structure_faults(draft)
    if faults:
        more = f" ({len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise UserError(f"{faults[0]}{more}", str(path), "`skinr1 taxonomy lint --file` lists them all.")
    return build(draft)


def lint_file(path: Path, reference: Taxonomy | None = None, known: dict[str, Known] | None = None) -> list[str]:
    """Faults of a user's file: those of its structure when it has any, else those :func:`lint` finds in the tree."""
    if path.suffix.lower() in {".yaml", ".yml"}:
        return lint(Taxonomy.load(path), reference=reference, known=known)
    nested = _nested(path)
    if nested is None:
        draft = read_rows(path)
        faults = structure_faults(draft)
        if faults:
            return faults
        nested = build(draft)
    return lint(nested, reference=reference, known=known)


def read_rows(path: Path) -> Draft:
    """Rows of a table.

    CSV and TSV: a header with ``name`` or ``id``, and any of :data:`COLUMNS`; ``aliases`` and codes are separated by
    ``;`` or ``|``; an ``id`` with ``/`` is a path and needs no ``parent``. JSON: a list of objects with the same keys;
    ``{name: [members]}``, where ``root`` holds the top; or Skin-R1's file, whose third part gives the buckets.

    Raises:
        UserError: unreadable, an unknown column or form.
    """
    text = _text(path)
    if path.suffix.lower() != ".json":
        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        table = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
        try:
            return Draft(tuple(_rows(table, path, table.fieldnames or ())))
        except csv.Error as error:
            raise UserError(f"not a table ({error})", f"{path}:{table.line_num}", "Correct the row.") from None
    data = _json(text, path)
    if isinstance(data, list) and all(isinstance(item, dict) for item in data):
        return Draft(tuple(_rows(data, path, sorted({key for item in data for key in item}))))
    if isinstance(data, dict) and "subtype_map" in data:
        return _skin_r1(data, path)
    if isinstance(data, dict) and data and all(isinstance(members, list) for members in data.values()):
        return Draft(tuple(_adjacency(data, "root")))
    raise UserError(
        "JSON of no known form", str(path), "Write rows, {tree}, {name: [members]} or {synonym_map, subtype_map}."
    )


def structure_faults(draft: Draft) -> list[str]:
    """Duplicate keys, several parents, parents that do not exist, cycles, unknown buckets: one line each."""
    faults = list(draft.faults)
    rows: dict[str, Row] = {}
    for row in draft.rows:
        if not normalise(row.key):
            faults.append(f"a node has no usable id or name ({row.key!r})")
        elif row.key in rows:
            faults.append(f"{row.key!r} occurs twice")
        rows.setdefault(row.key, row)
    for row in rows.values():
        if len(row.parents) > 1:
            faults.append(
                f"{row.key!r} has {len(row.parents)} parents, {' and '.join(row.parents)}: "
                "a bare name is no identity; give each its own path"
            )
        faults += [f"{row.key!r} has the unknown parent {parent!r}" for parent in row.parents if parent not in rows]
        if row.bucket and row.bucket not in _BUCKET_WORDS:
            faults.append(f"{row.key!r} has the unknown bucket {row.bucket!r}; use {', '.join(Bucket)}")
    return faults + [f"cycle: {' under '.join(map(repr, cycle))}" for cycle in _cycles(rows)]


def build(draft: Draft) -> Taxonomy:
    """The tree of rows without structural faults. A bucket stated at a row holds for members that state none."""
    rows = {row.key: row for row in draft.rows}
    made: dict[str, Node] = {}

    def make(row: Row) -> Node:
        if row.key not in made:
            parent = make(rows[row.parents[0]]) if row.parents else None
            own = _BUCKET_WORDS[row.bucket] if row.bucket else None
            made[row.key] = Node(
                id=f"{parent.id}/{_slug(row.key)}" if parent else _slug(row.key),
                name=row.name,
                bucket=own or (parent.bucket if parent else None),
                aliases=row.aliases,
                contagious=row.contagious,
                diagnosis=row.diagnosis,
                icd10cm=row.codes.get("icd10cm", ()),
                isic=row.codes.get("isic", ()),
                doid=row.codes.get("doid", ()),
            )
        return made[row.key]

    groups = {parent for row in rows.values() for parent in row.parents}
    for row in rows.values():
        make(row)
    return Taxonomy(
        (replace(node, diagnosis=node.diagnosis or key not in groups) for key, node in made.items()), draft.version
    )


def _cycles(rows: Mapping[str, Row]) -> Iterator[tuple[str, ...]]:
    """Each cycle once, from its first row on."""
    done: set[str] = set()
    for start in rows:
        trail: dict[str, None] = {}
        key: str | None = start
        while key is not None and key in rows and key not in done and key not in trail:
            trail[key] = None
            key = rows[key].parents[0] if rows[key].parents else None
        if key is not None and key in trail:
            keys = list(trail)
            yield (*keys[keys.index(key) :], key)
        done.update(trail)


def _rows(table: Iterable[Mapping[str, Any]], path: Path, columns: Sequence[str]) -> Iterator[Row]:
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown or not {"id", "name"} & set(columns):
        found = f"columns found: {', '.join(map(str, columns)) or 'none'}"
        raise UserError(
            f"not a taxonomy table ({found})", str(path), f"Use {', '.join(COLUMNS)}; id or name is needed."
        )
    for number, record in enumerate(table, start=1):
        cells = {column: record.get(column) for column in COLUMNS}
        where = f"{path}, row {number}"
        key = _cell(cells["id"]) or _cell(cells["name"])
        parent = _cell(cells["parent"]) or (key.rpartition("/")[0] if _cell(cells["id"]) else "")
        yield Row(
            key=key,
            name=_cell(cells["name"]) or key.rpartition("/")[2].replace("_", " "),
            parents=(parent,) if parent else (),
            bucket=_cell(cells["bucket"]).lower(),
            aliases=_many(cells["aliases"]),
            contagious=_flag(cells["contagious"], where),
            diagnosis=_flag(cells["diagnosis"], where),
            codes={system: _many(cells[system]) for system in ("icd10cm", "isic", "doid")},
        )


def _adjacency(members: Mapping[str, Sequence[Any]], root: str) -> Iterator[Row]:
    parents: dict[str, list[str]] = {str(name): [] for name in members if name != root}
    for parent, children in members.items():
        for child in children:
            of_child = parents.setdefault(str(child), [])
            if parent != root:
                of_child.append(parent)
    for name, found in parents.items():
        yield Row(key=name, name=name, parents=tuple(dict.fromkeys(found)))


def _skin_r1(data: Mapping[str, Any], path: Path) -> Draft:
    """Skin-R1's flat maps; a synonym of its own name is dropped, one of a name without a node is a fault."""
    subtypes, synonyms, buckets = (data.get(key, {}) for key in ("subtype_map", "synonym_map", SKIN_R1_BUCKETS))
    for key, value in (("subtype_map", subtypes), ("synonym_map", synonyms), (SKIN_R1_BUCKETS, buckets)):
        if not isinstance(value, dict):
            raise UserError(f"{key!r} is no mapping", str(path), "Correct the JSON.")
    rows = {row.key: row for row in _adjacency(subtypes, "")}
    for word, names in buckets.items():
        for name in names:
            row = rows.get(str(name), Row(key=str(name), name=str(name)))
            rows[row.key] = replace(row, bucket=str(word))
    faults: list[str] = []
    for variant, canonical in synonyms.items():
        meant = rows.get(str(canonical))
        if meant is None:
            faults.append(f"synonym {variant!r} stands for {canonical!r}, which is no node")
        elif normalise(variant) != normalise(meant.name):
            rows[meant.key] = replace(meant, aliases=(*meant.aliases, str(variant)))
    return Draft(tuple(rows.values()), tuple(faults), str(data.get("version", "imported")))


def _nested(path: Path) -> Taxonomy | None:
    """The tree of a JSON file in the YAML's form (JSON is YAML), else None."""
    if path.suffix.lower() != ".json":
        return None
    text = _text(path)
    data = _json(text, path)
    return Taxonomy.from_yaml(text) if isinstance(data, dict) and {"version", "tree"} <= data.keys() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"taxonomy is not readable ({error})", str(path), "Correct the path or the encoding.") from None


def _json(text: str, path: Path) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise UserError(f"key {twice!r} occurs twice", str(path), "Keep one entry.")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise UserError(f"not JSON ({error})", str(path), "Correct the file.") from None


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _many(value: Any) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else _cell(value).replace("|", ";").split(";")
    return tuple(part for part in map(_cell, parts) if part)


def _flag(value: Any, where: str) -> bool:
    word = _cell(value).lower()
    if word not in _YES | _NO:
        raise UserError(f"neither yes nor no: {word!r}", where, "Write true or false.")
    return word in _YES


def _slug(key: str) -> str:
    return normalise(key.rpartition("/")[2]).replace(" ", "_")
