"""How probable a model finds a piece of an answer, given the pictures: what heat maps and concept scores explain."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from skinr1 import prompts
from skinr1.errors import UserError

Array = NDArray[np.float64]
Pictures = Sequence[Image.Image]


@dataclass(frozen=True)
class Phrase:
    """``text[start:end]`` of an answer. What stands before it is given to the model as it is."""

    text: str
    start: int
    end: int

    @classmethod
    def first(cls, text: str, words: str) -> "Phrase":
        """The first mention of ``words``. Raises UserError when the answer does not hold them."""
        start = text.lower().find(words.lower())
        if start < 0 or not words.strip():
            raise UserError("the answer does not say this", repr(words), "Choose a word that stands in it.")
        return cls(text, start, start + len(words))


class Scorer:
    """A model and its processor, asked for log-probabilities, activations and gradients.

    Layers are counted over the vision tower's blocks, from the end when negative.
    """

    def __init__(self, model: Any, processor: Any, batch: int = 8):
        self.model, self.processor, self.batch = model.eval().requires_grad_(False), processor, batch
        self.visual = next(module for name, module in model.named_modules() if name.endswith("visual"))
        self.device = next(model.parameters()).device

    def check_layer(self, layer: int) -> int:
        """The layer counted from the front. Raises UserError for one that the tower has not."""
        depth = len(self.visual.blocks)
        if not -depth <= layer < depth:
            raise UserError("no such layer of the vision tower", str(layer), f"Give {-depth} to {depth - 1}.")
        return layer % depth

    def grid(self, picture: Image.Image) -> tuple[int, int, int]:
        """Rows and columns of visual tokens that the model sees of a picture, and a token's side in pixels."""
        images = self.processor.image_processor
        _, height, width = images(images=[picture], return_tensors="pt")["image_grid_thw"][0].tolist()
        return height // images.merge_size, width // images.merge_size, images.patch_size * images.merge_size

    @torch.no_grad()
    def log_probabilities(self, question: str, variants: Sequence[Pictures], phrase: Phrase) -> Array:
        """Log-probability of the phrase, in nats, for every variant of the pictures; all variants of one size."""
        found = []
        for start in range(0, len(variants), self.batch):
            inputs, tokens = self.encode(question, variants[start : start + self.batch], phrase)
            found.append(self.log_probability(inputs, tokens).double().cpu().numpy())
        return np.concatenate(found)

    def gradient(self, question: str, pictures: Pictures, phrase: Phrase, layer: int) -> tuple[float, Array]:
        """The phrase's log-probability, and its derivative by one shift of all activations of a layer.

        The derivative is summed over visual tokens: a step along v added to every token changes the log-probability by
        its dot product with v, and the mean activation, in which directions are learned, by that same step.

        Returns:
            nats, and (width of the layer,).
        """
        inputs, tokens = self.encode(question, [pictures], phrase)
        with self._captured(layer, leaf=True) as caught, torch.enable_grad():
            value = self.log_probability(inputs, tokens).sum()
            (slope,) = torch.autograd.grad(value, caught[0])
        return float(value.detach()), slope.sum(dim=0).double().cpu().numpy()

    @torch.no_grad()
    def embedding(self, pictures: Pictures, layer: int) -> Array:
        """Mean over all visual tokens of all pictures of a case, after the layer: (width of the layer,)."""
        seen = self.processor.image_processor(images=list(pictures), return_tensors="pt")
        with self._captured(layer, leaf=False) as caught:
            self.visual(
                seen["pixel_values"].to(self.device, self.visual.dtype), grid_thw=seen["image_grid_thw"].to(self.device)
            )
        return caught[0].mean(dim=0).double().cpu().numpy()

    def encode(self, question: str, variants: Sequence[Pictures], phrase: Phrase) -> tuple[dict[str, Any], list[int]]:
        """What the model is given for variants of one size, and where the phrase's tokens are, from the end."""
        text = self.processor.apply_chat_template(
            prompts.messages(question, len(variants[0])), tokenize=False, add_generation_prompt=True
        )
        flat = [picture for pictures in variants for picture in pictures]
        inputs = dict(self.processor(text=[text] * len(variants), images=flat, return_tensors="pt"))
        tail = self.processor.tokenizer(phrase.text, add_special_tokens=False, return_offsets_mapping=True)
        spans = tail["offset_mapping"]
        said = [at for at, (start, end) in enumerate(spans) if start < phrase.end and end > phrase.start]
        ids = tail["input_ids"][: said[-1] + 1]
        ones = torch.ones(len(variants), len(ids), dtype=torch.long)
        more = {"input_ids": ones * torch.tensor(ids), "attention_mask": ones, "mm_token_type_ids": 0 * ones}
        for name, tensor in more.items():
            if name in inputs:
                inputs[name] = torch.cat([inputs[name], tensor], dim=1)
        return {name: tensor.to(self.device) for name, tensor in inputs.items()}, [at - len(ids) for at in said]

    def log_probability(self, inputs: dict[str, Any], tokens: list[int]) -> torch.Tensor:
        """(variants,) summed log-probability of the tokens, with its gradient; each is predicted one place before."""
        logits = self.model(**inputs, logits_to_keep=1 - tokens[0]).logits.float().log_softmax(dim=-1)
        ids = inputs["input_ids"]
        return torch.stack([logits[:, at - 1].gather(1, ids[:, at, None])[:, 0] for at in tokens]).sum(dim=0)

    @contextmanager
    def _captured(self, layer: int, leaf: bool) -> Iterator[list[torch.Tensor]]:
        """The layer's output, (tokens, width), of the calls inside; ``leaf`` makes it the start of the gradient."""
        caught: list[torch.Tensor] = []

        def hook(module: torch.nn.Module, given: Any, output: torch.Tensor) -> torch.Tensor:
            caught.append(output.detach().requires_grad_() if leaf else output)
            return caught[-1]

        handle = self.visual.blocks[layer].register_forward_hook(hook)
        try:
            yield caught
        finally:
            handle.remove()
