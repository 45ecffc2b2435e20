"""Counts against published ones, arithmetic by hand, and a cost page that is up to date."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from skinr1 import doctor
from skinr1.doctor.costs import Workload, costs, markdown
from skinr1.doctor.estimates import (
    ACTIVATION,
    GIB,
    GPUS,
    RESERVE,
    Gpu,
    Plan,
    Speed,
    fits,
    hours,
    memory,
    pairs_of,
    rollout_hours,
    scoring_flops,
    update_flops,
)
from skinr1.doctor.models import Model, model, names
from skinr1.errors import UserError

ROOT = Path(__file__).parents[2]
PUBLISHED = {  # parameters that the checkpoints' pages state
    "Qwen/Qwen2.5-VL-3B-Instruct": 3.75e9,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8.29e9,
    "Qwen/Qwen3-VL-8B-Instruct": 8.77e9,
}
SMALL = Model("small", 1000 * GIB // 2000, 0, 10_000, layers=10, hidden=100, vocabulary=1000, kv_bytes=400)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "recipes").glob("qwen*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_memory_of_every_shipped_recipe_is_told_before_anything_is_trained(path: Path):
    found = doctor.check_recipe(doctor.Arguments(recipe=path), path)
    assert found["total"] > 0 and found["of"] == 80


@pytest.mark.parametrize("name", names())
def test_parameters_are_the_published_ones(name: str):
    assert model(name).parameters == pytest.approx(PUBLISHED[name], rel=0.02)


def test_a_lora_of_the_7b_by_hand():
    """Rank 64 on q, k, v, o, gate, up, down of 28 layers: hidden 3584, keys and values 512, inner 18944."""
    layer = 2 * (3584 + 3584) + 2 * (3584 + 512) + 3 * (3584 + 18944)
    assert model("Qwen/Qwen2.5-VL-7B-Instruct").trainable(64) == 64 * 28 * layer


def test_keys_and_values_by_hand():
    assert model("Qwen/Qwen3-VL-8B-Instruct").kv_bytes == 2 * 2 * 36 * 8 * 128


def test_memory_by_hand():
    plan = Plan(gpus=4, rank=0, tokens=1000, zero=2)
    found = memory(SMALL, plan, GPUS["a100-40"])
    size = SMALL.parameters / GIB
    assert found["weights"] == pytest.approx(2 * size)
    assert found["gradients"] == pytest.approx(2 * size / 4)
    assert found["optimizer"] == pytest.approx(12 * size / 4)
    assert found["activations"] == pytest.approx(1000 * 100 * (2 * 10 + ACTIVATION) / GIB)
    assert found["total"] == pytest.approx(sum(value for name, value in found.items() if name != "total"))
    assert found["reserve"] == RESERVE


def test_what_saves_memory_saves_it():
    plan = Plan(gpus=4, rank=0, tokens=1000, zero=2)
    whole = memory(SMALL, plan, GPUS["a100-40"])
    for better in (
        Plan(gpus=4, rank=0, tokens=1000, zero=3),
        Plan(gpus=4, rank=0, tokens=1000, offload=True),
        Plan(gpus=8, rank=0, tokens=1000),
        Plan(gpus=4, rank=8, tokens=1000),
    ):
        assert memory(SMALL, better, GPUS["a100-40"])["total"] < whole["total"]
    assert memory(SMALL, Plan(4, 0, 1000, checkpointing=False), GPUS["a100-40"])["total"] > whole["total"]


def test_operations_by_hand():
    """A row of 10 tokens, whose 10 x 10 pairs see each other in one direction."""
    parameters, pairs = SMALL.parameters, 10 * 10 / 2
    attention = 4 * 10 * 100 * pairs
    assert pairs_of(10, 0, 0) == pairs
    assert pairs_of(10, 3, 4) == pairs + 3 * (4 * 10 + 4 * 4 / 2)
    assert update_flops(SMALL, 10, pairs, rank=0, checkpointing=False) == 6 * parameters * 10 + 3 * attention
    assert update_flops(SMALL, 10, pairs, rank=0, checkpointing=True) == 8 * parameters * 10 + 4 * attention
    assert update_flops(SMALL, 10, pairs, rank=1) == 6 * parameters * 10 + 2 * 10_000 * 10 + 4 * attention
    assert scoring_flops(SMALL, 10, pairs, 2) == 2 * (2 * parameters * 10 + attention)
    assert hours(7.2e12, 2, Gpu(1, 1e9, 1), Speed(training=0.5)) == 2


def test_vllm_must_hold_the_weights_in_its_share():
    """15.4 GiB of the 7B do not go into 35 % of 40 GiB, though all together would fit."""
    made, plan = model("Qwen/Qwen2.5-VL-7B-Instruct"), Plan(8, 64, 3800, rollout_share=0.35)
    assert memory(made, plan, GPUS["a100-40"])["total"] <= 40
    assert not fits(made, plan, GPUS["a100-40"])
    assert fits(made, replace(plan, rollout_parts=2), GPUS["a100-40"]) and fits(made, plan, GPUS["h100-80"])


def test_a_model_trained_whole_needs_its_reference_beside_it():
    size = SMALL.parameters / GIB
    for rank, more in ((0, 2 * size), (8, 0.0)):
        with_it, without = (
            memory(SMALL, Plan(1, rank, 10, reference=reference), GPUS["h100-80"])["weights"]
            for reference in (True, False)
        )
        assert with_it - without == pytest.approx(more)


def test_rollouts_by_hand():
    """One prompt, one answer: the weights and the cache are read once a token."""
    gpu, speed = GPUS["h100-80"], Speed(prefill=0.5, decoding=0.5)
    hours = rollout_hours(SMALL, 1, 100, 1, 50, Plan(1, 8, 1, rollout_share=0.9), gpu, speed)
    prefill = 2 * SMALL.parameters * 100 / (gpu.flops * 0.5)
    decode = 50 * (2 * SMALL.parameters + 400 * 125) / (gpu.bandwidth * 0.5)
    assert hours == pytest.approx((prefill + decode) / 3600)


def test_more_gpus_take_fewer_hours_and_never_other_work():
    found = costs("h100-80", Workload())
    for name in names():
        for stage in ("SFT", "GRPO"):
            rows = [cost for cost in found if (cost.model, cost.stage) == (name, stage)]
            assert [row.gpus for row in rows] == [1, 2, 4, 8]
            assert sorted((row.hours for row in rows), reverse=True) == [row.hours for row in rows]
            assert len({row.flops for row in rows}) == 1


def test_the_cost_page_is_up_to_date():
    page = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
    assert page == markdown("h100-80", Workload()), "write it anew: skinr1 doctor --costs true --format markdown"


@pytest.mark.parametrize("recipe", ["qwen2_5_vl_7b/sft", "qwen2_5_vl_7b/grpo", "qwen3_vl_8b/sft", "qwen3_vl_8b/grpo"])
def test_shipped_recipes_fit_eight_h100(recipe: str, capsys: pytest.CaptureFixture[str]):
    base = names()[1] if "2_5" in recipe else names()[2]
    doctor.main(["--recipe", str(ROOT / "recipes" / f"{recipe}.yaml"), "--model", base, "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert 15 < found["total"] < found["of"] == 80


def test_versions_and_programs_are_told(capsys: pytest.CaptureFixture[str]):
    doctor.main(["--format", "json"])
    found = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["trl"]["state"] == "ok" and found["trl"]["wanted"] == "<1.17,>=1.16"
    assert found["python"]["state"] == "ok" and "nvidia-smi" in found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recipe", "nowhere.yaml"], "recipe not found"),
        (["--recipe", str(ROOT / "recipes" / "serve" / "tiny.yaml")], "no training recipe"),
        (["--recipe", str(ROOT / "recipes" / "tiny" / "sft.yaml")], "shapes of this model are not known"),
        (["--costs", "true", "--gpu", "abacus"], "unknown GPU"),
        (["--format", "markdown"], "unknown format"),
    ],
)
def test_bad_options_are_one_line(options: list[str], message: str):
    with pytest.raises(UserError, match=message) as error:
        doctor.main(options)
    assert "\n" not in str(error.value)


def test_a_file_beside_a_recipe_that_is_no_yaml_is_one_line(tmp_path: Path):
    recipe = tmp_path / "sft.yaml"
    recipe.write_text("model: Qwen/Qwen2.5-VL-7B-Instruct\nper_device_train_batch_size: 1\n")
    (tmp_path / "list.yaml").write_text("[1, 2]")  # no recipe, and no fault
    assert doctor.recipe_plan(recipe)[0] == "Qwen/Qwen2.5-VL-7B-Instruct"
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(UserError, match="not readable as YAML"):
        doctor.recipe_plan(recipe)
