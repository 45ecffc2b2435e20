"""Rollouts from one prefill a prompt: the tokens that the usual way gives."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.cache_utils import DynamicLayer

from skinr1.training import rollouts
from tests.recipes import runs
from tests.skinr1.policies import CASES, batch, trainer


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.write_base(tmp_path_factory.mktemp(request.param) / "base", request.param)


def prompts_of(inputs: dict[str, Any]) -> dict[str, Any]:
    """The prompts of a batch, as TRL hands them to ``generate``."""
    width = inputs["input_ids"].size(1) - inputs["logits_to_keep"]
    names = ("input_ids", "attention_mask", "mm_token_type_ids")
    columns = {name: inputs[name][:, :width] for name in names if inputs.get(name) is not None}
    images = {name: inputs[name] for name in ("pixel_values", "image_grid_thw") if inputs[name] is not None}
    return columns | images


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_same_tokens_as_stock(base: Path, tmp_path: Path, name: str, temperature: float):
    maker = trainer(base, tmp_path, shared_prefix=False)
    policy = maker.model
    config = maker.generation_config
    config.update(max_new_tokens=12, do_sample=temperature > 0, temperature=temperature or None, eos_token_id=None)
    given = prompts_of(batch(maker.processing_class, *CASES[name]))
    found = []
    for generate in (policy.generate, rollouts.share_prompts(policy)):
        torch.manual_seed(5)
        with torch.no_grad():
            found.append(generate(**given, generation_config=config))
    width = given["input_ids"].size(1)
    assert found[0].shape == (given["input_ids"].size(0), width + 12)
    assert torch.equal(found[0], found[1])
    assert len({tuple(row.tolist()) for row in found[0][:, width:]}) > 1 or temperature == 0


def test_a_cache_with_room_holds_what_one_without_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rollouts, "BLOCK", 3)
    draw = torch.Generator().manual_seed(0)
    first = [torch.randn(2, 1, 4, 5, generator=draw) for _ in range(2)]
    roomy, plain = rollouts.RoomyLayer(*first), DynamicLayer()
    plain.update(*first)
    for tokens in (1, 1, 2, 1, 5, 1):  # grows thrice
        more = [torch.randn(2, 1, tokens, 5, generator=draw) for _ in range(2)]
        for ours, theirs in zip(roomy.update(*more), plain.update(*more), strict=True):
            assert torch.equal(ours, theirs)
        assert roomy.get_seq_length() == plain.get_seq_length()
    assert torch.equal(first[0], roomy.keys[..., :4, :])


def test_prompts_and_images_go_through_once(base: Path, tmp_path: Path):
    maker = trainer(base, tmp_path, shared_prefix=False)
    given = prompts_of(batch(maker.processing_class, *CASES["shuffled"]))
    seen: list[tuple[int, int]] = []
    tower = next(module for name, module in maker.model.named_modules() if name.endswith("visual"))
    tower.register_forward_hook(
        lambda module, args, kwargs, output: seen.append(tuple(kwargs["grid_thw"].shape)), with_kwargs=True
    )
    maker.generation_config.update(max_new_tokens=3)
    rollouts.share_prompts(maker.model)(**given, generation_config=maker.generation_config)
    assert seen == [(4, 3)], "three prompts with four images between them"


def adapted(maker: Any) -> list[torch.Tensor]:
    """The weights that the adapter changes."""
    found = [m.get_base_layer().weight for m in maker.model.modules() if isinstance(m, rollouts.BaseTunerLayer)]
    assert found
    return found


def merged_layers(maker: Any) -> int:
    return sum(m.merged for m in maker.model.modules() if isinstance(m, rollouts.BaseTunerLayer))


def test_sampling_from_merged_weights_leaves_them_as_they_were(base: Path, tmp_path: Path):
    maker = trainer(base, tmp_path, shared_prefix=False)
    before = [weight.clone() for weight in adapted(maker)]
    seen: list[int] = []
    maker.model.register_forward_pre_hook(lambda *_: seen.append(merged_layers(maker)))
    maker.generation_config.update(max_new_tokens=3)
    given = prompts_of(batch(maker.processing_class, *CASES["one group"]))
    for _ in range(3):
        rollouts.share_prompts(maker.model)(**given, generation_config=maker.generation_config)
    assert set(seen) == {len(before)}
    assert all(torch.equal(old, new) for old, new in zip(before, adapted(maker), strict=True))
    assert merged_layers(maker) == 0
    with pytest.raises(KeyboardInterrupt), rollouts.merged(maker.model):
        assert not torch.equal(before[0], adapted(maker)[0])
        raise KeyboardInterrupt
    assert all(torch.equal(old, new) for old, new in zip(before, adapted(maker), strict=True))
    assert merged_layers(maker) == 0


def test_only_the_adapter_in_use_is_merged(base: Path, tmp_path: Path):
    """Beside it TRL keeps the reference policy's."""
    maker = trainer(base, tmp_path, shared_prefix=False)
    maker.model.add_adapter("ref", maker.model.peft_config["default"])
    maker.model.set_adapter("default")
    with rollouts.merged(maker.model):
        layers = [m for m in maker.model.modules() if isinstance(m, rollouts.BaseTunerLayer)]
        assert {tuple(layer.merged_adapters) for layer in layers} == {("default",)}


@pytest.mark.parametrize("kind", ["16 bits", "split"])
def test_weights_that_cannot_be_merged_stay(base: Path, tmp_path: Path, kind: str):
    maker = trainer(base, tmp_path, shared_prefix=False, dtype="bfloat16" if kind == "16 bits" else "float32")
    if kind == "split":
        adapted(maker)[0].ds_id = 0  # DeepSpeed's mark of a parameter that ZeRO-3 splits
    with rollouts.merged(maker.model):
        assert merged_layers(maker) == 0


@pytest.mark.parametrize("bf16", [False, True])
def test_a_trainer_that_computes_in_16_bits_does_not_merge(base: Path, tmp_path: Path, bf16: bool):
    maker = trainer(base, tmp_path, bf16=bf16)
    seen: list[int] = []
    maker.model.register_forward_pre_hook(lambda *_: seen.append(merged_layers(maker)))
    maker.generation_config.update(max_new_tokens=2)
    given = prompts_of(batch(maker.processing_class, *CASES["one group"]))
    maker.model.generate(**given, generation_config=maker.generation_config)
    assert (max(seen) == 0) is bf16
