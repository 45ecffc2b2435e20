"""docs/rewards.md says what the code does."""

from pathlib import Path

from skinr1.rewards import PRESETS, REWARDS
from skinr1.rewards.condition import COST

PAGE = (Path(__file__).parents[2] / "docs" / "rewards.md").read_text(encoding="utf-8")


def test_every_reward_and_every_weight_is_on_the_page():
    assert [line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `")] == [*REWARDS, *PRESETS]
    for preset, weights in PRESETS.items():
        listed = ", ".join(f"`{name}` {weight:g}" for name, weight in weights.items())
        assert f"| `{preset}` | {listed} |" in PAGE


def test_the_costs_are_on_the_page():
    order = ("benign", "indeterminate", "malignant", "non_neoplastic")
    costs = {truth.value: {said.value: cost for said, cost in row.items()} for truth, row in COST.items()}
    for truth in order:
        numbers = " | ".join(f"{costs[truth][said]:g}" for said in order)
        assert f"| {truth.replace('_', '-')} | {numbers} |" in PAGE
