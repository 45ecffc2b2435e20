"""Concept directions, probe, occlusion: planted truths are found, chance is not; the model's side on both families."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import ttest_ind
from sklearn.metrics import roc_auc_score

from skinr1 import prompts, vlm
from skinr1.errors import UserError
from skinr1.interpret import occlusion, tcav
from skinr1.interpret.probe import probe
from skinr1.interpret.scorer import Phrase, Scorer
from tests.recipes import runs

WIDTH = 48


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def scorer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    folder: Path = runs.write_base(tmp_path_factory.mktemp(request.param) / "base", request.param)
    return Scorer(vlm.load_model(folder), vlm.load_processor(folder), batch=3)


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (96, 96, 3), dtype=np.uint8))


PHRASE = Phrase.first(runs.answer(runs.NEVUS), "brown colour")


def test_log_probabilities_are_those_of_the_whole_text(scorer: Scorer) -> None:
    """Against the plain way: the whole answer through the model, the phrase's tokens summed."""
    found = scorer.log_probabilities(prompts.REPORT_QUESTION, [[picture(n)] for n in range(4)], PHRASE)
    text = scorer.processor.apply_chat_template(
        prompts.messages(prompts.REPORT_QUESTION, 1), tokenize=False, add_generation_prompt=True
    )
    for seed, value in enumerate(found):
        inputs = scorer.processor(text=[text + PHRASE.text], images=[picture(seed)], return_tensors="pt")
        with torch.no_grad():
            logits = scorer.model(**inputs).logits[0].log_softmax(-1)
        ids = inputs["input_ids"][0]
        pieces = [scorer.processor.tokenizer.decode([token]) for token in ids]
        begin = next(at for at in range(len(ids)) if "brown colour" in pieces[at])
        assert value == pytest.approx(float(logits[begin - 1, ids[begin]]), abs=1e-4)
    assert len(set(found.round(6))) == 4  # the picture matters


def test_the_gradient_is_the_slope_of_the_log_probability(scorer: Scorer) -> None:
    """Adding a small step to every token of the layer changes the value by the step's dot product."""
    layer = scorer.check_layer(-1)
    value, slope = scorer.gradient(prompts.REPORT_QUESTION, [picture(1)], PHRASE, layer)
    (plain,) = scorer.log_probabilities(prompts.REPORT_QUESTION, [[picture(1)]], PHRASE)
    assert value == pytest.approx(plain, abs=1e-4)
    step = torch.tensor(slope / np.linalg.norm(slope), dtype=torch.float32) * 0.02
    moved = []
    for sign in (1, -1):
        handle = scorer.visual.blocks[layer].register_forward_hook(lambda m, i, out, sign=sign: out + sign * step)
        moved += scorer.log_probabilities(prompts.REPORT_QUESTION, [[picture(1)]], PHRASE).tolist()
        handle.remove()
    assert moved[0] - moved[1] == pytest.approx(2 * 0.02 * np.linalg.norm(slope), rel=0.02)


def test_an_embedding_is_the_mean_over_all_tokens_of_all_pictures(scorer: Scorer) -> None:
    one, other = (scorer.embedding([picture(seed)], 1) for seed in (1, 2))
    assert scorer.embedding([picture(1), picture(2)], 1) == pytest.approx((one + other) / 2, abs=1e-4)
    rows, columns, side = scorer.grid(picture(1))
    assert (rows * side, columns * side) in {(84, 84), (112, 112), (96, 96)}


def test_a_wrong_layer_and_an_unsaid_word_are_refused(scorer: Scorer) -> None:
    with pytest.raises(UserError, match="no such layer"):
        scorer.check_layer(2)
    with pytest.raises(UserError, match="does not say this"):
        Phrase.first(PHRASE.text, "zebra stripes")


def world(seed: int, cases: int = 240) -> tuple[tcav.Pool, dict[str, np.ndarray], np.ndarray]:
    """Activations in which one sign is the first axis, another the second; the class rises along the first and falls
    along the second. Two pictures a patient."""
    chance = np.random.default_rng(seed)
    flags = {
        name: np.repeat(chance.random(cases // 2) < 0.3, 2) for name in ("causal", "contrary", "idle", "dealt out")
    }
    activations = chance.normal(size=(cases, WIDTH))
    for axis, name in enumerate(("causal", "contrary", "idle")):
        activations[:, axis] += 3 * flags[name]
    gradients = chance.normal(size=(60, WIDTH)) * 0.5
    gradients[:, 0] += 1
    gradients[:, 1] -= 1
    gradients[:, 2] = chance.normal(size=60) * 0.5
    return tcav.Pool(activations, np.repeat([f"p{n}" for n in range(cases // 2)], 2)), flags, gradients


def test_planted_concepts_are_found_and_random_ones_are_not() -> None:
    pool, flags, gradients = world(3)
    found = {one.name: one for one in tcav.concept_scores(tcav.learn(flags, pool), gradients, tests=4)}
    assert found["causal"].verdict == tcav.RAISES and found["causal"].score[0] > 0.9
    assert found["contrary"].verdict == tcav.LOWERS and found["contrary"].score[0] < 0.1
    assert found["dealt out"].verdict == tcav.NO_DIRECTION
    assert found["causal"].p_adjusted == pytest.approx(min(1, 4 * found["causal"].p))
    alarms, tried = tcav.false_alarms(tcav.dealt_out(72, pool), gradients, tests=4)
    assert tried == tcav.PSEUDO and alarms <= 2


def test_tcav_is_deterministic_and_asks_for_thirty_rounds() -> None:
    pool, flags, gradients = world(5)
    one = {"causal": flags["causal"]}
    first, second = (tcav.concept_scores(tcav.learn(one, pool), gradients, 1) for _ in range(2))
    assert first == second
    with pytest.raises(UserError, match="too few random sets"):
        tcav.learn(one, pool, rounds=29)
    with pytest.raises(UserError, match="too few patients"):
        tcav.learn({"rare": np.arange(240) < 3}, pool)
    with pytest.raises(UserError, match="no picture to take gradients on"):
        tcav.concept_scores(tcav.learn(one, pool), np.zeros((0, WIDTH)), 1)


def test_the_test_is_scipys_welch() -> None:
    one, other = np.random.default_rng(3).random(30), np.random.default_rng(4).random(30) + 0.2
    assert tcav._welch(one, other) == pytest.approx(ttest_ind(one, other, equal_var=False).pvalue)
    assert tcav._welch(np.ones(30), np.ones(30)) == 1 and tcav._welch(np.ones(30), np.zeros(30)) == 0


@given(values=st.lists(st.integers(0, 5), min_size=4, max_size=30), cut=st.integers(1, 3))
def test_auroc_is_scikit_learns(values: list[int], cut: int) -> None:
    numbers = np.array(values, dtype=float)
    truth = np.arange(len(values)) < cut
    assert tcav._auroc(numbers[truth], numbers[~truth]) == pytest.approx(roc_auc_score(truth, numbers))


def test_the_probe_reads_out_what_is_linear_and_nothing_else() -> None:
    chance = np.random.default_rng(1)
    labels = chance.integers(0, 3, 200)
    seen = chance.normal(size=(200, WIDTH))
    seen[np.arange(200), labels] += 4
    groups = [f"p{n // 2}" for n in range(200)]
    names = [f"c{label}" for label in labels]
    found = probe(seen[:120], names[:120], groups[:120], seen[120:])
    said = [found.classes[at] for at in found.probabilities.argmax(axis=1)]
    assert np.mean([a == b for a, b in zip(said, names[120:], strict=True)]) > 0.9
    noise = probe(chance.normal(size=(120, WIDTH)), names[:120], groups[:120], chance.normal(size=(80, WIDTH)))
    said = [noise.classes[at] for at in noise.probabilities.argmax(axis=1)]
    assert np.mean([a == b for a, b in zip(said, names[120:], strict=True)]) < 0.55
    with pytest.raises(UserError, match="too little to train"):
        probe(seen[:4], names[:4], groups[:4], seen)


def planted(spot: tuple[int | slice, int | slice]) -> occlusion.Score:
    """A model that looks at one cell (or patch) only, and a little at everything."""

    def score(masks):
        return np.array([-5.0 * np.mean(mask[spot]) - mask.mean() for mask in masks])

    return score


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(2, 6), columns=st.integers(2, 6), data=st.data())
def test_the_planted_cell_gets_the_heat(rows: int, columns: int, data: st.DataObject) -> None:
    spot = (data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1)))
    base, heat = occlusion.heat_map(planted(spot), (rows, columns))
    assert base == 0 and heat.shape == (rows, columns)
    assert heat[spot] == heat.max() > 5
    assert occlusion.heat_map(planted(spot), (rows, columns), window=1)[1].argmax() == (spot[0] * columns + spot[1])


def test_a_true_map_is_faithful_and_a_made_up_one_is_not() -> None:
    score = planted((slice(2, 4), slice(3, 5)))
    _, heat = occlusion.heat_map(score, (6, 6))
    assert occlusion.faithfulness(score, heat).faithful
    wrong = np.zeros((6, 6))
    wrong[0, 0] = 1
    found = occlusion.faithfulness(score, wrong)
    assert not found.faithful
    assert found.deletion[0] == found.insertion[-1] == 0
    assert found.deletion[-1] == found.insertion[0] == pytest.approx(-6)


def test_hiding_fills_cells_with_the_median_colour() -> None:
    plain = Image.new("RGB", (8, 4), (200, 150, 120))
    plain.paste((10, 10, 10), (0, 0, 2, 2))
    mask = np.array([[True, False, False, False], [False, False, False, False]])
    hidden = np.asarray(occlusion.hide(plain, mask, 2))
    assert (hidden == (200, 150, 120)).all()
    assert (np.asarray(occlusion.hide(plain, ~mask, 2))[:2, :2] == 10).all()
