"""TRL's rollouts in vLLM: the same prompts, barred tokens, weights that do not drift. vLLM itself is in integration."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from skinr1 import vlm
from skinr1.errors import UserError
from skinr1.training.grpo import barring
from skinr1.training.vllm_rollouts import collapse_pads, expanding_once, mend, placing_the_same
from tests.recipes import runs

from trl.distributed import DistributedBackend  # isort: skip
from trl.generation.vllm_generation import VLLMGeneration  # isort: skip

PAD = 9


@given(ids=st.lists(st.integers(0, 3)))
def test_runs_of_pads_collapse_to_one(ids: list[int]):
    collapsed = collapse_pads(ids, 0)
    assert [token for token in collapsed if token] == [token for token in ids if token]
    assert (0, 0) not in itertools.pairwise(collapsed)
    assert (0 in collapsed) == (0 in ids)


def vllm(tokens: int) -> Any:
    """A stand-in that makes so many tokens of every image, and returns its prompts as vLLM does."""

    def generate(prompts: list[list[int]], images: Any = None) -> tuple[list[list[int]], str]:
        expanded = [[one for token in ids for one in [token] * (tokens if token == PAD else 1)] for ids in prompts]
        return expanded, f"answers about {images}"

    return generate


def test_vllm_expands_the_placeholders_once():
    prompts = [[1, *[PAD] * 4, 2, *[PAD] * 4], [3, *[PAD] * 4]]
    assert expanding_once(vllm(4), PAD)(prompts=prompts, images="two") == (prompts, "answers about two")
    with pytest.raises(UserError, match="vLLM sees 12 image tokens, the trainer 8"):
        expanding_once(vllm(6), PAD)(prompts=prompts)


@pytest.mark.parametrize(("theirs", "agree"), [(4, True), (6, False)])
def test_a_server_must_make_as_many_tokens_as_the_prompt_has(theirs: int, agree: bool):
    generation = VLLMGeneration.__new__(VLLMGeneration)
    generation.processing_class = SimpleNamespace(image_token_id=PAD)
    place = placing_the_same(generation._place_features)
    features = {"mm_placeholders": {"image": [{"offset": 0, "length": theirs}]}, "kwargs": "kept"}
    assert place(None, [1]) is None
    if agree:
        placed = place(features, [1, 2, *[PAD] * 4])
        assert placed == {"mm_placeholders": {"image": [{"offset": 2, "length": 4}]}, "kwargs": "kept"}
    else:
        with pytest.raises(UserError, match=r"vLLM sees \[6\] image tokens, the trainer \[4\]"):
            place(features, [1, 2, *[PAD] * 4])


def test_vllm_takes_the_barred_tokens():
    sampling = pytest.importorskip("vllm.sampling_params", reason="vLLM is not installed")
    asked = sampling.SamplingParams(**barring([5, 6], use_vllm=True))
    asked._validate_logit_bias(SimpleNamespace(get_vocab_size=lambda: 10))
    assert asked.logit_bias == {5: -100.0, 6: -100.0}
    assert barring([5], use_vllm=False) == {"suppress_tokens": [5]}


def syncing(dtype: str, family: str, folder: Path) -> Any:
    """TRL's own object for a policy with an adapter, but for the vLLM in it."""
    model = vlm.add_lora(vlm.load_model(runs.write_base(folder, family), dtype), vlm.LoraArguments(lora_rank=4))
    torch.manual_seed(1)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.05)
    generation = VLLMGeneration.__new__(VLLMGeneration)
    generation.model, generation.mode = model, "colocate"
    generation._dist = DistributedBackend(Accelerator(cpu=True))
    generation.generate = vllm(4)
    return generation


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_what_is_sent_is_what_trl_sends_and_the_policy_stays_as_it_was(dtype: str, family: str, tmp_path: Path):
    generation = syncing(dtype, family, tmp_path)
    before = {name: value.clone() for name, value in generation.model.named_parameters()}
    stock = generation._iter_named_params
    mend(generation, PAD)
    for _ in range(3):
        ours = [(name, value.clone()) for name, value in generation._iter_named_params()]
    assert all(torch.equal(value, before[name]) for name, value in generation.model.named_parameters())
    theirs = [(name, value.clone()) for name, value in stock()]
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    for (name, one), (_, other) in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype and not one.requires_grad
        torch.testing.assert_close(one, other, msg=name)
    base = {name.removeprefix("base_model.model.").replace(".base_layer", ""): value for name, value in before.items()}
    assert sum(not torch.equal(value, base[name]) for name, value in ours) == 2 * 7, "the adapter is in each projection"


def test_another_kind_of_adapter_is_refused(tmp_path: Path):
    generation = syncing("float32", "qwen2_5_vl", tmp_path)
    generation.model.peft_config["default"].use_dora = True
    with pytest.raises(UserError, match="no plain LoRA"):
        mend(generation, PAD)


def test_trl_s_own_sync_drifts(tmp_path: Path):
    """The fault that is mended: when this fails, TRL has mended it too."""
    generation = syncing("bfloat16", "qwen2_5_vl", tmp_path)
    layer = next(module for module in generation.model.modules() if hasattr(module, "lora_A"))
    before = layer.get_base_layer().weight.clone()
    for _ in range(20):
        list(generation._iter_named_params())
    assert not torch.equal(layer.get_base_layer().weight, before)
