"""Testing with concept activation vectors (TCAV; Kim et al. 2018, arXiv 1711.11279), on stored activations.

A direction is the normal of a linear classifier between pictures with a sign and random pictures without it. The TCAV
score of a class is the share of pictures on which its name gets more probable along the direction. Both are drawn anew
``rounds`` times; the scores are compared with those of directions between two random sets.

Kim et al. take the pictures of the class itself. There a sure model's gradients are saturated, and in
``benchmarks/interpret.py`` planted signs came out reversed; pictures of all classes are taken here.

The score counts signs only: where a network is nearly linear, every direction scores 0 or 1, and any sign at all passes
the test. So a sign must also lie closer to the gradients than directions between random sets do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skinr1.errors import UserError

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

ROUNDS = 30
FEWEST = 8  # patients with a sign, below which half of them cannot carry a direction
PSEUDO = 20
ALPHA = 0.05

RAISES, LOWERS, NOT_SHOWN, NO_DIRECTION = "raises", "lowers", "not shown", "no direction"


@dataclass(frozen=True)
class Concept:
    """What was found about one sign and one class.

    Attributes:
        examples: cases with the sign.
        auroc: mean over the rounds of how well the direction ranks held-out patients, with its 2.5 and 97.5 %
            quantiles. Where these reach 0.5 the tower does not hold the sign, and the score means nothing.
        score: mean TCAV score and its quantiles.
        control: mean score of directions between random sets.
        p: two-sided Welch t-test of scores against those of random directions; ``p_adjusted`` is Bonferroni's.
        alignment: mean cosine of the direction and the pictures' gradients, and its quantiles.
        p_alignment: that a direction between random sets lies as close, two-sided, after Bonferroni.
    """

    name: str
    examples: int
    auroc: tuple[float, float, float]
    score: tuple[float, float, float]
    control: float
    p: float
    p_adjusted: float
    alignment: tuple[float, float, float]
    p_alignment: float

    @property
    def verdict(self) -> str:
        """``raises`` or ``lowers`` the class; ``not shown``; ``no direction``."""
        if self.auroc[1] <= 0.5:
            return NO_DIRECTION
        if max(self.p_adjusted, self.p_alignment) >= ALPHA:
            return NOT_SHOWN
        return RAISES if self.score[0] > self.control else LOWERS


@dataclass(frozen=True)
class Pool:
    """Cases that directions are learned from.

    Attributes:
        activations: (cases, width).
        groups: (cases,) patients; both sides of a direction's own test are kept apart by them.
    """

    activations: Array
    groups: NDArray[np.str_]


def direction(positive: Array, negative: Array) -> Array:
    """Unit normal, towards ``positive``, of the logistic regression between two sets of activations (n, width)."""
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([positive, negative])
    spread = both.std(axis=0)
    spread[spread == 0] = 1.0
    target = np.repeat([1, 0], [len(positive), len(negative)])
    fitted = LogisticRegression(C=0.1, max_iter=1000).fit((both - both.mean(axis=0)) / spread, target)
    normal = fitted.coef_[0] / spread
    length = float(np.linalg.norm(normal))
    return normal / length if length else normal


def tcav_scores(gradients: Array, normals: Array) -> Array:
    """(rounds,) share of pictures on which the class gets more probable along each (rounds, width) normal.

    Args:
        gradients: (pictures, width).
    """
    return (gradients @ normals.T > 0).mean(axis=0)


@dataclass(frozen=True)
class Directions:
    """The directions of one sign, drawn anew in every round.

    Attributes:
        aurocs: (rounds,) how well each ranks held-out patients.
        normals, controls: (rounds, width), of the sign and of two random sets of that size.
    """

    examples: int
    aurocs: Array
    normals: Array
    controls: Array


def learn(concepts: Mapping[str, Flags], pool: Pool, rounds: int = ROUNDS, seed: int = 17) -> dict[str, Directions]:
    """Directions of every sign, which serve all classes.

    Args:
        concepts: name -> (cases,) whether the case has the sign. Random sets are drawn from those without it.

    Raises:
        UserError: fewer than 30 rounds, or a sign with too few patients.
    """
    if rounds < ROUNDS:
        raise UserError("too few random sets for a test", str(rounds), f"Give at least {ROUNDS}.")
    found = {}
    for number, (name, flags) in enumerate(sorted(concepts.items())):
        if not enough(flags, pool.groups):
            raise UserError("too few patients with or without the sign", name, f"Needs {FEWEST} of each.")
        chance = np.random.default_rng([seed, number])
        aurocs, normals, controls = zip(*(_round(flags, pool, chance) for _ in range(rounds)), strict=True)
        found[name] = Directions(int(flags.sum()), np.array(aurocs), np.stack(normals), np.stack(controls))
    return found


def dealt_out(size: int, pool: Pool, rounds: int = ROUNDS, seed: int = 17) -> dict[str, Directions]:
    """Directions of :data:`PSEUDO` signs that chance deals out to ``size`` cases: what is found of them is false."""
    chance = np.random.default_rng([seed, 1_000_003])
    everyone = np.arange(len(pool.groups))
    flags = {f"{number:03}": np.isin(everyone, chance.permutation(everyone)[:size]) for number in range(PSEUDO)}
    usable = {name: given for name, given in flags.items() if enough(given, pool.groups)}
    return learn(usable, pool, rounds, seed + 1)


def alignments(gradients: Array, normals: Array) -> Array:
    """(rounds,) mean cosine of (pictures, width) gradients and (rounds, width) unit normals; 0 for no gradient."""
    lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
    return (np.divide(gradients, lengths, out=np.zeros_like(gradients), where=lengths > 0) @ normals.T).mean(axis=0)


def concept_scores(learned: Mapping[str, Directions], gradients: Array, tests: int) -> list[Concept]:
    """Every sign against one class.

    Args:
        gradients: (pictures, width), of the log-probability of the class' name.
        tests: how many comparisons are made in all, which Bonferroni multiplies by.

    Raises:
        UserError: no picture.
    """
    if not len(gradients):
        raise UserError("no picture to take gradients on", "gradients", "Give answered cases.")
    found = []
    for name, own in learned.items():
        scores, controls = tcav_scores(gradients, own.normals), tcav_scores(gradients, own.controls)
        p = _welch(scores, controls)
        near, by_chance = alignments(gradients, own.normals), alignments(gradients, own.controls)
        found.append(
            Concept(
                name=name,
                examples=own.examples,
                auroc=_spread(own.aurocs),
                score=_spread(scores),
                control=float(controls.mean()),
                p=p,
                p_adjusted=min(1.0, p * tests),
                alignment=_spread(near),
                p_alignment=min(1.0, _outlying(float(near.mean()), by_chance) * tests),
            )
        )
    return found


def false_alarms(learned: Mapping[str, Directions], gradients: Array, tests: int) -> tuple[int, int]:
    """How many of :func:`dealt_out` signs are called a finding, and of how many."""
    found = concept_scores(learned, gradients, tests)
    return sum(one.verdict in (RAISES, LOWERS) for one in found), len(found)


def enough(flags: Flags, groups: Sequence[str] | NDArray[np.str_]) -> bool:
    """Whether a sign has enough patients with it and without it for :func:`concept_scores`."""
    names = np.asarray(groups)
    return min(len(set(names[flags])), len(set(names[~flags]) - set(names[flags]))) >= FEWEST


def _round(flags: Flags, pool: Pool, chance: np.random.Generator) -> tuple[float, Array, Array]:
    """AUROC on held-out patients, the direction, and a direction between two random sets of its size."""
    with_sign = np.flatnonzero(flags)
    without = np.flatnonzero(~flags & ~np.isin(pool.groups, pool.groups[flags]))
    learned, kept = _half(pool.groups[with_sign], chance), _half(pool.groups[without], chance)
    ours, others = with_sign[learned], chance.permutation(without[kept])
    size = min(len(ours), len(others))
    normal = direction(pool.activations[ours], pool.activations[others[:size]])
    area = _auroc(pool.activations[with_sign[~learned]] @ normal, pool.activations[without[~kept]] @ normal)
    mixed = chance.permutation(len(flags))
    half = min(size, len(mixed) // 2)
    control = direction(pool.activations[mixed[:half]], pool.activations[mixed[half : 2 * half]])
    return area, normal, control


def _half(groups: NDArray[np.str_], chance: np.random.Generator) -> Flags:
    """Whether each case belongs to the half of the patients that a direction is learned from."""
    names = np.unique(groups)
    return np.isin(groups, chance.permutation(names)[: (len(names) + 1) // 2])


def _auroc(positive: Array, negative: Array) -> float:
    """Probability that a case with the sign ranks above one without; ties count half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)]
    return float((ranks.sum() - len(positive) * (len(positive) + 1) / 2) / (len(positive) * len(negative)))


def _outlying(value: float, others: Array) -> float:
    """Two-sided p of one more draw from where the others came from, by Student's t on their mean and spread."""
    from scipy.stats import t

    spread = float(others.std(ddof=1)) * (1 + 1 / len(others)) ** 0.5
    if spread == 0:
        return float(value == others.mean())
    return float(2 * t.sf(abs(value - others.mean()) / spread, len(others) - 1))


def _welch(scores: Array, controls: Array) -> float:
    """Two-sided p; where neither set varies, 1 for equal means and 0 for others."""
    from scipy.stats import ttest_ind_from_stats

    if scores.std() == controls.std() == 0:
        return float(scores.mean() == controls.mean())
    ours, theirs = ((float(x.mean()), float(x.std(ddof=1)), len(x)) for x in (scores, controls))
    return float(ttest_ind_from_stats(*ours, *theirs, equal_var=False).pvalue)


def _spread(values: Array) -> tuple[float, float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)
