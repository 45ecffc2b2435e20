"""Shared-prefix scoring gives TRL's own numbers: log-probabilities, entropies, gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch

from skinr1.errors import UserError
from skinr1.training import shared_prefix
from skinr1.training.grpo import SkinGRPOTrainer
from tests.recipes import runs
from tests.skinr1.policies import CASES, batch, relative, trainer


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.write_base(tmp_path_factory.mktemp(request.param) / "base", request.param)


def both(maker: SkinGRPOTrainer, inputs: dict[str, Any], gradients: bool = True, **options: Any):
    """(log-probabilities, entropies, gradients of a weighted sum) of the stock way and of ours."""
    results = []
    for shared in (False, True):
        maker.args.shared_prefix = shared
        maker.model.zero_grad()
        logps, entropies, _ = maker._get_per_token_logps_and_entropies(
            maker.model, **inputs, compute_entropy=True, **options
        )
        assert entropies is not None
        found: dict[str, torch.Tensor] = {}
        if gradients:
            weights = torch.linspace(-1, 1, logps.numel()).view_as(logps)
            (logps * weights + 0.1 * entropies.detach()).sum().backward()
            found = {n: p.grad.clone() for n, p in maker.model.named_parameters() if p.grad is not None}
        results.append((logps.detach(), entropies.detach(), found))
    return results


@pytest.mark.parametrize("name", CASES)
def test_equal_to_stock(base: Path, tmp_path: Path, name: str):
    maker = trainer(base, tmp_path)
    inputs = batch(maker.processing_class, *CASES[name])
    stock, ours = both(maker, inputs)
    assert torch.allclose(ours[0], stock[0], atol=1e-5, rtol=0)
    assert torch.allclose(ours[1], stock[1], atol=1e-5, rtol=0)
    assert relative(ours[2], stock[2]) < 1e-5
    masked = inputs["attention_mask"][:, -inputs["logits_to_keep"] :] == 0
    assert (ours[0][masked] == 0).all()
    assert (ours[0][~masked] < 0).all()


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({"lora": False}, 1e-5),
        ({"gradient_checkpointing": True}, 1e-5),
        ({"lora": False, "gradient_checkpointing": True}, 1e-5),
        ({"bf16": True}, 0.1),
    ],
    ids=str,
)
def test_equal_in_every_setting(base: Path, tmp_path: Path, options: dict[str, Any], tolerance: float):
    maker = trainer(base, tmp_path, **options)
    stock, ours = both(maker, batch(maker.processing_class, *CASES["several images"]))
    assert torch.allclose(ours[0], stock[0], atol=tolerance, rtol=0)
    assert relative(ours[2], stock[2]) < tolerance


def test_passes_of_limited_size(base: Path, tmp_path: Path):
    """Old and reference log-probabilities are computed some samples at a time, without gradient."""
    maker = trainer(base, tmp_path)
    inputs = batch(maker.processing_class, *CASES["images of different size"])
    with torch.no_grad():
        whole, _ = both(maker, inputs, gradients=False)
        _, parts = both(maker, inputs, gradients=False, batch_size=4)
    assert torch.allclose(parts[0], whole[0], atol=1e-5, rtol=0)


def test_a_cut_completion_counts_for_nothing(base: Path, tmp_path: Path):
    """mask_truncated_completions zeroes the whole attention of a completion."""
    maker = trainer(base, tmp_path)
    inputs = batch(maker.processing_class, *CASES["one group"])
    inputs["attention_mask"][1, -inputs["logits_to_keep"] :] = 0
    stock, ours = both(maker, inputs)
    assert torch.allclose(ours[0], stock[0], atol=1e-5, rtol=0)
    assert (ours[0][1] == 0).all()


def test_one_copy_of_prompt_and_images(base: Path, tmp_path: Path):
    maker = trainer(base, tmp_path)
    inputs = batch(maker.processing_class, *CASES["shuffled"])
    width = inputs.pop("logits_to_keep")
    made = shared_prefix.Batch(completion_length=width, **inputs)
    packed = shared_prefix.pack(made, maker.model)
    assert shared_prefix.find_groups(made) == [[0, 3], [1, 5], [2, 4]]  # two prompts alike but for their pixels
    assert packed.inputs["image_grid_thw"].size(0) == 1 + 1 + 2
    prompt = made.attention_mask[:, : made.prompt_length].sum(dim=1)
    answers = made.attention_mask[:, made.prompt_length :].sum(dim=1)
    assert packed.labels.shape == (1, int(sum(prompt[index] - 1 for index in (0, 1, 2)) + answers.sum()))
    assert (packed.labels != -100).sum() == answers.sum()


def test_unknown_inputs_are_refused(base: Path, tmp_path: Path):
    maker = trainer(base, tmp_path)
    inputs = batch(maker.processing_class, *CASES["text only"])
    with pytest.raises(UserError, match="pixel_attention_mask"):
        maker._get_per_token_logps_and_entropies(maker.model, **inputs, pixel_attention_mask=torch.ones(1))
