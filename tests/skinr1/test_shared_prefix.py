"""Shared-prefix scoring gives TRL's own numbers: log-probabilities, entropies, gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skinr1.errors import UserError
from skinr1.training import packing, shared_prefix
from skinr1.training.grpo import SkinGRPOTrainer
from tests.recipes import runs
from tests.skinr1.policies import CASES, batch, trainer

from transformers import PretrainedConfig, PreTrainedModel  # isort: skip


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


def relative(ours: dict[str, torch.Tensor], stock: dict[str, torch.Tensor]) -> float:
    assert ours.keys() == stock.keys()
    assert stock, "nothing got a gradient"
    difference = sum(((ours[n] - stock[n]).double() ** 2).sum() for n in stock)
    return float((difference / sum((stock[n].double() ** 2).sum() for n in stock)) ** 0.5)


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


def test_equal_under_eager_attention(base: Path, tmp_path: Path):
    maker = trainer(base, tmp_path)
    maker.model.get_base_model().set_attn_implementation("eager")
    stock, ours = both(maker, batch(maker.processing_class, *CASES["several images"]))
    assert torch.allclose(ours[0], stock[0], atol=1e-5, rtol=0)
    assert relative(ours[2], stock[2]) < 1e-5


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
    made = shared_prefix.completions(length=width, **inputs)
    packed = packing.pack(made, maker.model, 0)
    assert packing.find_groups(made) == [[0, 3], [1, 5], [2, 4]]  # two prompts alike but for their pixels
    assert packed.inputs["image_grid_thw"].size(0) == 1 + 1 + 2
    prompt, answers = made.in_prompt.sum(dim=1), made.in_answer.sum(dim=1)
    longest = max(int(prompt[g[0]]) - 1 + int(answers[g].sum()) for g in ([0, 3], [1, 5], [2, 4]))
    assert packed.labels.shape == (3, longest)  # the two short ones do not fit into one row
    assert (packed.labels != -100).sum() == answers.sum()


def test_unknown_inputs_are_refused(base: Path, tmp_path: Path):
    maker = trainer(base, tmp_path)
    inputs = batch(maker.processing_class, *CASES["text only"])
    with pytest.raises(UserError, match="pixel_attention_mask"):
        maker._get_per_token_logps_and_entropies(maker.model, **inputs, pixel_attention_mask=torch.ones(1))


PLACES = st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 3)), min_size=1, max_size=12)


@settings(max_examples=50, deadline=None)
@given(PLACES)
def test_mask_says_who_sees_whom(places: list[tuple[int, int]]):
    """Against the sentence it is made from: what came before in one's own segment, and all of one's block's prompt."""
    blocks, segments = (torch.tensor([column]) for column in zip(*places, strict=True))
    seen = packing.attention_mask(blocks, segments, policy("sdpa"))[0, 0]
    for query, (block, segment) in enumerate(places):
        for key, (other_block, other) in enumerate(places):
            assert bool(seen[query, key]) == (key <= query and block == other_block and other in (segment, 0))


def policy(kind: str) -> Any:
    """The least that has a kind of attention."""

    class Policy(PreTrainedModel):
        config_class = PretrainedConfig

        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.config = PretrainedConfig()
            self.config._attn_implementation_internal = kind

    return Policy()


def test_flex_attention_gets_the_same_mask():
    from torch.nn.attention.flex_attention import create_mask

    draw = torch.Generator().manual_seed(1)
    blocks = torch.randint(0, 3, (2, 160), generator=draw).sort().values
    segments = torch.randint(0, 3, (2, 160), generator=draw)
    mask = packing.attention_mask(blocks, segments, policy("flex_attention"))
    dense = create_mask(mask.mask_mod, 2, 1, 160, 160, device="cpu")
    assert torch.equal(dense, packing.attention_mask(blocks, segments, policy("sdpa")))


def test_flash_attention_is_refused():
    with pytest.raises(UserError, match="flash_attention_2"):
        packing.attention_mask(torch.zeros(1, 2), torch.zeros(1, 2), policy("flash_attention_2"))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_rows_hold_every_block_once_and_none_is_wider_than_the_widest_block(widths: list[int]):
    rows = packing.fill(widths)
    assert sorted(number for row in rows for number in row) == list(range(len(widths)))
    totals = [sum(widths[number] for number in row) for row in rows]
    assert max(totals) <= max(widths)
    half = [total for total in totals if 2 * total <= max(widths)]
    assert len(half) <= 1, "two rows could have been one"
