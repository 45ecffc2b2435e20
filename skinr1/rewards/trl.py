"""Rewards behind TRL's signature ``(prompts, completions, **columns) -> list[float]``."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from skinr1.report import Answer, InvalidAnswer, parse
from skinr1.rewards.catalogue import Context, Score, find
from skinr1.rewards.presets import weights
from skinr1.rewards.truth import Truth
from skinr1.taxonomy import Bucket

Parse = Callable[[str], Answer | None]


def reward_functions(
    preset: str, context: Context, changes: Mapping[str, float] | None = None
) -> tuple[list[Callable[..., list[float]]], list[float]]:
    """TRL reward functions and their weights.

    The data set must carry ``diagnoses`` and ``condition``; ``differential`` ([{node, weight}, …]) and ``findings`` are
    used where it has them.

    Raises:
        UserError: as :func:`skinr1.rewards.presets.weights` and :func:`skinr1.rewards.catalogue.find`.
    """
    chosen = weights(preset, changes)

    @lru_cache(maxsize=4096)  # each function asks for the same completions
    def parsed(text: str) -> Answer | None:
        try:
            return parse(text, context.taxonomy)
        except InvalidAnswer:
            return None

    return [_for_trl(name, find(name), context, parsed) for name in chosen], list(chosen.values())


def _for_trl(name: str, score: Score, context: Context, parsed: Parse) -> Callable[..., list[float]]:
    def function(
        completions: Sequence[Any],
        diagnoses: Sequence[Sequence[str]],
        condition: Sequence[str | None],
        differential: Sequence[Any] | None = None,
        findings: Sequence[Any] | None = None,
        **_: Any,
    ) -> list[float]:
        none = [None] * len(completions)
        columns = zip(diagnoses, condition, differential or none, findings or none, strict=True)
        truths = [
            _truth(tuple(nodes), bucket, tuple((e["node"], e["weight"]) for e in weighted or ()), tuple(signs or ()))
            for nodes, bucket, weighted, signs in columns
        ]
        answers = [parsed(_text(completion)) for completion in completions]
        return [score(answer, truth, context) for answer, truth in zip(answers, truths, strict=True)]

    function.__name__ = name.rpartition(".")[2]
    return function


@lru_cache(maxsize=4096)  # the completions of a prompt share it, and every function asks again
def _truth(
    nodes: tuple[str, ...], bucket: str | None, weighted: tuple[tuple[str, float], ...], signs: tuple[str, ...]
) -> Truth:
    return Truth(nodes, None if bucket is None else Bucket(bucket), weighted, signs)


def _text(completion: Any) -> str:
    """The text of a completion: itself, or what its message says."""
    content = completion if isinstance(completion, str) else completion[0]["content"]
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)
