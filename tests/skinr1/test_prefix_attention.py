"""Attention by prompts and segments is attention under the mask of the whole row."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from skinr1 import vlm
from skinr1.errors import UserError
from skinr1.training import prefix_attention
from skinr1.training.prefix_attention import Layout
from tests.recipes import runs

GROUP = st.tuples(st.integers(0, 5), st.lists(st.integers(0, 4), min_size=1, max_size=3))
HEADS, KEY_HEADS, SIZE = 4, 2, 8


def laid_out(row: list[tuple[int, list[int]]]) -> tuple[Layout, torch.Tensor]:
    """The layout of a row of (prompt, segments) by length, and its mask [T, T]."""
    width = sum(prompt + sum(own) for prompt, own in row)
    prompts, segments, owner = [], [], []
    mask = torch.zeros(width, width, dtype=torch.bool)
    at = 0
    for length, own in row:
        prompts.append((at, length))
        seen = list(range(at, at + length))
        for query in seen:
            mask[query, at : query + 1] = True
        at += length
        for size in own:
            segments.append((at, size))
            owner.append(len(prompts) - 1)
            for query in range(at, at + size):
                mask[query, [*seen, *range(at, query + 1)]] = True
            at += size
    return Layout.of(prompts, segments, owner, torch.device("cpu")), mask


@settings(max_examples=100, deadline=None)
@given(st.lists(GROUP, min_size=1, max_size=4), st.booleans())
def test_equal_to_a_mask_of_the_row(row: list[tuple[int, list[int]]], grouped: bool):
    assume(any(prompt + sum(own) for prompt, own in row))
    layout, mask = laid_out(row)
    draw = torch.Generator().manual_seed(0)
    heads = (HEADS, KEY_HEADS if grouped else HEADS)
    parts = [
        torch.randn(1, len(mask), count, SIZE, generator=draw).transpose(1, 2).requires_grad_()
        for count in (heads[0], heads[1], heads[1])
    ]
    module = SimpleNamespace(num_key_value_groups=heads[0] // heads[1], is_causal=True)
    slope = torch.randn(1, len(mask), HEADS, SIZE, generator=draw)
    ways = []
    for attend, options in ((sdpa_attention_forward, {}), (prefix_attention.attend, {"prefix_layout": layout})):
        made, weights = attend(module, *parts, mask[None, None], scaling=0.3, **options)
        assert weights is None
        ways.append((made.detach(), *torch.autograd.grad((made * slope).sum(), parts)))
    for usual, ours in zip(*ways, strict=True):
        assert usual.shape == ours.shape
        assert torch.allclose(usual, ours, atol=1e-5)


def test_layers_keep_one_mask_between_them_and_none_of_the_row():
    prompt, answers = 300, [90] * 16
    row = [(prompt, answers)] * 2
    layout, mask = laid_out(row)
    module = SimpleNamespace(num_key_value_groups=1, is_causal=True)
    query, key, value = (torch.randn(1, 1, len(mask), 2, requires_grad=True) for _ in range(3))
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layers = [prefix_attention.attend(module, query, key, value, None, layout)[0] for _ in range(3)]
    assert len(layers) == 3
    assert 4 * 90 * 390 in kept.values(), "prompts of one length: one mask serves all segments"
    assert sum(kept.values()) < len(mask) ** 2
    assert laid_out([(3, [2]), (4, [1])])[0].added(3, torch.bfloat16).shape == (2, 1, 6, 6)


@pytest.mark.parametrize("masked", [True, False])
def test_a_step_of_generation(masked: bool):
    draw = torch.Generator().manual_seed(0)
    query = torch.randn(3, HEADS, 1, SIZE, generator=draw)
    key, value = (torch.randn(3, KEY_HEADS, 7, SIZE, generator=draw) for _ in range(2))
    mask = torch.arange(7) >= torch.tensor([0, 2, 5])[:, None, None, None] if masked else None
    module = SimpleNamespace(num_key_value_groups=HEADS // KEY_HEADS, is_causal=True)
    usual, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
    ours, _ = prefix_attention.attend(module, query, key, value, mask, scaling=0.3)
    assert torch.allclose(usual, ours, atol=1e-6)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_only_the_language_model_changes(tmp_path: Path, family: str):
    model = vlm.load_model(str(runs.write_base(tmp_path / "base", family)), "float32")
    ids = torch.arange(20, 40)[None]
    before = model(input_ids=ids).logits
    prefix_attention.enable(model)
    prefix_attention.enable(model)
    assert torch.equal(model(input_ids=ids).logits, before)
    assert model.model.language_model.layers[0].self_attn.config._attn_implementation == prefix_attention.NAME
    assert model.model.visual.config._attn_implementation == "sdpa"
    model.save_pretrained(tmp_path / "saved")
    assert prefix_attention.NAME not in (tmp_path / "saved" / "config.json").read_text(encoding="utf-8")


def test_other_attention_is_refused(tmp_path: Path):
    model = vlm.load_model(str(runs.write_base(tmp_path / "base", "qwen2_5_vl")), "float32")
    model.set_attn_implementation("eager")
    with pytest.raises(UserError, match="not eager"):
        prefix_attention.enable(model)


def test_other_models_are_refused():
    with pytest.raises(UserError, match="no Qwen-VL"):
        prefix_attention.enable(torch.nn.Linear(1, 1))
