"""Solvers that see the options of a question and nothing else. What they gain over chance is a fault of the data."""

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from skinr1.questions.choices import Options, option_name
from skinr1.taxonomy import Taxonomy

Rivals = Mapping[str, Collection[str]]  # node -> its neighbours in a differential graph
# Options, the tree, and how many training cases have each label -> index of the chosen option.
Shortcut = Callable[[Options, Taxonomy, Mapping[tuple[str, ...], int]], int]


def deepest_related_pair(options: Options, taxonomy: Taxonomy, prior: Mapping[tuple[str, ...], int]) -> int:
    """The deeper one of the two options that share the longest way from the root."""

    def shared(pair: tuple[int, int]) -> int:
        ways = itertools.product(*(options[place] for place in pair))
        return max(_depth(taxonomy.lca(one, other), taxonomy) for one, other in ways)

    pair = max(itertools.combinations(range(len(options)), 2), key=shared)
    among = pair if shared(pair) else range(len(options))
    return max(among, key=lambda place: max(_depth(node, taxonomy) for node in options[place]))


def longest_name(options: Options, taxonomy: Taxonomy, prior: Mapping[tuple[str, ...], int]) -> int:
    """The option with the longest name."""
    return max(range(len(options)), key=lambda place: len(option_name(options[place], taxonomy)))


def shortest_name(options: Options, taxonomy: Taxonomy, prior: Mapping[tuple[str, ...], int]) -> int:
    """The option with the shortest name."""
    return min(range(len(options)), key=lambda place: len(option_name(options[place], taxonomy)))


def most_frequent(options: Options, taxonomy: Taxonomy, prior: Mapping[tuple[str, ...], int]) -> int:
    """The option that is most often the truth in training."""
    return max(range(len(options)), key=lambda place: prior.get(options[place], 0))


def first_listed(options: Options, taxonomy: Taxonomy, prior: Mapping[tuple[str, ...], int]) -> int:
    """Always the first."""
    return 0


def are_rivals(one: Iterable[str], other: Collection[str], rivals: Rivals) -> bool:
    """Whether a differential graph sets any node of one label against any of the other."""
    return any(node in rivals.get(own, ()) for own in one for node in other)


def most_rivals(options: Sequence[Collection[str]], rivals: Rivals) -> int:
    """The option that a differential graph sets against the most of the others, as it does the middle of a star."""
    return max(
        range(len(options)), key=lambda place: sum(are_rivals(options[place], other, rivals) for other in options)
    )


SHORTCUTS: Mapping[str, Shortcut] = {
    "deepest related pair": deepest_related_pair,
    "longest name": longest_name,
    "shortest name": shortest_name,
    "most frequent label": most_frequent,
    "first listed": first_listed,
}


def hits(
    questions: Iterable[tuple[Options, tuple[str, ...]]], taxonomy: Taxonomy, prior: Mapping[tuple[str, ...], int]
) -> Counter[str]:
    """How many questions each shortcut gets right.

    Args:
        questions: options, and the one that is true.
    """
    found = Counter(dict.fromkeys(SHORTCUTS, 0))
    for options, truth in questions:
        found.update(name for name, solve in SHORTCUTS.items() if options[solve(options, taxonomy, prior)] == truth)
    return found


def _depth(node: str | None, taxonomy: Taxonomy) -> int:
    return taxonomy.node(node).depth if node else 0
