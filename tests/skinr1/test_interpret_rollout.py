"""Attention rollout: by hand, along windows, and through the real attention of both families."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skinr1 import prompts, vlm
from skinr1.interpret import occlusion
from skinr1.interpret.rollout import (
    down_the_tower,
    layers_of,
    recorded,
    rolled,
    rollout_map,
    tower_order,
    window_order,
)
from skinr1.interpret.scorer import Phrase, Scorer
from tests.recipes import runs

PHRASE = Phrase.first(runs.answer(runs.NEVUS), "brown colour")


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def scorer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    folder: Path = runs.write_base(tmp_path_factory.mktemp(request.param) / "base", request.param)
    return Scorer(vlm.load_model(folder), vlm.load_processor(folder), batch=8)


def picture(seed: int, side: int = 112) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8))


def test_two_layers_by_hand() -> None:
    """Half stays, half goes where attention leads: from 0 to 1 in the upper layer, from 1 to 0 in the lower."""
    upper, lower = np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    assert rolled(np.array([1.0, 0.0]), [lower, upper]).tolist() == [0.75, 0.25]
    assert rolled(np.array([0.0, 1.0]), [lower, upper]).tolist() == [0.5, 0.5]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
def test_windows_hold_each_cell_once(rows: int, columns: int, window: int) -> None:
    order = window_order(rows, columns, window)
    assert sorted(order.tolist()) == list(range(rows * columns))
    first = [divmod(int(cell), columns) for cell in order[: min(window, rows) * min(window, columns)]]
    assert max(row for row, _ in first) < window and max(column for _, column in first) < window


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (8, 8), (5, 9)])
def test_windows_are_those_of_transformers(rows: int, columns: int) -> None:
    vision_utils = pytest.importorskip("transformers.vision_utils")
    grid = torch.tensor([[1, 2 * rows, 2 * columns]])
    theirs, _ = vision_utils.get_vision_window_index(grid, spatial_merge_size=2, window_size=112, patch_size=14)
    assert theirs.tolist() == window_order(rows, columns, 4).tolist()


def test_a_window_keeps_its_attention_to_itself() -> None:
    """Two windows of two tokens of two patches each; in the tower the order of the tokens is 0, 2, 1, 3."""
    window = np.full((4, 4), 0.25)
    (layer,) = layers_of([("one", window), ("one", window)], 8)
    found = down_the_tower(np.array([1.0, 0.0, 0.0, 0.0]), [layer], np.array([0, 2, 1, 3]))
    assert found.tolist() == [0.75, 0.0, 0.25, 0.0]
    assert layers_of([("one", window), ("one", window)], 4)[0].shape == (4, 4)  # the second is another picture's


def test_recording_changes_no_answer_and_sees_every_layer(scorer: Scorer) -> None:
    plain = scorer.log_probabilities(prompts.REPORT_QUESTION, [[picture(1)]], PHRASE)
    text = next(module for name, module in scorer.model.named_modules() if name.endswith("language_model"))
    with recorded(scorer.visual.config, text.config) as calls:
        again = scorer.log_probabilities(prompts.REPORT_QUESTION, [[picture(1)]], PHRASE)
    assert again == pytest.approx(plain, abs=1e-4)
    assert len({id(module) for module, _ in calls}) == len(scorer.visual.blocks) + len(text.layers)
    assert all(np.allclose(attention.sum(axis=1), 1, atol=1e-4) for _, attention in calls)
    before = len(calls)
    assert scorer.log_probabilities(prompts.REPORT_QUESTION, [[picture(1)]], PHRASE) == pytest.approx(plain, abs=1e-6)
    assert len(calls) == before


def test_a_map_is_of_the_first_picture_and_an_even_share_is_one(scorer: Scorer) -> None:
    rows, columns, _ = scorer.grid(picture(1))
    alone, beside = (
        rollout_map(scorer, prompts.REPORT_QUESTION, [picture(1), *more], PHRASE) for more in ([], [picture(2)])
    )
    for found in (alone, beside):
        assert found.shape == (rows, columns) and found.mean() == pytest.approx(1) and found.min() > 0
    assert sorted(tower_order(scorer, rows, columns).tolist()) == list(range(rows * columns))


def test_layers_with_windows_lead_nowhere_else(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one corner of a picture of several windows, one layer at a time; the second of Qwen2.5-VL has none."""
    budget = scorer.processor.image_processor.size
    monkeypatch.setattr(scorer.processor.image_processor, "size", budget)  # put back at the end
    vlm.set_pixel_budget(scorer.processor, 64)
    monkeypatch.setattr(scorer.visual, "fullatt_block_indexes", [1], raising=False)
    rows, columns, side = scorer.grid(picture(1, 256))
    with recorded(scorer.visual.config) as calls:
        scorer.embedding([picture(1, 256)], 0)
    order = tower_order(scorer, rows, columns)
    corner = np.zeros(rows * columns)
    corner[0] = 1
    reached = [
        np.argwhere(down_the_tower(corner, [layer], order).reshape(rows, columns) > 0).max()
        for layer in layers_of(calls, rows * columns * 4)
    ]
    window, edge = getattr(scorer.visual.config, "window_size", None), max(rows, columns) - 1
    assert edge > 4 and reached == [edge if window is None else window // side - 1, edge]


def test_known_curves_of_chance_save_their_scores() -> None:
    asked = []

    def score(masks):
        asked.append(len(masks))
        return np.array([-float(mask[0, 0]) for mask in masks])

    heat = np.zeros((3, 3))
    heat[0, 0] = 1
    random = occlusion.by_chance(score, (3, 3))
    assert occlusion.faithfulness(score, heat, random).p_deletion == occlusion.faithfulness(score, heat).p_deletion
    assert asked == [600, 20, 600, 20]
