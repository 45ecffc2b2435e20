"""Rollouts without vLLM: a prompt and its images go through the model once, then its cache serves all completions.

A step of generation is a small product per weight, and an adapter makes three of it; so it is merged into the weights
while sampling. transformers' cache copies all keys and values at each step to append one; here they have room to grow.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from skinr1.training import prefix_attention
from skinr1.training.shared_prefix import Batch, find_groups, prompt_positions

BLOCK = 256  # tokens of room that a cache is given at a time


class RoomyLayer(DynamicLayer):
    """Keys and values [B, heads, tokens, head size] as of DynamicLayer, appended in place while there is room."""

    def __init__(self, keys: Tensor, values: Tensor):
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values
        self._room: list[Tensor] = []

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        start = self.keys.size(-2)
        end = start + key_states.size(-2)
        if not self._room or end > self._room[0].size(-2):
            self._room = [_with_room(kept, end) for kept in (self.keys, self.values)]
        keys, values = self._room
        keys[..., start:end, :], values[..., start:end, :] = key_states, value_states
        self.keys, self.values = keys[..., :end, :], values[..., :end, :]
        return self.keys, self.values


def _with_room(kept: Tensor, tokens: int) -> Tensor:
    *sizes, length, width = kept.shape
    made = kept.new_empty(*sizes, tokens + BLOCK, width)
    made[..., :length, :] = kept
    return made


def share_prompts(model: Any, merge: bool = True) -> Callable[..., Tensor]:
    """``model.generate`` with one prefill a prompt, for left-padded batches in which prompts repeat.

    The same logits as without, up to rounding, so with the same random state nearly always the same tokens. Only the
    adapter's dropout, if it has one, does not reach what is sampled from merged weights.

    Args:
        model: the policy; unwrapped, with or without adapter.
        merge: whether to merge the adapter while sampling, as :func:`merged` says; False where the forward pass
            rounds the weights to 16 bits.

    Raises:
        UserError: the model is no Qwen-VL.
    """
    stock = model.generate
    backbone = prefix_attention.backbone_of(model)

    @torch.no_grad()
    def generate(input_ids: Tensor, attention_mask: Tensor, generation_config: Any, **images: Any) -> Tensor:
        if not merge:
            return sample(input_ids, attention_mask, generation_config, **images)
        with merged(model):
            return sample(input_ids, attention_mask, generation_config, **images)

    def sample(input_ids: Tensor, attention_mask: Tensor, generation_config: Any, **images: Any) -> Tensor:
        prefix_attention.enable(model)  # a step of generation then copies no keys
        batch = _batch(input_ids, attention_mask, backbone.config.image_token_id, **images)
        groups = find_groups(batch)
        first = [group[0] for group in groups]
        group_of = torch.empty(input_ids.size(0), dtype=torch.long, device=input_ids.device)
        for number, group in enumerate(groups):
            group_of[group] = number
        positions = prompt_positions(batch, first, model)
        cache = _prefill(model, batch, first, positions[..., :-1])
        cache.layers = [RoomyLayer(layer.keys[group_of], layer.values[group_of]) for layer in cache.layers]
        # generation goes on at "tokens so far + delta": images take fewer positions than tokens
        backbone.rope_deltas = (positions[0, :, -1:] + 1 - attention_mask[first].sum(dim=1, keepdim=True))[group_of]
        return stock(
            input_ids=input_ids,
            attention_mask=attention_mask,
            past_key_values=cache,
            generation_config=generation_config,
        )

    return generate


@contextmanager
def merged(model: Any) -> Iterator[None]:
    """The adapter in use merged into the weights it changes, which are as before to the bit when the block ends.

    Subtracting the adapter again would leave rounding behind at each step, so a copy of the weights is kept meanwhile.
    Nothing is merged where the weights are not float32 (16 bits would swallow small changes, and the policy sampled
    from would not be the one that is scored) or split over processes (ZeRO-3: what a process writes is not kept).
    """
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    weights = [layer.get_base_layer().weight for layer in layers]
    if not all(weight.dtype == torch.float32 and not hasattr(weight, "ds_id") for weight in weights):
        yield
        return
    before = [weight.detach().clone() for weight in weights]
    for layer in layers:
        layer.merge()
    try:
        yield
    finally:
        for layer in layers:
            layer.unmerge()
        with torch.no_grad():
            for weight, values in zip(weights, before, strict=True):
                weight.copy_(values)


def _batch(
    ids: Tensor,
    mask: Tensor,
    image_token: int,
    pixel_values: Tensor | None = None,
    image_grid_thw: Tensor | None = None,
    mm_token_type_ids: Tensor | None = None,
) -> Batch:
    """A batch of prompts alone. The prompts say whose images are whose: a run of placeholders is one image."""
    counts = None
    if image_grid_thw is not None:
        at = ids == image_token
        counts = (at[:, 1:] & ~at[:, :-1]).sum(dim=1).tolist()
    return Batch(ids, mask, 0, pixel_values, image_grid_thw, counts, mm_token_type_ids)


def _prefill(model: Any, batch: Batch, samples: list[int], positions: Tensor) -> DynamicCache:
    """Keys and values of the samples' prompts but for the last token, which generation begins with."""
    grids, pixels = batch.images(samples)
    images = {} if pixels is None else {"image_grid_thw": grids, "pixel_values": pixels}
    cache = DynamicCache()
    model(
        input_ids=batch.input_ids[samples, :-1],
        attention_mask=batch.attention_mask[samples, :-1],
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
        **images,
    )
    return cache
