"""How often a model answers a prompt rightly: what a GRPO run cannot learn from is left out beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skinr1.images import load_image, png_bytes
from skinr1.report import InvalidAnswer, parse
from skinr1.rewards import Context
from skinr1.rewards.catalogue import exact
from skinr1.rewards.truth import Truth
from skinr1.serving.client import Completion, Sampling, request_body
from skinr1.taxonomy import Taxonomy


@dataclass(frozen=True)
class Sample:
    """One of several answers to a row's prompt; ``number`` counts from 0."""

    row: Mapping[str, Any]
    number: int


@dataclass(frozen=True)
class Sampler:
    """What is asked of every sample: the row's own prompt and images, with a seed of its own."""

    folder: Path
    model: str
    sampling: Sampling
    taxonomy: Taxonomy

    def body(self, sample: Sample) -> dict[str, Any]:
        images = [png_bytes(load_image(self.folder / name)) for name in sample.row["images"]]
        sampling = replace(self.sampling, seed=self.sampling.seed + sample.number)
        return request_body(self.model, sample.row["prompt"], images, sampling, self.taxonomy)


@dataclass(frozen=True)
class Rate:
    """Counts of a prompt's answers; invalid ones are wrong."""

    sampled: int
    right: int
    invalid: int

    @property
    def verdict(self) -> str | None:
        """Why the prompt teaches nothing; None where it does."""
        if self.right == 0:
            return "always wrong"
        return "always right" if self.right == self.sampled else None


def rate(row: Mapping[str, Any], answers: Sequence[Completion], taxonomy: Taxonomy) -> Rate:
    """Counts the answers that name a true node or one below it (the reward ``exact``)."""
    truth, context = Truth(tuple(row["diagnoses"]), None), Context(taxonomy)
    right = invalid = 0
    for answer in answers:
        try:
            right += exact(parse(answer.text, taxonomy), truth, context) == 1
        except InvalidAnswer:
            invalid += 1
    return Rate(len(answers), right, invalid)
