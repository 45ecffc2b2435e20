"""Choices: a solver that sees the options only is right by chance, and no distractor can be right."""

import random
from collections import Counter

import pytest

from skinr1.errors import UserError
from skinr1.questions import SHORTCUTS, Label, hits, option_name, option_sets
from skinr1.taxonomy import Taxonomy
from skinr1.taxonomy.node import normalise
from tests.skinr1.grounded import DYSPLASTIC, KERATOSIS, MELANOMA, NEVUS, PSORIASIS, TINEA, tree

BLIND = ("deepest related pair", "longest name", "shortest name", "most frequent label", "first listed")


def skewed(taxonomy: Taxonomy, count: int, head: float = 0.0) -> dict[str, Label]:
    """Cases whose labels follow Zipf's law over 300 diagnoses, some of two nodes; a share of ``head`` has one label."""
    chance = random.Random(5)
    nodes = chance.sample(list(taxonomy.diagnoses), 340)
    labels = [Label((node,)) for node in nodes[:280]]
    labels += [Label(tuple(sorted(pair))) for pair in zip(nodes[280:300], nodes[300:320], strict=True)]
    labels += [Label((node,), also=(other,)) for node, other in zip(nodes[280:300], nodes[320:340], strict=True)]
    weights = [1 / (rank + 3) for rank in range(len(labels))]
    drawn = chance.choices(labels, weights, k=count)
    return {f"case-{n}": labels[0] if chance.random() < head else label for n, label in enumerate(drawn)}


def accuracy(questions, taxonomy, prior) -> dict[str, float]:
    return {name: count / len(questions) for name, count in hits(questions, taxonomy, prior).items()}


@pytest.mark.parametrize(("size", "head", "count"), [(4, 0.0, 2040), (4, 0.6, 6000), (2, 0.0, 2040), (6, 0.0, 2100)])
def test_solvers_without_the_image_are_right_by_chance(taxonomy: Taxonomy, size: int, head: float, count: int) -> None:
    labels = skewed(taxonomy, count, head)
    prior = Counter(label.nodes for label in labels.values())
    assert prior.most_common(1)[0][1] > 20 * prior.most_common()[-20][1], "the labels are not skewed"
    made = option_sets(labels, taxonomy, size)
    questions = [(made[case_id], labels[case_id].nodes) for case_id in labels if case_id in made]
    assert len(questions) >= 2000
    for name, share in accuracy(questions[:2000], taxonomy, prior).items():
        assert abs(share - 1 / size) <= 0.03, name
    for name, share in accuracy(questions, taxonomy, prior).items():
        assert share == pytest.approx(1 / size, abs=1e-12), f"{name}: not exactly chance over whole blocks"


def test_a_solver_that_learns_the_truths_of_other_questions_gains_nothing(taxonomy: Taxonomy) -> None:
    labels = skewed(taxonomy, 4000)
    made = option_sets(labels, taxonomy)
    ids = sorted(made)
    half = {case_id for case_id in ids if hash_bit(made[case_id])}
    wins = Counter(labels[case_id].nodes for case_id in half)
    shown = Counter(nodes for case_id in half for nodes in made[case_id])
    rest = [case_id for case_id in ids if case_id not in half]
    best = [max(made[i], key=lambda nodes: wins[nodes] / max(1, shown[nodes])) for i in rest]
    right = sum(pick == labels[case_id].nodes for pick, case_id in zip(best, rest, strict=True))
    assert len(rest) > 1000 and abs(right / len(rest) - 0.25) <= 0.03


def hash_bit(options) -> bool:
    return len("".join(node for nodes in options for node in nodes)) % 2 == 0


def test_the_shortcuts_win_where_options_are_built_carelessly(taxonomy: Taxonomy) -> None:
    """The reference's construction, and distractors drawn without regard to frequency: the solvers see both."""
    chance, labels = random.Random(3), skewed(taxonomy, 2000)
    prior = Counter(label.nodes for label in labels.values())
    pool = sorted(prior)
    lineage, uniform = [], []
    for label in labels.values():
        others = chance.sample([nodes for nodes in pool if nodes != label.nodes], 3)
        uniform.append((tuple(chance.sample([label.nodes, *others], 4)), label.nodes))
        parent = taxonomy.node(label.nodes[0]).parent
        lineage.append((tuple(chance.sample([label.nodes, (parent,), *others[:2]], 4)), label.nodes))
    assert accuracy(uniform, taxonomy, prior)["most frequent label"] > 0.5
    assert accuracy(lineage, taxonomy, prior)["deepest related pair"] > 0.5
    assert set(SHORTCUTS) == set(BLIND)


def test_no_distractor_can_be_right(taxonomy: Taxonomy) -> None:
    labels = skewed(taxonomy, 4000)
    made = option_sets(labels, taxonomy)
    assert any(labels[case_id].also for case_id in made) and any(len(labels[case_id].nodes) > 1 for case_id in made)
    for case_id, options in made.items():
        label = labels[case_id]
        assert options.count(label.nodes) == 1 and len(set(options)) == len(options) == 4
        possible = {*label.nodes, *label.also}
        names = {normalise(name) for node in possible for name in taxonomy.node(node).labels}
        for node in (node for nodes in options if nodes != label.nodes for node in nodes):
            assert not any(node in taxonomy.path(one) or one in taxonomy.path(node) for one in possible)
            assert names.isdisjoint(map(normalise, taxonomy.node(node).labels))


def test_names_in_common_exclude_each_other() -> None:
    twins = Taxonomy.from_yaml(
        "version: t\ntree:\n  a: {bucket: benign, children: {x: {aliases: [spot]}, y: {aliases: [Spot]}, z: {}}}"
    )
    labels = {"1": Label(("a/x",)), "2": Label(("a/y",)), "3": Label(("a/z",))}
    assert all(set(options) != {("a/x",), ("a/y",)} for options in option_sets(labels, twins, 2).values())
    assert option_sets({"1": Label(("a/x",)), "2": Label(("a/y",))}, twins, 2) == {}


def test_same_options_whatever_the_order_and_others_for_another_seed(taxonomy: Taxonomy) -> None:
    labels = skewed(taxonomy, 600)
    turned = dict(reversed(labels.items()))
    assert option_sets(labels, taxonomy, seed=1) == option_sets(turned, taxonomy, seed=1)
    assert option_sets(labels, taxonomy, seed=1) != option_sets(labels, taxonomy, seed=2)


def test_few_are_left_over_and_near_options_are_preferred(taxonomy: Taxonomy) -> None:
    labels = skewed(taxonomy, 2000)
    made = option_sets(labels, taxonomy)
    assert len(made) >= 0.99 * len(labels)

    def near(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
        return taxonomy.lca(one[0], other[0]) is not None

    pairs = [near(o[0], o[1]) for o in made.values()]
    chance, known = random.Random(1), sorted(labels.values())
    drawn = [near(*(label.nodes for label in chance.sample(known, 2))) for _ in range(2000)]
    assert sum(pairs) / len(pairs) > 1.3 * sum(drawn) / len(drawn)


def test_the_surplus_of_a_frequent_label_gets_no_options() -> None:
    others = (KERATOSIS, MELANOMA, PSORIASIS, TINEA, DYSPLASTIC)
    labels = {f"n{n}": Label((NEVUS,)) for n in range(50)} | {f"o{n}": Label((others[n % 5],)) for n in range(30)}
    made = option_sets(labels, tree())
    truths = Counter(labels[case_id].nodes for case_id in made)
    assert truths[(NEVUS,)] == 10 and len(made) == 40


def test_names_of_options_and_too_few_of_them() -> None:
    assert option_name((NEVUS, DYSPLASTIC), tree()) == "common nevus or dysplastic nevus"
    with pytest.raises(UserError, match="fewer than two options"):
        option_sets({}, tree(), 1)
    assert option_sets({}, tree()) == option_sets({"1": Label((NEVUS,))}, tree()) == {}
