"""Shared-prefix scoring: the completions of one prompt are scored behind one copy of the prompt and its images.

The usual way repeats prompt and image for each of the G completions. Here a batch is one row: each prompt without its
last token, and behind it G segments. A segment is the prompt's last token again (its position predicts the completion's
first token, and each position can have but one label) and the completion without its last token, whose prediction
nobody asks for. A segment sees the prompt and itself (:mod:`skinr1.training.prefix_attention`); its positions go on
where the prompt ends. That is the same computation, so log-probabilities and gradients agree up to rounding.

Tokens of a prompt that go through the language model: P - 1 + sum(C_i) instead of G * (P + max C), and nothing is
padded; images: 1 instead of G.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from skinr1.training import prefix_attention
from skinr1.training.prefix_attention import Layout


@dataclass(frozen=True)
class Batch:
    """Left-padded prompts with right-padded completions, as TRL hands them to the trainer.

    Attributes:
        input_ids, attention_mask: [B, P + C].
        completion_length: C.
        pixel_values: [patches of all images, patch size] or None, in the order of the samples.
        image_grid_thw: [images, 3] or None.
        num_images: images of each sample, B numbers, or None.
        mm_token_type_ids: [B, P + C], 1 at image tokens, or None.
    """

    input_ids: Tensor
    attention_mask: Tensor
    completion_length: int
    pixel_values: Tensor | None = None
    image_grid_thw: Tensor | None = None
    num_images: Sequence[int] | None = None
    mm_token_type_ids: Tensor | None = None

    @property
    def prompt_length(self) -> int:
        return self.input_ids.size(1) - self.completion_length

    def rows(self, start: int, end: int) -> "Batch":
        """Samples ``start`` to ``end`` with their images."""
        grids, pixels = self.images(range(start, end))
        types = None if self.mm_token_type_ids is None else self.mm_token_type_ids[start:end]
        counts = None if self.num_images is None else self.num_images[start:end]
        return Batch(
            self.input_ids[start:end],
            self.attention_mask[start:end],
            self.completion_length,
            pixels,
            grids,
            counts,
            types,
        )

    def images(self, samples: Sequence[int]) -> tuple[Tensor | None, Tensor | None]:
        """Grids and pixels of the given samples, in their order."""
        if self.pixel_values is None or self.image_grid_thw is None or self.num_images is None:
            return None, None
        images = [0, *accumulate(self.num_images)]
        patches = [0, *accumulate(self.image_grid_thw.prod(dim=1).tolist())]
        grids = [self.image_grid_thw[images[i] : images[i + 1]] for i in samples]
        pixels = [self.pixel_values[patches[images[i]] : patches[images[i + 1]]] for i in samples]
        return torch.cat(grids), torch.cat(pixels)


@dataclass(frozen=True)
class Packed:
    """Inputs of one forward pass over a row of T tokens, and where each completion token's prediction stands in it.

    Attributes:
        inputs: keyword arguments of the model: input_ids [1, T], prefix_layout (who sees whom), attention_mask (says
            nothing), position_ids [3, 1, T], images.
        labels: [1, T]; the token that each position predicts, -100 elsewhere: already shifted.
        column: [B, C]; position of the prediction of each completion token; 0 for padding.
        scored: [B, C]; False at padding.
    """

    inputs: dict[str, Any]
    labels: Tensor
    column: Tensor
    scored: Tensor

    def unpack(self, values: Tensor) -> Tensor:
        """[1, T] -> [B, C], 0 at padding, as the unpacked forward pass gives it."""
        return values[0, self.column].masked_fill(~self.scored, 0)


def find_groups(batch: Batch) -> list[list[int]]:
    """Samples with equal prompt and equal images, in order of their first one. TRL shuffles, so they may be apart."""
    prompts, mask = batch.input_ids[:, : batch.prompt_length], batch.attention_mask[:, : batch.prompt_length].bool()
    images = [_Images.of(batch, index) for index in range(batch.input_ids.size(0))]
    found: dict[tuple[Any, ...], list[list[int]]] = {}
    groups: list[list[int]] = []
    for index, image in enumerate(images):
        key = (tuple(prompts[index][mask[index]].tolist()), image.grid, image.total)
        for group in found.setdefault(key, []):
            if images[group[0]].same_pixels(image):
                group.append(index)
                break
        else:
            groups.append([index])
            found[key].append(groups[-1])
    return groups


@dataclass(frozen=True)
class _Images:
    """A sample's images; ``total`` tells most unequal ones apart without comparing each pixel with each."""

    grid: tuple[Any, ...]
    total: float
    pixels: Tensor | None

    @classmethod
    def of(cls, batch: Batch, index: int) -> "_Images":
        grid, pixels = batch.images([index])
        if grid is None or pixels is None:
            return cls((), 0.0, None)
        return cls(tuple(map(tuple, grid.tolist())), pixels.sum(dtype=torch.float64).item(), pixels)

    def same_pixels(self, other: "_Images") -> bool:
        if self.pixels is None or other.pixels is None:
            return self.pixels is other.pixels
        return torch.equal(self.pixels, other.pixels)


def pack(batch: Batch, model: torch.nn.Module) -> Packed:
    """A batch as one row of groups.

    Args:
        model: the policy, wrapped or not; its backbone knows the multimodal positions of a prompt.

    Raises:
        UserError: the model is no Qwen-VL, or its attention is not ``sdpa``.
    """
    prefix_attention.enable(model)
    groups = find_groups(batch)
    first = [group[0] for group in groups]
    known = batch.attention_mask[:, : batch.prompt_length].bool()
    lengths = batch.attention_mask[:, batch.prompt_length :].sum(dim=1).tolist()
    positions = prompt_positions(batch, first, model)
    row, starts = _Row(), {}
    for number, group in enumerate(groups):
        prompt = known[group[0]]
        row.begin(batch.input_ids[group[0], : batch.prompt_length][prompt], positions[:, number, prompt])
        for index in group:
            starts[index] = row.add(batch.input_ids[index, batch.prompt_length :][: lengths[index]])
    tokens = torch.cat(row.tokens)[None]
    inputs: dict[str, Any] = {
        "input_ids": tokens,
        # of four dimensions transformers makes no mask of the row's square; where a layer did not know the layout,
        # seeing nothing would give NaN, and seeing all would go unnoticed
        "attention_mask": torch.zeros_like(tokens, dtype=torch.bool)[:, None, None],
        "prefix_layout": Layout.of(row.prompts, row.segments, row.owner, tokens.device),
        "position_ids": torch.cat(row.positions, dim=1)[:, None],
    }
    grids, pixels = batch.images(first)
    if pixels is not None:
        inputs |= {"pixel_values": pixels, "image_grid_thw": grids}
    steps = torch.arange(batch.completion_length, device=tokens.device)
    scored = steps < torch.tensor(lengths, device=tokens.device)[:, None]
    column = torch.tensor([starts[index] for index in range(len(starts))], device=tokens.device)[:, None] + steps
    return Packed(inputs, torch.cat(row.labels)[None], column * scored, scored)


class _Row:
    """Prompts, each with the segments behind it, as tensors to join and as spans (first column, length)."""

    def __init__(self) -> None:
        self.tokens: list[Tensor] = []
        self.positions: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.prompts: list[tuple[int, int]] = []
        self.segments: list[tuple[int, int]] = []
        self.owner: list[int] = []  # the prompt of each segment
        self._width = 0

    def begin(self, prompt: Tensor, positions: Tensor) -> None:
        """Adds a prompt without its last token, which each segment repeats."""
        self._last, self._after = prompt[-1:], positions[:, -1:]
        self.prompts.append(self._append(prompt[:-1], positions[:, :-1], torch.full_like(prompt[:-1], -100)))

    def add(self, completion: Tensor) -> int:
        """Adds a segment of the prompt begun last; returns its first column."""
        steps = torch.arange(completion.numel(), device=completion.device)
        tokens = torch.cat([self._last, completion])[: completion.numel()]
        self.segments.append(self._append(tokens, self._after + steps, completion))
        self.owner.append(len(self.prompts) - 1)
        return self.segments[-1][0]

    def _append(self, tokens: Tensor, positions: Tensor, labels: Tensor) -> tuple[int, int]:
        self.tokens.append(tokens)
        self.positions.append(positions)
        self.labels.append(labels)
        self._width += tokens.numel()
        return self._width - tokens.numel(), tokens.numel()


def prompt_positions(batch: Batch, samples: Sequence[int], model: torch.nn.Module) -> Tensor:
    """Multimodal rotary positions [3, R, P] of the samples' prompts, by the model's own rule; anything at padding."""
    ids = batch.input_ids[samples, : batch.prompt_length]
    mask = batch.attention_mask[samples, : batch.prompt_length]
    grids, _ = batch.images(samples)
    if grids is None or batch.mm_token_type_ids is None:
        return (mask.long().cumsum(dim=1) - 1).clamp(min=0).expand(3, -1, -1)
    types = batch.mm_token_type_ids[samples, : batch.prompt_length]
    rule = prefix_attention.backbone_of(model).get_rope_index
    positions, _ = rule(ids, mm_token_type_ids=types, image_grid_thw=grids, attention_mask=mask)
    return positions
