"""Requests to the helping model: which model, how its answers are drawn, and what a record says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skinr1.prompts import REWRITING_VERSION
from skinr1.serving.client import with_images


@dataclass(frozen=True)
class Asker:
    """A model and its sampling.

    Attributes:
        prompt: name of the prompt, which its version completes in records.
    """

    prompt: str
    model: str
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0

    def body(self, messages: Sequence[Mapping[str, Any]], images: Sequence[bytes] = ()) -> dict[str, Any]:
        """A chat completion request; images (PNG bytes) take the placeholders of the messages, in order."""
        return {
            "model": self.model,
            "messages": with_images(messages, images),
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
        }

    def described(self) -> dict[str, Any]:
        """Who wrote an answer, for its record."""
        return {
            "model": self.model,
            "prompt": f"{self.prompt} v{REWRITING_VERSION}",
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
        }
