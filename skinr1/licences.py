"""What a data set's licence lets one do: terms by identifier, roll-up over cases, refusal of a commercial build.

Identifiers are SPDX's where SPDX has one; a licence of a data set's own is ``LicenseRef-…``. Nothing here is legal
advice: ``commercial`` None means that nobody here read a permission out of the text, and it counts as no.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from skinr1.cases import Case
from skinr1.errors import UserError

UNSTATED: Final = "unstated"


@dataclass(frozen=True)
class Terms:
    """Terms of one licence.

    Attributes:
        commercial: True allowed, False forbidden, None not established.
        attribution: the authors must be named.
        share_alike: what is made from it must carry the same licence.
        redistribution: the images may be passed on.
    """

    name: str
    commercial: bool | None
    attribution: bool = True
    share_alike: bool = False
    redistribution: bool = True


TERMS: Final[Mapping[str, Terms]] = {
    "CC0-1.0": Terms("CC0 1.0 public domain dedication", True, attribution=False),
    "CC-BY-4.0": Terms("Creative Commons Attribution 4.0", True),
    "CC-BY-SA-4.0": Terms("Creative Commons Attribution-ShareAlike 4.0", True, share_alike=True),
    "CC-BY-NC-4.0": Terms("Creative Commons Attribution-NonCommercial 4.0", False),
    "CC-BY-NC-SA-3.0": Terms("Creative Commons Attribution-NonCommercial-ShareAlike 3.0", False, share_alike=True),
    "CC-BY-NC-SA-4.0": Terms("Creative Commons Attribution-NonCommercial-ShareAlike 4.0", False, share_alike=True),
    "LicenseRef-SCIN": Terms("SCIN Data Use License", None),
    "LicenseRef-Stanford-DDI": Terms("Stanford University research use agreement of DDI", False, redistribution=False),
    "LicenseRef-DermNet": Terms("terms of the DermNet site the images were taken from", None, redistribution=False),
    "LicenseRef-DermQuest": Terms("DermQuest origin, terms of the closed site", None, redistribution=False),
    "LicenseRef-MSLD": Terms("Creative Commons, type not stated with the data", None),
    UNSTATED: Terms("no licence stated", None, attribution=False, redistribution=False),
}
# Spellings met in the wild, among them the ISIC archive's column `copyright_license`, which means version 4.0.
_SPELLINGS: Final[Mapping[str, str]] = {
    "CC-0": "CC0-1.0",
    "CC0": "CC0-1.0",
    "CC-BY": "CC-BY-4.0",
    "CC-BY-NC": "CC-BY-NC-4.0",
    "CC-BY-NC-SA": "CC-BY-NC-SA-4.0",
    "": UNSTATED,
}


def identifier(text: str) -> str:
    """The identifier of a licence as a table spells it; a text that is not known is kept as it is written."""
    plain = text.strip().upper().replace(" ", "-")
    known = {name.upper(): name for name in TERMS}
    return known.get(plain) or _SPELLINGS.get(plain) or text.strip()


def commercial(licence: str) -> bool | None:
    """Whether commercial use is allowed; None when the text does not say or is not known here."""
    terms = TERMS.get(licence)
    return terms.commercial if terms else None


def roll_up(cases: Iterable[Case]) -> dict[str, int]:
    """Licence -> number of cases, sorted by name, for a manifest."""
    return dict(sorted(Counter(case.licence for case in cases).items()))


def refuse_non_commercial(cases: Iterable[Case]) -> None:
    """Checks a build that is marked commercial.

    Raises:
        UserError: a case's licence forbids commercial use or does not establish it; names source, licence and count.
    """
    found = Counter((case.source, case.licence) for case in cases)
    barred = {key: count for key, count in sorted(found.items()) if not commercial(key[1])}
    if barred:
        listed = "; ".join(f"{source} ({licence}, {count} cases)" for (source, licence), count in barred.items())
        raise UserError(
            "commercial build with data whose licence does not allow it", listed, "Remove it, or set commercial: false."
        )
