"""All cases of a run as columns: what the metrics read. Made once from parsed answers, 150 bytes a case.

Words become numbers: nodes of the tree, places in a list of values, bits of a set of signs. No Python object is kept
for a case, so a million of them fit in memory and every metric is a few array operations.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skinr1.concepts import concepts
from skinr1.errors import UserError
from skinr1.metrics.outcomes import Outcome
from skinr1.metrics.tree import BUCKETS, NONE, Nodes, Tree
from skinr1.rewards.reasoning import consistency
from skinr1.taxonomy import Taxonomy

RANKS = 6  # the diagnosis and at most five rivals
UNKNOWN = "unknown"
AGE_BANDS = (20, 40, 60, 80)


@dataclass(frozen=True)
class Coded:
    """A column of few distinct values. ``codes``: (n,) places in ``values``, which are sorted."""

    codes: NDArray[np.int32]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, items: Sequence[Hashable]) -> Self:
        values = tuple(sorted(set(items)))  # type: ignore[type-var]
        place = {value: number for number, value in enumerate(values)}
        return cls(np.array([place[item] for item in items], dtype=np.int32), values)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        values = tuple(sorted({value for part in parts for value in part.values}))
        place = {value: number for number, value in enumerate(values)}
        codes = [np.array([place[v] for v in part.values], dtype=np.int32)[part.codes] for part in parts]
        return cls(np.concatenate(codes), values)

    def take(self, order: NDArray[Any]) -> Self:
        return replace(self, codes=self.codes[order])


@dataclass(frozen=True)
class Columns:
    """One row a case, sorted by case id.

    Attributes:
        case_id: (n,) text.
        cluster: what is resampled together.
        truth: the true nodes, a sorted tuple of ids.
        true_bucket, said_bucket: (n,) places in :data:`BUCKETS`, -1 unknown or not given. The latter is what the report
            states.
        valid: (n,) the answer is inside the contract. A valid report may decline: then ``ranking`` is empty.
        ranking: (n, 6) nodes: the diagnosis, then the rivals in their order, each once; -1 where the list has ended.
        probability: (n, 6) hundredths given to each.
        reason: why an answer is invalid; empty for a valid one.
        faults: contradictions inside a valid report.
        cut: (n,) stopped by the token limit.
        consistency: (n,) share of the report that its reasoning bears out; 0 when invalid.
        signs_said, signs_present, signs_absent: (n, bytes) bit sets over the vocabulary of signs.
        differential: readers' (node, weight) pairs, empty for a plain label.
        readers: readers' blocks of tied nodes, empty where unknown.
        tone: (tone with its scale, provenance); sex, age, site, source, modality: text, ``unknown`` where not told.
    """

    case_id: NDArray[np.str_]
    cluster: Coded
    truth: Coded
    true_bucket: NDArray[np.int8]
    said_bucket: NDArray[np.int8]
    valid: NDArray[np.bool_]
    ranking: Nodes
    probability: NDArray[np.uint8]
    reason: Coded
    faults: Coded
    cut: NDArray[np.bool_]
    consistency: NDArray[np.float32]
    signs_said: NDArray[np.uint8]
    signs_present: NDArray[np.uint8]
    signs_absent: NDArray[np.uint8]
    differential: Coded
    readers: Coded
    tone: Coded
    sex: Coded
    age: Coded
    site: Coded
    source: Coded
    modality: Coded

    def __len__(self) -> int:
        return len(self.valid)

    @property
    def said(self) -> Nodes:
        """(n,) the diagnosis given; -1 when invalid or declined."""
        return self.ranking[:, 0]

    @property
    def patients(self) -> int:
        return len(self.cluster.values)

    def take(self, order: NDArray[Any]) -> Self:
        """The rows at these places. Clusters without a row keep their number, so that draws stay the same."""
        return replace(self, **{f.name: _take(getattr(self, f.name), order) for f in fields(self)})


def _take(column: Any, order: NDArray[Any]) -> Any:
    return column.take(order) if isinstance(column, Coded) else column[order]


def columns(outcomes: Iterable[Outcome], tree: Tree, taxonomy: Taxonomy) -> Columns:
    """The columns of parsed answers, in the order given; :func:`joined` sorts them.

    Raises:
        UserError: no case, or an annotated sign, differential or reading is not of this vocabulary or tree.
    """
    rows = [_row(outcome, tree, taxonomy) for outcome in outcomes]
    if not rows:
        raise UserError("no predictions", "columns", "Run eval/predict.py on a split that has cases.")
    made: dict[str, Any] = {
        field.name: _column(field.name, values)
        for field, values in zip(fields(Columns), zip(*rows, strict=True), strict=True)
    }
    return Columns(**made)


def _column(name: str, values: Sequence[Any]) -> Any:
    if name.startswith("signs_"):
        return _packed(values)
    return np.array(values, dtype=_ARRAYS[name]) if name in _ARRAYS else Coded.of(values)


def joined(parts: Sequence[Columns], where: str = "predictions") -> Columns:
    """Parts of a run as one, sorted by case id. Raises UserError when a case occurs twice."""
    made: dict[str, Any] = {
        f.name: (
            Coded.joined([getattr(part, f.name) for part in parts])
            if isinstance(getattr(parts[0], f.name), Coded)
            else np.concatenate([getattr(part, f.name) for part in parts])
        )
        for f in fields(Columns)
    }
    whole = Columns(**made)
    order = np.argsort(whole.case_id, kind="stable")
    names = whole.case_id[order]
    twice = np.flatnonzero(names[1:] == names[:-1])
    if twice.size:
        raise UserError("case is answered twice", f"{where} ({names[twice[0]]})", "Keep one answer a case.")
    return whole.take(order)


_ARRAYS: dict[str, Any] = {
    "case_id": np.str_,
    "true_bucket": np.int8,
    "said_bucket": np.int8,
    "valid": np.bool_,
    "ranking": np.int16,
    "probability": np.uint8,
    "cut": np.bool_,
    "consistency": np.float32,
}
_SIGNS = {name: place for place, name in enumerate(concepts())}
_BUCKET = {bucket: place for place, bucket in enumerate(BUCKETS)}


def _row(outcome: Outcome, tree: Tree, taxonomy: Taxonomy) -> tuple[Any, ...]:
    """One value a field of Columns, in their order; signs still as bits of a Python integer."""
    row, report = outcome.row, outcome.answer.report if outcome.answer else None
    named = list(dict.fromkeys(report.nodes())) if report else []
    given = {entry.diagnosis: entry.probability for entry in reversed(report.differential)} if report else {}
    empty = RANKS - len(named)
    return (
        row.case_id,
        outcome.cluster,
        tuple(sorted(row.diagnoses)),
        NONE if row.condition is None else _BUCKET[row.condition],
        NONE if report is None or report.condition is None else _BUCKET[report.condition],
        report is not None,
        [*(tree.number[node] for node in named), *[NONE] * empty],
        [*(round(100 * given.get(node, 0.0)) for node in named), *[0] * empty],
        outcome.invalid.reason if outcome.invalid else "",
        outcome.faults,
        row.finish_reason == "length",
        consistency(outcome.answer, taxonomy),
        _bits(report.findings if report else ()),
        _bits(row.findings),
        _bits(row.findings_absent),
        row.differential,
        row.readers,
        (row.skin_tone or UNKNOWN, row.tone_provenance or UNKNOWN),
        row.sex or UNKNOWN,
        age_band(row.age),
        row.site or UNKNOWN,
        row.source or UNKNOWN,
        row.modality or UNKNOWN,
    )


def age_band(age: int | None) -> str:
    """``20-39``; ``80+`` for the oldest."""
    if age is None:
        return UNKNOWN
    low = max((edge for edge in (0, *AGE_BANDS) if edge <= age), default=0)
    above = next((edge for edge in AGE_BANDS if edge > age), None)
    return f"{low:02}+" if above is None else f"{low:02}-{above - 1:02}"


def _bits(names: Iterable[str]) -> int:
    bits = 0
    for name in names:
        bits |= 1 << _SIGNS[name]
    return bits


def _packed(numbers: Iterable[int]) -> NDArray[np.uint8]:
    """(n, bytes), least significant byte first."""
    width = (len(_SIGNS) + 7) // 8
    return np.frombuffer(b"".join(n.to_bytes(width, "little") for n in numbers), dtype=np.uint8).reshape(-1, width)


def bits_of(names: Iterable[str]) -> NDArray[np.uint8]:
    """One bit set, to compare with a column of them."""
    return _packed([_bits(names)])[0]


def popcount(sets: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n, bytes) -> (n,) members."""
    return _ONES[sets].sum(axis=-1, dtype=np.int64)


_ONES = np.array([number.bit_count() for number in range(256)], dtype=np.uint8)
