"""Packing: rows that begin alike are computed behind one copy of the prompt and its images.

The usual way repeats prompt and image for each answer: the G completions of GRPO, the trajectories of one image in
SFT. Here a block holds the prompt without its last token, and behind it a segment an answer. A segment is the prompt's
last token again (its position predicts the answer's first token, and each position can have but one label) and the
answer without its last token, whose prediction nobody asks for. A segment sees the prompt and itself; its positions go
on where the prompt ends. That is the same computation, so log-probabilities and gradients agree up to rounding.
Short blocks stand behind one another in one row, where none sees another.

Tokens of a block that go through the language model: P - 1 + sum(C_i) instead of G * (P + max C); images: 1 instead
of G.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

import skinr1.torchvision_shim  # noqa: F401  (transformers' models import torchvision)
from skinr1.errors import UserError

from transformers import PreTrainedModel  # isort: skip

Where = tuple[int, int]  # row and column


@dataclass(frozen=True)
class Batch:
    """Padded samples as TRL collates them. The prompt is what comes before the first label, the answer all after it.

    Attributes:
        input_ids, attention_mask: [B, T]; padding may stand anywhere.
        labels: [B, T]; the token itself where it is scored, -100 elsewhere: not shifted.
        pixel_values: [patches of all images, patch size] or None, in the order of the samples.
        image_grid_thw: [images, 3] or None.
        num_images: images of each sample, B numbers, or None.
        mm_token_type_ids: [B, T], 1 at image tokens, or None.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    pixel_values: Tensor | None = None
    image_grid_thw: Tensor | None = None
    num_images: Sequence[int] | None = None
    mm_token_type_ids: Tensor | None = None

    @cached_property
    def in_prompt(self) -> Tensor:
        """[B, T]; at least the first token, which nothing predicts."""
        there = self.attention_mask.bool()
        return there & (((self.labels != -100).cumsum(dim=1) == 0) | (there.cumsum(dim=1) == 1))

    @cached_property
    def in_answer(self) -> Tensor:
        """[B, T]."""
        return self.attention_mask.bool() & ~self.in_prompt

    def samples(self, start: int, end: int) -> "Batch":
        """Samples ``start`` to ``end`` with their images."""
        grids, pixels = self.images(range(start, end))
        types = None if self.mm_token_type_ids is None else self.mm_token_type_ids[start:end]
        counts = None if self.num_images is None else self.num_images[start:end]
        columns = (self.input_ids[start:end], self.attention_mask[start:end], self.labels[start:end])
        return Batch(*columns, pixels, grids, counts, types)

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
    """Inputs of one forward pass over R rows, and where the prediction of each scored token stands in its output.

    Attributes:
        inputs: keyword arguments of the model: input_ids [R, W], attention_mask, position_ids [3, R, W], images.
        labels: [R, W]; the token that each position predicts, -100 elsewhere: already shifted.
        row, column: [B, T]; position of the prediction of each scored token; 0, 0 elsewhere.
        scored: [B, T].
    """

    inputs: dict[str, Any]
    labels: Tensor
    row: Tensor
    column: Tensor
    scored: Tensor

    def unpack(self, values: Tensor) -> Tensor:
        """[R, W] -> [B, T], 0 where no token is scored, as the unpacked forward pass gives it."""
        return values[self.row, self.column].masked_fill(~self.scored, 0)


def images_of(input_ids: Tensor, image_token: int) -> list[int]:
    """Images of each sample: a run of placeholders is one image, for between two stand markers of start and end."""
    at = input_ids == image_token
    return ((at[:, 1:] & ~at[:, :-1]).sum(dim=1) + at[:, 0]).tolist()


def find_groups(batch: Batch) -> list[list[int]]:
    """Samples with equal prompt and equal images, in order of their first one. TRL shuffles, so they may be apart."""
    images = [_Images.of(batch, index) for index in range(batch.input_ids.size(0))]
    found: dict[tuple[Any, ...], list[list[int]]] = {}
    groups: list[list[int]] = []
    for index, image in enumerate(images):
        key = (tuple(batch.input_ids[index][batch.in_prompt[index]].tolist()), image.grid, image.total)
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


def pack(batch: Batch, model: torch.nn.Module, pad_token: int) -> Packed:
    """Packs a batch: a block a group, the blocks into rows as wide as the widest of them.

    Args:
        model: the policy, wrapped or not; its backbone knows the multimodal positions of a prompt.
        pad_token: fills rows; any token will do, nothing attends to it.

    Raises:
        UserError: the model's attention takes no mask, or an image stands in an answer.
    """
    if batch.mm_token_type_ids is not None and (batch.mm_token_type_ids.bool() & batch.in_answer).any():
        raise UserError("an image stands behind the first label", "packing", "Set shared_prefix: false.")
    groups = find_groups(batch)
    first = [group[0] for group in groups]
    positions = prompt_positions(batch, first, model)
    blocks = []
    for number, group in enumerate(groups):
        known = batch.in_prompt[group[0]]
        block = _Block(batch.input_ids[group[0]][known], positions[:, number, known])
        for index in group:
            answer = batch.in_answer[index]
            block.add(index, batch.input_ids[index][answer], batch.labels[index][answer])
        blocks.append(block)
    rows = fill([block.width for block in blocks])
    order = [number for row in rows for number in row]
    grids, pixels = batch.images([first[number] for number in order])
    members = [_numbered([blocks[number].width for number in row], batch.input_ids.device) for row in rows]
    segments = _joined([[torch.cat(blocks[number].segments) for number in row] for row in rows], -1)
    inputs: dict[str, Any] = {
        "input_ids": _joined([[torch.cat(blocks[number].tokens) for number in row] for row in rows], pad_token),
        "attention_mask": attention_mask(_joined([[row] for row in members], -1), segments, model),
        "position_ids": _joined(
            [[torch.cat(blocks[number].positions, dim=1) for number in row] for row in rows], 0
        ).transpose(0, 1),
    }
    if pixels is not None:
        inputs |= {"pixel_values": pixels, "image_grid_thw": grids}
    labels = _joined([[torch.cat(blocks[number].labels) for number in row] for row in rows], -100)
    return Packed(inputs, labels, *_where(_starts(rows, blocks), batch))


class _Block:
    """A prompt and the segments behind it, as lists of tensors to join; segment 0 is the prompt."""

    def __init__(self, prompt: Tensor, positions: Tensor):
        self.last, self.after = prompt[-1:], positions[:, -1:]
        self.tokens, self.positions = [prompt[:-1]], [positions[:, :-1]]
        self.segments = [torch.zeros_like(prompt[:-1])]
        self.labels = [torch.full_like(prompt[:-1], -100)]
        self.width = prompt.numel() - 1
        self.starts: dict[int, int] = {}  # sample: first column of its segment

    def add(self, sample: int, answer: Tensor, labels: Tensor) -> None:
        """Adds a segment."""
        length = answer.numel()
        steps = torch.arange(length, device=answer.device)
        self.starts[sample] = self.width
        self.tokens.append(torch.cat([self.last, answer])[:length])
        self.positions.append(self.after + steps)
        self.segments.append(torch.full_like(answer, len(self.segments)))
        self.labels.append(labels)
        self.width += length


def fill(widths: Sequence[int]) -> list[list[int]]:
    """Numbers of the blocks of each row: the widest first, each into the first row that has room for it."""
    capacity = max(widths)
    rows: list[list[int]] = []
    room: list[int] = []
    for number in sorted(range(len(widths)), key=lambda number: (-widths[number], number)):
        row = next((row for row, left in enumerate(room) if left >= widths[number]), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(capacity)
        rows[row].append(number)
        room[row] -= widths[number]
    return rows


def _joined(rows: list[list[Tensor]], value: int) -> Tensor:
    """Pieces along the last dimension -> [R, ..., W], padded on the right."""
    whole = [torch.cat(row, dim=-1) for row in rows]
    width = max(row.size(-1) for row in whole)
    return torch.stack([torch.nn.functional.pad(row, (0, width - row.size(-1)), value=value) for row in whole])


def _numbered(widths: Sequence[int], device: torch.device) -> Tensor:
    """Each token's block: 0 ``widths[0]`` times, 1 ``widths[1]`` times, and so on."""
    return torch.arange(len(widths), device=device).repeat_interleave(torch.tensor(widths, device=device))


def _starts(rows: list[list[int]], blocks: list[_Block]) -> dict[int, Where]:
    """Row and first column of each sample's segment."""
    found: dict[int, Where] = {}
    for number, row in enumerate(rows):
        offsets = accumulate((blocks[block].width for block in row), initial=0)
        for block, offset in zip(row, offsets, strict=False):
            found |= {sample: (number, offset + start) for sample, start in blocks[block].starts.items()}
    return found


def _where(starts: Mapping[int, Where], batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Row, column and validity of each scored token's prediction."""
    scored = batch.in_answer & (batch.labels != -100)
    device = scored.device
    row, start = torch.tensor([starts[index] for index in range(len(starts))], device=device).T
    column = start[:, None] + batch.in_answer.long().cumsum(dim=1) - 1
    return row[:, None] * scored, column * scored, scored


def prompt_positions(batch: Batch, samples: Sequence[int], model: torch.nn.Module) -> Tensor:
    """Multimodal rotary positions [3, R, T] of the samples, by the model's own rule; anything outside the prompt."""
    ids, mask = batch.input_ids[samples], batch.in_prompt[samples].long()
    grids, _ = batch.images(samples)
    if grids is None or batch.mm_token_type_ids is None:
        return (mask.cumsum(dim=1) - 1).clamp(min=0).expand(3, -1, -1)
    backbone: Any = next(module for module in model.modules() if hasattr(module, "get_rope_index"))
    types = batch.mm_token_type_ids[samples]
    positions, _ = backbone.get_rope_index(ids, mm_token_type_ids=types, image_grid_thw=grids, attention_mask=mask)
    return positions


def attention_mask(blocks: Tensor, segments: Tensor, model: torch.nn.Module) -> Any:
    """Who sees whom in a row: what came before in one's own segment, and in segment 0, the prompt, of one's own block.

    Args:
        blocks, segments: [R, W]; of each token, -1 at padding (which sees itself, so that no row is empty).

    Returns:
        [R, 1, W, W], True where a query sees a key (SDPA), numbers to add (eager), or a FlexAttention block mask,
        which skips the tiles that nobody sees.

    Raises:
        UserError: another kind of attention.
    """
    # the first of that class: wrappers (DeepSpeed's engine) have a config of their own kind
    config = next(module for module in model.modules() if isinstance(module, PreTrainedModel)).config
    kind = config.get_text_config()._attn_implementation
    if kind == "flex_attention":
        return _flex_mask(blocks, segments)
    if kind not in ("sdpa", "eager"):
        raise UserError(
            f"shared_prefix needs attention that takes a mask, not {kind}",
            "the policy",
            "Load it with attn_implementation sdpa, or set shared_prefix: false.",
        )
    same_block = blocks[:, :, None] == blocks[:, None, :]
    same_segment = segments[:, :, None] == segments[:, None, :]
    seen = (same_block & (same_segment | (segments == 0)[:, None, :])).tril()[:, None]
    return seen if kind == "sdpa" else torch.where(seen, 0.0, torch.finfo(torch.float32).min)


def _flex_mask(blocks: Tensor, segments: Tensor) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        same_block = blocks[row, query] == blocks[row, key]
        same_segment = segments[row, query] == segments[row, key]
        return same_block & (same_segment | (segments[row, key] == 0)) & (key <= query)

    rows, width = blocks.shape
    return create_block_mask(sees, rows, None, width, width, device=str(blocks.device))
