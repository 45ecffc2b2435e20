"""Which data sets hold the same patients (``overlaps.yaml``), and the ids that say so."""

import re
from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict

from skinr1.cases import Case

PICTURES = "pictures"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Family(_Strict):
    """Sources whose ids mean the same thing; each pattern finds one kind of id."""

    sources: tuple[str, ...]
    image: re.Pattern[str]
    lesion: re.Pattern[str] | None = None
    patient: re.Pattern[str] | None = None

    def ids(self, case: Case) -> set[str]:
        """``kind<tab>id`` of the case: image ids in its own id and its files' names, the others in their fields."""
        named = [case.case_id, *(path.rsplit("/", 1)[-1] for path in case.images)]
        found = {f"image\t{hit}" for text in named for hit in self.image.findall(text)}
        for kind, pattern, text in (
            ("lesion", self.lesion, case.lesion_id),
            ("patient", self.patient, case.patient_id),
        ):
            if pattern and text:
                found |= {f"{kind}\t{hit}" for hit in pattern.findall(text)}
        return found


class Edge(_Strict):
    """``inner`` lies in ``outer``, wholly or in part; ``by`` is a family, or :data:`PICTURES`."""

    inner: str
    outer: str
    by: str


class Overlaps(_Strict):
    """The table."""

    families: dict[str, Family]
    edges: tuple[Edge, ...]

    def keys(self, case: Case) -> list[str]:
        """What joins the case to cases of other sources, sorted."""
        return sorted(
            f"{name}\t{found}"
            for name, family in self.families.items()
            if case.source in family.sources
            for found in family.ids(case)
        )

    def between(self, sources: set[str]) -> list[Edge]:
        """The edges with both ends among ``sources``."""
        return [edge for edge in self.edges if edge.inner in sources and edge.outer in sources]


@cache
def known_overlaps() -> Overlaps:
    """The shipped table."""
    return Overlaps.model_validate(
        yaml.safe_load(files("skinr1.splits").joinpath("overlaps.yaml").read_text(encoding="utf-8"))
    )
