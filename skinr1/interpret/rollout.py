"""Attention rollout: how much of a phrase's attention leads back to each part of a picture.

Abnar and Zuidema 2020, section 3: with half of every layer for the residual connection, the attention of all layers,
averaged over heads, is multiplied down to the input. The tokens that predict the phrase are followed down the language
model to the visual tokens, these are spread over their patches, and the patches are followed down the vision tower.
Where a model attends is not yet what it uses, so the map is tested like that of :mod:`skinr1.interpret.occlusion`.
Features that Qwen3-VL hands to the language model from the middle of the tower are followed as if from its end.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from skinr1.interpret.scorer import Phrase, Scorer

Array = NDArray[np.float64]
NAME = "skinr1_recorded"


def rolled(start: Array, layers: Sequence[Array]) -> Array:
    """Weights on what comes out of the layers -> weights on what went in; their sum stays the same.

    Args:
        start: (tokens,).
        layers: (tokens, tokens) attention from a row's token to the columns', lowest layer first; rows sum to 1.
    """
    for attention in reversed(layers):
        start = (start + start @ attention) / 2
    return start


def window_order(rows: int, columns: int, window: int) -> NDArray[np.int64]:
    """(rows * columns,) cells in the order in which Qwen2.5-VL's tower has them: window after window, row by row."""
    cells = np.arange(rows * columns).reshape(rows, columns)
    corners = ((top, left) for top in range(0, rows, window) for left in range(0, columns, window))
    return np.concatenate([cells[top : top + window, left : left + window].ravel() for top, left in corners])


def rollout_map(scorer: Scorer, question: str, pictures: Sequence[Image.Image], phrase: Phrase) -> Array:
    """(rows, columns) how much of the phrase's attention leads to each visual token's part of the first picture.

    Returns:
        Shares times the number of tokens: 1 is an even share.
    """
    rows, columns, _ = scorer.grid(pictures[0])
    text = next(module for name, module in scorer.model.named_modules() if name.endswith("language_model"))
    inputs, tokens = scorer.encode(question, [pictures], phrase)
    with recorded(scorer.visual.config, text.config) as calls, torch.no_grad():
        scorer.model(**inputs)
    inside = set(scorer.visual.modules())
    words = layers_of([call for call in calls if call[0] not in inside], inputs["input_ids"].shape[1])
    start = np.zeros(inputs["input_ids"].shape[1])
    start[[at - 1 for at in tokens]] = 1 / len(tokens)
    ids = inputs["input_ids"][0].cpu().numpy()
    visual = np.flatnonzero(ids == scorer.model.config.image_token_id)[: rows * columns]
    cells = rolled(start, words)[visual]
    patches = layers_of([call for call in calls if call[0] in inside], rows * columns * merged(scorer))
    found = down_the_tower(cells / cells.sum(), patches, tower_order(scorer, rows, columns))
    return found.reshape(rows, columns) * rows * columns


def merged(scorer: Scorer) -> int:
    """Patches of a visual token."""
    return int(scorer.visual.config.spatial_merge_size) ** 2


def tower_order(scorer: Scorer, rows: int, columns: int) -> NDArray[np.int64]:
    """(rows * columns,) the visual tokens of a picture as the family's tower has them."""
    config = scorer.visual.config
    window = getattr(config, "window_size", None)
    if window is None:  # Qwen3-VL attends to all of the picture
        return np.arange(rows * columns)
    return window_order(rows, columns, window // config.spatial_merge_size // config.patch_size)


def down_the_tower(cells: Array, layers: Sequence[Array], order: NDArray[np.int64]) -> Array:
    """Weights on visual tokens -> weights on the parts of the picture under them.

    Args:
        cells: (tokens,) row by row.
        layers: (patches, patches), as for :func:`rolled`; the patches of a token side by side, tokens in ``order``.
    """
    each = len(layers[0]) // len(cells)
    patches = rolled(np.repeat(cells[order] / each, each), layers)
    found = np.empty_like(cells)
    found[order] = patches.reshape(-1, each).sum(axis=1)
    return found


Call = tuple[torch.nn.Module, Array]  # an attention module, and the attention of one of its windows


def layers_of(calls: Sequence[Call], size: int) -> list[Array]:
    """(size, size) attention of each module among the first ``size`` tokens, its windows along the diagonal."""
    made = []
    for _, windows in groupby(calls, key=lambda call: call[0]):
        layer, at = np.zeros((size, size)), 0
        for _, window in windows:
            if at < size:  # what lies beyond is of the other pictures
                layer[at : at + len(window), at : at + len(window)] = window
                at += len(window)
        made.append(layer)
    return made


@contextmanager
def recorded(*configs: Any) -> Iterator[list[Call]]:
    """Every attention of the first row of a batch, averaged over heads, in the order of the calls inside.

    Args:
        configs: of the parts of a model that are recorded.
    """
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    calls: list[Call] = []

    def attend(
        module: Any, query: Any, key: Any, value: Any, attention_mask: Any = None, scaling: float = 1.0, **_: Any
    ) -> tuple[torch.Tensor, None]:
        groups = query.shape[1] // key.shape[1]
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
        scores = (query @ key.transpose(2, 3)).float() * scaling
        weights = (scores if attention_mask is None else scores + attention_mask).softmax(dim=-1)
        calls.append((module, weights[0].mean(dim=0).double().cpu().numpy()))
        return (weights.to(value.dtype) @ value).transpose(1, 2).contiguous(), None

    ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    before = [config._attn_implementation for config in configs]
    for config in configs:
        config._attn_implementation = NAME
    try:
        yield calls
    finally:
        for config, name in zip(configs, before, strict=True):
            config._attn_implementation = name
