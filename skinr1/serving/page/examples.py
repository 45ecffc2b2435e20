"""Pictures to try the page with: drawn by our renderer, never a patient's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

LABEL = "rendered, not clinical"
SIZE = 336


@dataclass(frozen=True)
class Example:
    """A picture and what is told of it. The diagnosis it was drawn from is not told."""

    image: Image.Image
    caption: str


def rendered_examples(seed: int = 17, count: int = 6) -> Sequence[Example]:
    """One picture for each Fitzpatrick tone in turn, of diagnoses in the order of the rendered clinic."""
    from data_builders.rendered import Clinic, sample_case

    nodes = [disease.node for disease in Clinic.load().diseases]
    found = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        node, tone = nodes[number % len(nodes)], number % 6 + 1
        spec = sample_case(rng, [node], tones=(tone,), typical=True, size=SIZE).cases[0].spec
        found.append(Example(spec.image(), f"{LABEL} (tone {tone}, {spec.view})"))
    return found
