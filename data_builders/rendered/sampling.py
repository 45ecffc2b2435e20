"""From a diagnosis to a patient with signs, by the probabilities of diseases.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
import yaml

from data_builders.rendered.render import RenderSpec
from data_builders.rendered.setting import REFERENCE
from skinr1.cases import Modality
from skinr1.concepts import concept
from skinr1.errors import UserError

# Drawn independently they could contradict each other; the less probable one gives way.
_EXCLUSIVE = (("regular network", "irregular network"), ("smooth surface", "warty surface"))
_ONE_OF = ("form", "colour", "border")


@dataclass(frozen=True)
class Disease:
    """Probability of each sign given one diagnosis. ``one_of`` holds form, colour and border: one of each is drawn."""

    node: str
    one_of: tuple[tuple[tuple[str, float], ...], ...]
    signs: tuple[tuple[str, float], ...]
    dermoscopic: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Clinic:
    """All rendered diagnoses, in the order of the file."""

    diseases: tuple[Disease, ...]

    @classmethod
    def load(cls, path: Path | None = None) -> "Clinic":
        """The shipped specification, or one in the same form at ``path``."""
        return _shipped() if path is None else cls.from_yaml(path.read_text(encoding="utf-8"))

    @classmethod
    def from_yaml(cls, text: str) -> "Clinic":
        """Raises UserError for an unknown key or sign or a weight outside 0..1."""
        return cls(tuple(_disease(node, entry) for node, entry in yaml.safe_load(text)["diagnoses"].items()))

    def disease(self, node: str) -> Disease:
        for disease in self.diseases:
            if disease.node == node:
                return disease
        raise UserError(
            "diagnosis is not in the rendered clinic", node, "Use one of data_builders/rendered/diseases.yaml."
        )

    def vocabulary(self, view: Modality) -> tuple[str, ...]:
        """Every sign the clinic can show in a view, in order of first mention."""
        names = [n for d in self.diseases for group in (*d.one_of, d.signs) for n, _ in group]
        if view == "dermoscopic":
            names += [name for d in self.diseases for name, _ in d.dermoscopic]
        return tuple(dict.fromkeys(names))


@lru_cache(maxsize=1)
def _shipped() -> Clinic:
    return Clinic.from_yaml(files("data_builders.rendered").joinpath("diseases.yaml").read_text(encoding="utf-8"))


def _weights(node: str, key: str, entry: Mapping[str, float] | None) -> tuple[tuple[str, float], ...]:
    for name, weight in (entry or {}).items():
        concept(name)
        if not 0 <= weight <= 1:
            raise UserError(f"weight of {name!r} under {key} is not in 0..1", node, "Correct the specification.")
    return tuple((entry or {}).items())


def _disease(node: str, entry: Mapping[str, Mapping[str, float]]) -> Disease:
    unknown = sorted(set(entry) - {*_ONE_OF, "signs", "dermoscopic"})
    if unknown:
        raise UserError(f"unknown key {unknown[0]!r} in the rendered clinic", node, "Correct the specification.")
    one_of = tuple(_weights(node, key, entry.get(key)) for key in _ONE_OF)
    if not all(one_of):
        raise UserError("form, colour and border must each have a weight", node, "Complete the specification.")
    return Disease(
        node,
        one_of,
        _weights(node, "signs", entry.get("signs")),
        _weights(node, "dermoscopic", entry.get("dermoscopic")),
    )


@dataclass(frozen=True)
class RenderedCase:
    """One encounter: the diagnosis that gave the signs, and the picture's specification."""

    diagnosis: str
    spec: RenderSpec


@dataclass(frozen=True)
class Visit:
    """One patient with one or two cases."""

    tone: int
    age: int
    sex: Literal["female", "male"]
    cases: tuple[RenderedCase, ...]


def sample_signs(rng: np.random.Generator, disease: Disease, view: Modality, typical: bool = False) -> tuple[str, ...]:
    """Draws the signs of one lesion: one form, one colour, one border, each other sign by its own probability.

    Args:
        typical: the atlas picture of the disease: every sign of at least even odds is there, and form, colour and
            border are the most probable ones four times in five.
    """
    chosen: dict[str, float] = {}
    for group in disease.one_of:
        names, weights = zip(*group, strict=True)
        p = np.array(weights) / sum(weights)
        usual, drawn = rng.random() < 0.8, int(rng.choice(len(names), p=p))
        pick = int(np.argmax(p)) if typical and usual else drawn
        chosen[names[pick]] = weights[pick]
    others = disease.signs + (disease.dermoscopic if view == "dermoscopic" else ())
    for name, weight in others:
        drawn_now = rng.random() < weight
        if drawn_now or (typical and weight >= 0.5):
            chosen[name] = weight
    for a, b in _EXCLUSIVE:
        if a in chosen and b in chosen:
            del chosen[a if chosen[a] < chosen[b] else b]
    return tuple(chosen)


def sample_case(
    rng: np.random.Generator,
    diagnoses: Sequence[str],
    *,
    clinic: Clinic | None = None,
    tones: Sequence[int] = (1, 2, 3, 4, 5, 6),
    typical: bool = False,
    dermoscopic_share: float = 0.4,
    size: int = 112,
    sites: Sequence[str] = (),
    camera: str = REFERENCE,
) -> Visit:
    """Draws one patient with a case for each diagnosis given (normally one or two).

    View and site are independent of the diagnosis, so that they betray nothing. Without ``sites`` a case has none.
    """
    clinic = clinic or Clinic.load()
    tone = int(tones[int(rng.integers(len(tones)))])
    age, sex = int(rng.integers(18, 90)), "female" if rng.random() < 0.5 else "male"
    cases = []
    for node in diagnoses:
        view: Modality = "dermoscopic" if rng.random() < dermoscopic_share else "clinical"
        signs = sample_signs(rng, clinic.disease(node), view, typical)
        seed = int(rng.integers(2**62))
        site = sites[int(rng.integers(len(sites)))] if sites else None
        cases.append(RenderedCase(node, RenderSpec(signs, tone, view, seed, size, site, camera)))
    return Visit(tone, age, sex, tuple(cases))  # type: ignore[arg-type]
