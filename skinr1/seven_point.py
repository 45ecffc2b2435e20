"""The 7-point checklist of dermoscopy: signs of a case -> values of seven criteria -> a score.

Classic (Argenziano 1998): the three major criteria count 2, the four minor ones 1, and 3 or more of 10 is suspicious.
Revised (Argenziano 2011): every criterion counts 1, and 1 or more of 7 is suspicious. Criteria, values and the values
that count are those of Derm7pt, whose column ``seven_point_score`` is the classic score.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from skinr1.errors import UserError

Version = Literal["classic", "revised"]
ABSENT: Final = "absent"
THRESHOLD: Final[Mapping[Version, int]] = {"classic": 3, "revised": 1}
MAJOR: Final = frozenset({"pigment_network", "blue_whitish_veil", "vascular_structures"})
# Criterion -> value -> (whether it counts, the concept that records it). ``absent`` is a value of each.
CRITERIA: Final[Mapping[str, Mapping[str, tuple[bool, str]]]] = {
    "pigment_network": {
        "typical": (False, "regular network"),
        "atypical": (True, "irregular network"),
    },
    "blue_whitish_veil": {"present": (True, "blue-white veil")},
    "vascular_structures": {
        "arborizing": (False, "telangiectasia"),
        "comma": (False, "comma vessels"),
        "hairpin": (False, "hairpin vessels"),
        "within regression": (False, "vessels within regression"),
        "wreath": (False, "wreath vessels"),
        "dotted": (True, "dotted vessels"),
        "linear irregular": (True, "linear irregular vessels"),
    },
    "pigmentation": {
        "diffuse regular": (False, "diffuse regular pigmentation"),
        "localized regular": (False, "localized regular pigmentation"),
        "diffuse irregular": (True, "diffuse irregular pigmentation"),
        "localized irregular": (True, "localized irregular pigmentation"),
    },
    "streaks": {
        "regular": (False, "regular streaks"),
        "irregular": (True, "irregular streaks"),
    },
    "dots_and_globules": {
        "regular": (False, "regular dots"),
        "irregular": (True, "irregular dots"),
    },
    "regression_structures": {
        "blue areas": (True, "blue regression areas"),
        "white areas": (True, "white regression areas"),
        "combinations": (True, "combined regression areas"),
    },
}
CRITERION_OF: Final = {
    concept: (criterion, value) for criterion, values in CRITERIA.items() for value, (_, concept) in values.items()
}


def points(criterion: str, value: str, version: Version = "classic") -> int:
    """Points of one criterion's value: 0, 1 or 2.

    Raises:
        UserError: no such criterion, or no such value of it.
    """
    if criterion not in CRITERIA:
        raise UserError("no criterion of the 7-point checklist", repr(criterion), f"Use {', '.join(CRITERIA)}.")
    if value == ABSENT:
        return 0
    if value not in CRITERIA[criterion]:
        raise UserError(f"no value of {criterion}", repr(value), f"Use absent, {', '.join(CRITERIA[criterion])}.")
    counts = CRITERIA[criterion][value][0]
    return counts * (2 if version == "classic" and criterion in MAJOR else 1)


def seven_point_score(values: Mapping[str, str], version: Version = "classic") -> int:
    """The score of a whole checklist, in Derm7pt's column names and values: 0 to 10 classic, 0 to 7 revised.

    Raises:
        UserError: a criterion is missing or unknown, or a value is.
    """
    if missing := [criterion for criterion in CRITERIA if criterion not in values]:
        raise UserError("checklist is not complete", ", ".join(missing), "Give all seven criteria, `absent` included.")
    return sum(points(criterion, value, version) for criterion, value in values.items())


@dataclass(frozen=True)
class Checklist:
    """What a case's annotations say of the checklist.

    Attributes:
        scored: concept present -> its points, in the order of the criteria.
        unrecorded: criteria of which nothing present is annotated and not every counting value is annotated absent.
    """

    version: Version
    scored: Mapping[str, int]
    unrecorded: tuple[str, ...]

    @classmethod
    def of(cls, present: Collection[str], absent: Collection[str], version: Version = "classic") -> "Checklist":
        """A criterion counts once, with its highest value present, as one case may carry several images."""
        scored: dict[str, int] = {}
        unrecorded = []
        for criterion, values in CRITERIA.items():
            found = {
                concept: points(criterion, value, version)
                for value, (_, concept) in values.items()
                if concept in present
            }
            counting = [concept for counts, concept in values.values() if counts]
            if found:
                best = max(found, key=lambda concept: found[concept])
                scored[best] = found[best]
            elif not all(concept in absent for concept in counting):
                unrecorded.append(criterion)
        return cls(version, scored, tuple(unrecorded))

    @property
    def score(self) -> int:
        """The score; a lower bound while criteria are unrecorded."""
        return sum(self.scored.values())

    @property
    def suspicious(self) -> bool | None:
        """Whether the threshold is reached; None when criteria that could decide it are unrecorded."""
        if self.score >= THRESHOLD[self.version]:
            return True
        return None if self.unrecorded else False
