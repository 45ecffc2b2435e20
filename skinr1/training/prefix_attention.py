"""Attention over a packed row: each prompt attends to itself, each segment to the prompt before it and to itself.

A mask over the row says the same at the price of its square. With G segments of C tokens behind a prompt of P tokens
that is (P + G C)^2 pairs of tokens; here there are P^2 + G C (P + C). Shorter prompts and segments are padded to the
longest for as long as attention takes, nowhere else. The products are those of transformers' ``sdpa``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from skinr1.errors import UserError

NAME = "shared_prefix"


@dataclass(frozen=True)
class Layout:
    """Where the tokens of N prompts and S segments stand in a row of T tokens.

    Attributes:
        prompts: [N, P]; places of each prompt's tokens, 0 behind the end of a shorter one.
        segments: [S, C]; likewise.
        owner: [S]; the prompt that each segment follows.
        seen: [S or 1, 1, C, P + C]; True where a segment's token sees one of its prompt or of itself.
        back: [T]; where each token stands among the N * P + S * C results.
    """

    prompts: Tensor
    segments: Tensor
    owner: Tensor
    seen: Tensor
    back: Tensor
    _added: dict[tuple[int, torch.dtype], Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        prompts: Sequence[tuple[int, int]],
        segments: Sequence[tuple[int, int]],
        owner: Sequence[int],
        device: torch.device,
    ) -> "Layout":
        """From (first place, length) of each prompt and segment; together they are the row."""
        prompt_places, in_prompt = _places(prompts)
        segment_places, in_segment = _places(segments)
        owners = torch.tensor(owner, dtype=torch.long)
        width = segment_places.size(1)
        before = in_prompt[owners] if len({length for _, length in prompts}) > 1 else in_prompt[:1]
        own = torch.ones(width, width, dtype=torch.bool).tril()
        seen = torch.cat(
            [before[:, None, None].expand(-1, 1, width, -1), own.expand(before.size(0), 1, -1, -1)], dim=-1
        )
        places = torch.cat([prompt_places.flatten(), segment_places.flatten()])
        known = torch.cat([in_prompt.flatten(), in_segment.flatten()])
        back = torch.empty(int(known.sum()), dtype=torch.long)
        back[places[known]] = known.nonzero().flatten()
        return cls(*(part.to(device) for part in (prompt_places, segment_places, owners, seen, back)))

    def added(self, shared: int, dtype: torch.dtype) -> Tensor:
        """[S or 1, 1, shared * C, P + C] what is added to scores; made once, since each layer keeps it for backward."""
        if (shared, dtype) not in self._added:
            hidden = self.seen.new_zeros(self.seen.shape, dtype=dtype).masked_fill(~self.seen, -torch.inf)
            self._added[shared, dtype] = hidden.repeat(1, 1, shared, 1)
        return self._added[shared, dtype]


def _places(spans: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """[N, longest] places of the spans' tokens, 0 behind an end, and whether a token stands there."""
    starts, lengths = torch.tensor(spans, dtype=torch.long).unbind(1)
    steps = torch.arange(int(lengths.max()))
    known = steps < lengths[:, None]
    return (starts[:, None] + steps) * known, known


def backbone_of(model: torch.nn.Module) -> Any:
    """The part that knows multimodal positions and holds the language model; of a wrapped model, too.

    Raises:
        UserError: the model is no Qwen-VL.
    """
    found = next((module for module in model.modules() if hasattr(module, "get_rope_index")), None)
    if found is None:
        raise UserError(
            "no Qwen-VL model", type(model).__name__, "Switch sharing off (shared_prefix, shared_rows: false)."
        )
    return found


def enable(model: torch.nn.Module) -> None:
    """Lets the language model take a :class:`Layout` as ``prefix_layout``, and sample without copies of shared keys.

    All else is attended to as before.

    Raises:
        UserError: the model is no Qwen-VL, or was loaded with another attention than ``sdpa``.
    """
    config = backbone_of(model).language_model.config
    if config._attn_implementation not in ("sdpa", NAME):
        raise UserError(
            f"a shared prefix needs sdpa attention, not {config._attn_implementation}",
            "the policy",
            "Load it with attn_implementation sdpa, or switch sharing off (shared_prefix, shared_rows: false).",
        )
    config._attn_implementation = NAME


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    prefix_layout: Layout | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: heads [B, H, T, D] -> [B, T, H, D], and no weights. With a layout B is 1."""
    if prefix_layout is None:
        if query.size(2) == 1:  # a step of generation
            return _without_copies(query, key, value, attention_mask, **options), None
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    layout = prefix_layout
    whole = [part[0].transpose(0, 1) for part in (query, key, value)]  # [T, H, D] each
    prompt, segment = ([_taken(part, places) for part in whole] for places in (layout.prompts, layout.segments))
    results = []
    if layout.prompts.size(1):
        made, _ = sdpa_attention_forward(module, *prompt, None, **{**options, "is_causal": True})
        results.append(made.flatten(0, 1))
    if layout.segments.size(1):
        keys, values = (
            torch.cat([before.index_select(0, layout.owner), own], dim=2)
            for before, own in zip(prompt[1:], segment[1:], strict=True)
        )
        shared = query.size(1) // key.size(1)
        made = _without_copies(segment[0], keys, values, layout.added(shared, query.dtype), **options)
        results.append(made.flatten(0, 1))
    return torch.cat(results).index_select(0, layout.back)[None], None


def _taken(part: Tensor, places: Tensor) -> Tensor:
    """[T, H, D] -> [N, H, P, D]."""
    return part.index_select(0, places.flatten()).unflatten(0, places.shape).transpose(1, 2)


def _without_copies(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> Tensor:
    """[B, H, T, D] -> [B, T, H, D], where heads may share keys: they become further queries of one head.

    Where there is a mask, transformers repeats keys and values for each head, at each step all of the cache.

    Args:
        mask: [B or 1, 1, heads that share keys * T, keys], of one token also [B, 1, 1, keys]; or None.
    """
    shared, length = query.size(1) // key.size(1), query.size(2)
    folded = query.unflatten(1, (key.size(1), shared)).flatten(2, 3)
    made = scaled_dot_product_attention(folded, key, value, mask, dropout, scale=scaling)
    return made.unflatten(2, (shared, length)).flatten(1, 2).transpose(1, 2)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
