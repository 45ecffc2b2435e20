"""Rewards behind TRL's signature ``(prompts, completions, **columns) -> list[float]``."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from skinr1.report import Answer, InvalidAnswer, parse
from skinr1.rewards.catalogue import Context, Score, find
from skinr1.rewards.presets import weights
from skinr1.rewards.truth import Truth
from skinr1.taxonomy import Bucket, Taxonomy
from skinr1.taxonomy.reading import no_collection

Parse = Callable[[tuple[str, ...]], list[Answer | None]]


def reward_functions(
    preset: str, context: Context, changes: Mapping[str, float] | None = None
) -> tuple[list[Callable[..., list[float]]], list[float]]:
    """TRL reward functions and their weights.

    The data set must carry ``diagnoses`` and ``condition``; ``differential`` ([{node, weight}, …]), ``findings``
    and ``absent`` are used where it has them.

    Raises:
        UserError: as :func:`skinr1.rewards.presets.weights` and :func:`skinr1.rewards.catalogue.find`.
    """
    chosen = weights(preset, changes)

    @lru_cache(maxsize=1)  # each function asks for the same batch, and then none does
    def parsed(texts: tuple[str, ...]) -> list[Answer | None]:
        with no_collection():
            return [_parse(text, context.taxonomy) for text in texts]

    return [_for_trl(name, find(name), context, parsed) for name in chosen], list(chosen.values())


def _for_trl(name: str, score: Score, context: Context, parsed: Parse) -> Callable[..., list[float]]:
    def function(
        completions: Sequence[Any],
        diagnoses: Sequence[Sequence[str]],
        condition: Sequence[str | None],
        differential: Sequence[Any] | None = None,
        findings: Sequence[Any] | None = None,
        absent: Sequence[Any] | None = None,
        **_: Any,
    ) -> list[float]:
        weighted = tuple(map(_weights, differential)) if differential else None
        truths = _truths(tuple(map(tuple, diagnoses)), tuple(condition), weighted, _lists(findings), _lists(absent))
        answers = parsed(tuple(map(_text, completions)))
        return [score(answer, truth, context) for answer, truth in zip(answers, truths, strict=True)]

    # TRL and the logs go by this name; one's own keeps its whole path, which no other has
    function.__name__ = name
    return function


def _parse(text: str, taxonomy: Taxonomy) -> Answer | None:
    try:
        return parse(text, taxonomy)
    except InvalidAnswer:
        return None


_Weighted = tuple[tuple[str, float], ...]


def _weights(row: Sequence[Mapping[str, Any]] | None) -> _Weighted:
    return tuple((entry["node"], entry["weight"]) for entry in row or ())


def _lists(rows: Sequence[Sequence[str] | None] | None) -> tuple[tuple[str, ...], ...] | None:
    return tuple(tuple(row or ()) for row in rows) if rows else None


@lru_cache(maxsize=1)  # as for the answers
def _truths(
    diagnoses: tuple[tuple[str, ...], ...],
    condition: tuple[str | None, ...],
    weighted: tuple[_Weighted, ...] | None,
    findings: tuple[tuple[str, ...], ...] | None,
    absent: tuple[tuple[str, ...], ...] | None,
) -> list[Truth]:
    none = ((),) * len(diagnoses)
    columns = zip(diagnoses, condition, weighted or none, findings or none, absent or none, strict=True)
    return [
        Truth(nodes, None if bucket is None else Bucket(bucket), weights, present, missing)
        for nodes, bucket, weights, present, missing in columns
    ]


def _text(completion: Any) -> str:
    """The text of a completion: itself, or what its message says."""
    content = completion if isinstance(completion, str) else completion[0]["content"]
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content or ())
