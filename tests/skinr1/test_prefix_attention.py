"""Attention by prompts and segments is attention under the mask of the whole row."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

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
    for given_layout in (None, layout):
        made, weights = prefix_attention.attend(module, *parts, mask[None, None], given_layout, scaling=0.3)
        assert weights is None
        ways.append((made.detach(), *torch.autograd.grad((made * slope).sum(), parts)))
    for usual, ours in zip(*ways, strict=True):
        assert usual.shape == ours.shape
        assert torch.allclose(usual, ours, atol=1e-5)


def test_no_mask_of_the_row_is_held():
    prompt, answers = 300, [90] * 16
    layout, _ = laid_out([(prompt, answers)] * 2)
    assert layout.seen.shape == (1, 1, 90, 390)  # prompts of one length: one mask serves all
    assert laid_out([(3, [2]), (4, [1])])[0].seen.shape == (2, 1, 2, 6)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_only_the_language_model_changes_and_only_for_a_layout(tmp_path: Path, family: str):
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
