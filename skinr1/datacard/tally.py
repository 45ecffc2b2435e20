"""What a build holds, counted in one pass over its cases; only counters stay in memory."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from skinr1.cases import Case, SkinTone

RENDERED_PREFIX = "rendered"  # of the sources whose pictures a program drew
UNLABELLED, UNKNOWN, NO_SPLIT = "unlabelled", "unknown", "none"
SPLITS = ("train", "validation", "test")
BANDS = ("I–II", "III–IV", "V–VI")
DARK = BANDS[2]
# Monk's scale has no agreed counterpart in Fitzpatrick's: its ten steps stay groups of their own.
MONK_BANDS = ("Monk 1–3", "Monk 4–6", "Monk 7–10")
OFF_SCALE = "off its scale"
FIELDS = ("age", "sex", "site", "skin tone", "modality", "patient id")


class Cell(NamedTuple):
    """One combination that cases are counted by. ``label`` is node ids joined by `` | ``, or ``unlabelled``."""

    label: str
    tone: str
    source: str
    licence: str
    split: str


@dataclass
class Tally:
    """Counters over cases.

    Attributes:
        cells: cases by all that a card crosses.
        groups: label -> patients (where unknown: lesions, else cases).
        missing: (field, source) -> cases that do not say it.
        ages: (first year of the decade, split) -> cases.
        tone_origins: (scale, who said it) -> cases.
        evaluation_only: source -> cases that may not be trained on.
        rendered: cases drawn by a program.
    """

    cells: Counter[Cell] = field(default_factory=Counter)
    groups: defaultdict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)
    ages: Counter[tuple[int, str]] = field(default_factory=Counter)
    tone_origins: Counter[tuple[str, str]] = field(default_factory=Counter)
    roles: Counter[str] = field(default_factory=Counter)
    modalities: Counter[str] = field(default_factory=Counter)
    evaluation_only: Counter[str] = field(default_factory=Counter)
    attributions: Counter[tuple[str, str]] = field(default_factory=Counter)
    images: int = 0
    rendered: int = 0

    @classmethod
    def of(cls, cases: Iterable[Case]) -> "Tally":
        made = cls()
        for case in cases:
            made.add(case)
        return made

    def add(self, case: Case) -> None:
        label = " | ".join(case.diagnoses) or UNLABELLED
        split = case.split or NO_SPLIT
        self.cells[Cell(label, tone_of(case.skin_tone), case.source, case.licence, split)] += 1
        self.groups[label].add((case.source, case.group))
        self.images += len(case.images)
        self.roles[case.role] += 1
        self.rendered += case.source.startswith(RENDERED_PREFIX)
        self.modalities[_modality(case)] += 1
        self.attributions[case.source, case.attribution] += 1
        if case.age is not None:
            self.ages[case.age // 10 * 10, split] += 1
        if case.skin_tone:
            self.tone_origins[case.skin_tone.scale, case.skin_tone.provenance] += 1
        if case.evaluation_only:
            self.evaluation_only[case.source] += 1
        for name in _missing(case):
            self.missing[name, case.source] += 1

    @property
    def cases(self) -> int:
        return self.cells.total()

    @property
    def patients(self) -> int:
        return len(set().union(*self.groups.values()))

    def by(self, *keys: str) -> Counter[tuple[str, ...]]:
        """Cases by the named parts of :class:`Cell`; ``band`` is the tone's band."""
        found: Counter[tuple[str, ...]] = Counter()
        for cell, count in self.cells.items():
            found[tuple(band(cell.tone) if key == "band" else getattr(cell, key) for key in keys)] += count
        return found

    def one(self, key: str) -> dict[str, int]:
        """Cases by one part of :class:`Cell`, sorted by name."""
        return {name: count for (name,), count in sorted(self.by(key).items())}

    @property
    def labels(self) -> list[str]:
        """Diagnoses (and sets of them), sorted; without the unlabelled."""
        return sorted({cell.label for cell in self.cells} - {UNLABELLED})


def tone_of(tone: SkinTone | None) -> str:
    """Scale and value, or ``unknown``."""
    return f"{tone.scale} {tone.value}" if tone else UNKNOWN


def band(tone: str) -> str:
    """Fitzpatrick's six types in pairs; Monk's ten steps in three groups; ``unknown`` stays so."""
    if tone == UNKNOWN:
        return UNKNOWN
    scale, _, number = tone.rpartition(" ")
    value = int(number)
    if scale == "monk":
        return MONK_BANDS[0 if value <= 3 else 1 if value <= 6 else 2]
    pair = value if scale == "fitzpatrick_pair" else (value + 1) // 2
    return BANDS[pair - 1] if pair <= len(BANDS) else OFF_SCALE


def bands(tally: Tally) -> list[str]:
    """Columns of a table by tone: Fitzpatrick's always, an absent one being a gap; others where they occur."""
    held = {name for (name,) in tally.by("band")}
    return [*BANDS, *(name for name in (*MONK_BANDS, OFF_SCALE, UNKNOWN) if name in held)]


def splits(tally: Tally) -> list[str]:
    """Splits that occur, in the order of use."""
    held = {name for (name,) in tally.by("split")}
    return [name for name in (*SPLITS, NO_SPLIT) if name in held]


def _modality(case: Case) -> str:
    found = case.modalities or (case.modality or UNKNOWN,)
    return " and ".join(sorted(set(found)))


def _missing(case: Case) -> list[str]:
    said = {
        "age": case.age is not None,
        "sex": case.sex is not None,
        "site": case.site is not None,
        "skin tone": case.skin_tone is not None,
        "modality": case.modality is not None or bool(case.modalities),
        "patient id": case.patient_id is not None,
    }
    return [name for name in FIELDS if not said[name]]
