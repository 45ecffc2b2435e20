"""Named rewards with weights, behind TRL's signature ``(prompts, completions, **columns) -> list[float]``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from skinr1.errors import UserError
from skinr1.report import Answer, InvalidAnswer, parse
from skinr1.rewards.scores import Truth, condition_score, format_score, path_credit
from skinr1.taxonomy import Bucket, Taxonomy

Score = Callable[[Answer | None, Truth, Taxonomy], float]


@dataclass(frozen=True)
class Reward:
    """A score and its weight in the sum; weight 0 makes it a metric."""

    name: str
    score: Score
    weight: float


PRESETS: dict[str, tuple[Reward, ...]] = {
    # Skin-R1: R = R_format + 0.75 i*/L + 0.25 [condition right]; at most 2.
    "skin_r1": (
        Reward("format", lambda answer, truth, tree: format_score(answer), 1.0),
        Reward("hierarchy", path_credit, 0.75),
        Reward("condition", lambda answer, truth, tree: condition_score(answer, truth), 0.25),
    ),
}


def total(answer: Answer | None, truth: Truth, taxonomy: Taxonomy, preset: str = "skin_r1") -> float:
    """Weighted sum of a preset for one answer."""
    return sum(reward.weight * reward.score(answer, truth, taxonomy) for reward in _preset(preset))


def reward_functions(preset: str, taxonomy: Taxonomy) -> tuple[list[Callable[..., list[float]]], list[float]]:
    """TRL reward functions and their weights. The data set must carry ``diagnoses`` and ``condition``."""
    rewards = _preset(preset)
    return [_for_trl(reward, taxonomy) for reward in rewards], [reward.weight for reward in rewards]


def _preset(name: str) -> tuple[Reward, ...]:
    if name not in PRESETS:
        raise UserError("unknown reward preset", repr(name), f"Use one of: {', '.join(PRESETS)}.")
    return PRESETS[name]


def _for_trl(reward: Reward, taxonomy: Taxonomy) -> Callable[..., list[float]]:
    def function(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        diagnoses: Sequence[Sequence[str]],
        condition: Sequence[str | None],
        **_: Any,
    ) -> list[float]:
        truths = [
            Truth(tuple(nodes), None if bucket is None else Bucket(bucket))
            for nodes, bucket in zip(diagnoses, condition, strict=True)
        ]
        answers = [_answer(completion, taxonomy) for completion in completions]
        return [reward.score(answer, truth, taxonomy) for answer, truth in zip(answers, truths, strict=True)]

    function.__name__ = reward.name
    return function


def _answer(completion: Any, taxonomy: Taxonomy) -> Answer | None:
    """The completion's text through the one parser; outside the contract is None."""
    text = completion if isinstance(completion, str) else completion[0]["content"]
    if not isinstance(text, str):
        text = "".join(part.get("text") or "" for part in text)
    try:
        return parse(text, taxonomy)
    except InvalidAnswer:
        return None
