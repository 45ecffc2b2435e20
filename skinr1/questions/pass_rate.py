"""How often a model is right on a question: k answers, each with a seed of its own, read by the report's parser.

A question that is always or never answered right gives every answer of a GRPO group the same reward, so there is
nothing to learn from it.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinr1.errors import UserError
from skinr1.images import load_image, png_bytes
from skinr1.llm import Client, Completion, Refused
from skinr1.metrics.hierarchy import top1
from skinr1.metrics.outcomes import Prediction, outcome
from skinr1.serving.client import Sampling, request_body
from skinr1.taxonomy import Taxonomy


@dataclass(frozen=True)
class Rate:
    """The answers to one question.

    Attributes:
        right: answers whose diagnosis is a node of the label or below one.
        invalid: reason -> answers outside the contract; they are wrong.
        cut: answers that reached the token limit.
        fault: why the question could not be asked; then nothing was sampled.
    """

    right: int = 0
    sampled: int = 0
    invalid: tuple[tuple[str, int], ...] = ()
    cut: int = 0
    fault: str | None = None

    @property
    def verdict(self) -> str | None:
        """Why the question is dropped; None keeps it."""
        if self.fault is not None:
            return self.fault
        return {0: "always wrong", self.sampled: "always right"}.get(self.right)


@dataclass(frozen=True)
class Sampler:
    """Asks a model for ``samples`` answers to each row of an RL stage.

    Attributes:
        folder: of the stage; image paths are relative to it.
        sampling: of the first answer; the seed counts up from there.
    """

    client: Client
    model: str
    sampling: Sampling
    samples: int
    folder: Path
    taxonomy: Taxonomy

    async def rate(self, row: Mapping[str, Any]) -> Rate:
        """The model's rate on one row, which has ``prompt``, ``images``, ``case_id`` and ``diagnoses``.

        Raises:
            UserError: the endpoint fails, or a diagnosis is not in the taxonomy.
        """
        try:
            body = await asyncio.to_thread(self._body, row)
        except _NoImage as error:
            return Rate(fault=str(error))
        bodies = ({**body, "seed": self.sampling.seed + number} for number in range(self.samples))
        answers = await asyncio.gather(*map(self._ask, bodies))
        refusals = [answer for answer in answers if isinstance(answer, Refused)]
        if refusals:
            return Rate(fault=f"refused by the endpoint: {refusals[0]}")
        return tally(row, [answer for answer in answers if isinstance(answer, Completion)], self.taxonomy)

    async def _ask(self, body: Mapping[str, Any]) -> Completion | Refused:
        try:
            return await self.client.ask(body)
        except Refused as error:
            return error

    def _body(self, row: Mapping[str, Any]) -> dict[str, Any]:
        images = [_png(self.folder, name) for name in row["images"]]
        return request_body(self.model, row["prompt"], images, self.sampling, self.taxonomy)


def tally(row: Mapping[str, Any], answers: list[Completion], taxonomy: Taxonomy) -> Rate:
    """Counts the answers to one row as evaluation does. Raises UserError for a true diagnosis outside the taxonomy."""
    truth = {"case_id": row["case_id"], "diagnoses": row["diagnoses"]}
    rated = [
        outcome(Prediction(**truth, text=answer.text, finish_reason=answer.finish_reason), taxonomy)
        for answer in answers
    ]
    invalid = Counter(one.invalid.reason for one in rated if one.invalid)
    return Rate(
        right=sum(top1(one, taxonomy) == 1 for one in rated),
        sampled=len(rated),
        invalid=tuple(sorted(invalid.items())),
        cut=sum(answer.finish_reason == "length" for answer in answers),
    )


class _NoImage(ValueError):
    """A picture of the row cannot be read; the message names it without its place on this machine."""


def _png(folder: Path, name: str) -> bytes:
    try:
        return png_bytes(load_image(folder / name))
    except UserError as error:
        raise _NoImage(f"{error.what}: {name}") from None
