"""Shared-prefix scoring: the completions of one prompt are scored behind one copy of the prompt and its images.

The usual way repeats prompt and image for each of the G completions. Here a row holds the prompt without its last
token, and behind it G segments. A segment is the prompt's last token again (its position predicts the completion's
first token, and each position can have but one label) and the completion without its last token, whose prediction
nobody asks for. A segment sees the prompt and itself; its positions go on where the prompt ends. That is the same
computation, so log-probabilities and gradients agree up to rounding.

Tokens that go through the language model: P - 1 + sum(C_i) instead of G * (P + max C); images: 1 instead of G.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from skinr1.errors import UserError


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
    """Inputs of one forward pass over R groups, and where each completion token's prediction stands in its output.

    Attributes:
        inputs: keyword arguments of the model: input_ids [R, T], attention_mask, position_ids [3, R, T], images.
        labels: [R, T]; the token that each position predicts, -100 elsewhere: already shifted.
        row, column: [B, C]; position of the prediction of each completion token; 0, 0 for padding.
        scored: [B, C]; False at padding.
    """

    inputs: dict[str, Any]
    labels: Tensor
    row: Tensor
    column: Tensor
    scored: Tensor

    def unpack(self, values: Tensor) -> Tensor:
        """[R, T] -> [B, C], 0 at padding, as the unpacked forward pass gives it."""
        return values[self.row, self.column].masked_fill(~self.scored, 0)


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


def pack(batch: Batch, model: torch.nn.Module, pad_token: int, capacity: int = 0) -> Packed:
    """Packs a batch: a group, or as many as ``capacity`` tokens hold, in a row; rows are padded on the right.

    Args:
        model: the policy, wrapped or not; its backbone knows the multimodal positions of a prompt.
        pad_token: fills rows; any token will do, nothing attends to it.
        capacity: tokens that several groups may share a row up to; 0 gives each group its own. A longer group is alone.

    Raises:
        UserError: the model's attention takes no mask.
    """
    groups = find_groups(batch)
    first = [group[0] for group in groups]
    prompt_mask = batch.attention_mask[:, : batch.prompt_length].bool()
    lengths = batch.attention_mask[:, batch.prompt_length :].sum(dim=1).tolist()
    positions = prompt_positions(batch, first, model)
    prompts = prompt_mask[first].sum(dim=1).tolist()
    widths = [size - 1 + sum(lengths[i] for i in group) for size, group in zip(prompts, groups, strict=True)]
    plan = share_rows(widths, capacity)
    rows, spans = [], {}
    for number, members in enumerate(plan):
        row = _Row()
        for member in members:
            sample, known = first[member], prompt_mask[first[member]]
            row.begin(batch.input_ids[sample, : batch.prompt_length][known], positions[:, member, known])
            for index in groups[member]:
                completion = batch.input_ids[index, batch.prompt_length : batch.prompt_length + lengths[index]]
                spans[index] = (number, row.add(completion))
        rows.append(row)
    width = max(row.width for row in rows)
    owners = torch.stack([_padded(torch.cat(row.groups), width, -1) for row in rows])
    segments = torch.stack([_padded(torch.cat(row.segments), width, -1) for row in rows])
    grids, pixels = batch.images([first[member] for members in plan for member in members])
    inputs: dict[str, Any] = {
        "input_ids": torch.stack([_padded(torch.cat(row.tokens), width, pad_token) for row in rows]),
        "attention_mask": attention_mask(owners, segments, attention_kind(model)),
        "position_ids": torch.stack([_padded(torch.cat(row.positions, dim=1), width, 0) for row in rows], dim=1),
    }
    if pixels is not None:
        inputs |= {"pixel_values": pixels, "image_grid_thw": grids}
    labels = torch.stack([_padded(torch.cat(row.labels), width, -100) for row in rows])
    return Packed(inputs, labels, *_where(spans, lengths, batch))


def share_rows(widths: Sequence[int], capacity: int) -> list[list[int]]:
    """Which groups share a row, by first fit in order of decreasing width.

    Rows are as wide as the widest, so each is filled up to the larger of ``capacity`` and the widest group; without a
    capacity each group has its own row, in order.
    """
    if not capacity:
        return [[number] for number in range(len(widths))]
    room = max(capacity, *widths)
    rows: list[list[int]] = []
    left: list[int] = []
    for number in sorted(range(len(widths)), key=lambda n: (-widths[n], n)):
        place = next((row for row, free in enumerate(left) if free >= widths[number]), len(rows))
        if place == len(rows):
            rows.append([])
            left.append(room)
        rows[place].append(number)
        left[place] -= widths[number]
    return rows


class _Row:
    """Prompts, each with the segments behind it, as lists of tensors to join; segment 0 of a group is its prompt."""

    def __init__(self) -> None:
        self.tokens: list[Tensor] = []
        self.positions: list[Tensor] = []
        self.groups: list[Tensor] = []
        self.segments: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.width = 0
        self._group = self._segment = -1

    def begin(self, prompt: Tensor, positions: Tensor) -> None:
        """Adds a prompt without its last token, which each segment repeats."""
        self._last, self._after = prompt[-1:], positions[:, -1:]
        self._group, self._segment = self._group + 1, 0
        self._append(prompt[:-1], positions[:, :-1], torch.full_like(prompt[:-1], -100))

    def add(self, completion: Tensor) -> int:
        """Adds a segment of the prompt begun last; returns its first column."""
        start, length = self.width, completion.numel()
        steps = torch.arange(length, device=completion.device)
        self._segment += 1
        self._append(torch.cat([self._last, completion])[:length], self._after + steps, completion)
        return start

    def _append(self, tokens: Tensor, positions: Tensor, labels: Tensor) -> None:
        self.tokens.append(tokens)
        self.positions.append(positions)
        self.labels.append(labels)
        self.groups.append(torch.full_like(tokens, self._group))
        self.segments.append(torch.full_like(tokens, self._segment))
        self.width += tokens.numel()


def _padded(values: Tensor, width: int, value: int) -> Tensor:
    return torch.nn.functional.pad(values, (0, width - values.size(-1)), value=value)


def _where(spans: Mapping[int, tuple[int, int]], lengths: Sequence[int], batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Row, column and validity of each completion token's prediction."""
    device = batch.input_ids.device
    order = [spans[index] for index in range(len(spans))]
    steps = torch.arange(batch.completion_length, device=device)
    scored = steps < torch.tensor(lengths, device=device)[:, None]
    row = torch.tensor([row for row, _ in order], device=device)[:, None].expand_as(scored)
    column = torch.tensor([start for _, start in order], device=device)[:, None] + steps
    return row * scored, column * scored, scored


def prompt_positions(batch: Batch, samples: Sequence[int], model: torch.nn.Module) -> Tensor:
    """Multimodal rotary positions [3, R, P] of the samples' prompts, by the model's own rule; anything at padding."""
    ids = batch.input_ids[samples, : batch.prompt_length]
    mask = batch.attention_mask[samples, : batch.prompt_length]
    grids, _ = batch.images(samples)
    if grids is None or batch.mm_token_type_ids is None:
        return (mask.long().cumsum(dim=1) - 1).clamp(min=0).expand(3, -1, -1)
    backbone: Any = next(module for module in model.modules() if hasattr(module, "get_rope_index"))
    types = batch.mm_token_type_ids[samples, : batch.prompt_length]
    positions, _ = backbone.get_rope_index(ids, mm_token_type_ids=types, image_grid_thw=grids, attention_mask=mask)
    return positions


def attention_kind(model: torch.nn.Module) -> str:
    """``sdpa`` or ``eager``. Raises UserError for attention that takes no mask."""
    # the first of that class: wrappers (DeepSpeed's engine) have a config of their own kind
    kind = next(module for module in model.modules() if isinstance(module, PreTrainedModel)).config._attn_implementation
    if kind not in ("sdpa", "eager"):
        raise UserError(
            f"a shared prefix needs attention that takes a mask, not {kind}",
            "the policy",
            "Load it with attn_implementation sdpa, or switch sharing off (shared_prefix, shared_rows: false).",
        )
    return str(kind)


def attention_mask(groups: Tensor, segments: Tensor, kind: str) -> Tensor:
    """Who sees whom in a row: all that came before in one's own segment, and all of one's own group's prompt.

    Args:
        groups: [R, T]; the group of each token, -1 at padding (which sees itself, so that no row is empty).
        segments: [R, T]; the segment of each token within its group, 0 the prompt, -1 at padding.
        kind: from :func:`attention_kind`.

    Returns:
        [R, 1, T, T], True where a query sees a key (sdpa), or numbers to add (eager).
    """
    together = groups[:, :, None] == groups[:, None, :]
    same = segments[:, :, None] == segments[:, None, :]
    seen = (together & (same | (segments == 0)[:, None, :])).tril()[:, None]
    return seen if kind == "sdpa" else torch.where(seen, 0.0, torch.finfo(torch.float32).min)
