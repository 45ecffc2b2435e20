"""Rewards: the paper's worked examples, and what must hold for every pair of nodes."""

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from skinr1.errors import UserError
from skinr1.knowledge.rules import asserted
from skinr1.report import Answer, DifferentialEntry, parse, render
from skinr1.rewards import PRESETS, REWARDS, Context, Truth, reward_functions, total, weights
from skinr1.rewards.condition import COST
from skinr1.rewards.differential import differential_score, is_honest
from skinr1.rewards.hierarchy import path_credit
from skinr1.taxonomy import Bucket, Taxonomy
from tests.recipes.runs import MELANOMA, NEVUS, answer

TREE = Taxonomy.load()
CONTEXT = Context(TREE, {"primer:common-nevus#morphology": (NEVUS,)})
PATH = TREE.path(MELANOMA)
SIBLING = "neoplasm/malignant/melanocytic/nodular_melanoma"
TRUTH = Truth((MELANOMA,), Bucket.MALIGNANT)
NODES = st.sampled_from(list(TREE.nodes))


def said(node: str, condition: Bucket = Bucket.MALIGNANT) -> Answer:
    """A valid answer with that diagnosis and condition."""
    good = parse(answer(MELANOMA), TREE)
    return Answer(good.thinking, good.report.model_copy(update={"diagnosis": node, "condition": condition}))


@pytest.mark.parametrize(
    ("node", "credit"),
    [(PATH[0], 0.1875), (PATH[1], 0.375), (PATH[2], 0.5625), (PATH[3], 0.75), (SIBLING, 0.0), (NEVUS, 0.0)],
)
def test_worked_examples_of_a_path_of_four(node: str, credit: float):
    assert len(PATH) == 4
    assert 0.75 * path_credit(said(node), TRUTH, TREE) == credit


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        (said(MELANOMA), 2.0),
        (said(PATH[2]), 1 + 0.5625 + 0.25),
        (said(SIBLING), 1.25),
        (said(MELANOMA, Bucket.BENIGN), 1.75),
        (said(NEVUS, Bucket.BENIGN), 1.0),
        (None, 0.0),
    ],
)
def test_preset_skin_r1_adds_format_hierarchy_and_condition(spoken: Answer | None, expected: float):
    assert total(spoken, TRUTH, CONTEXT, "skin_r1") == pytest.approx(expected)


def test_a_label_on_a_group_leaves_the_subtype_open():
    assert path_credit(said(MELANOMA), Truth((PATH[2],), Bucket.MALIGNANT), TREE) == 1.0
    assert path_credit(said(SIBLING), Truth((PATH[2],), Bucket.MALIGNANT), TREE) == 1.0


def test_any_of_several_true_nodes_is_right():
    assert path_credit(said(NEVUS), Truth((MELANOMA, NEVUS), None), TREE) == 1.0


def test_an_unknown_condition_earns_nothing():
    assert total(said(MELANOMA), Truth((MELANOMA,), None), CONTEXT, "skin_r1") == pytest.approx(1.75)


@given(truth=NODES, guess=NODES, condition=st.sampled_from(list(Bucket)))
def test_bounded_and_best_for_the_truth_itself(truth: str, guess: str, condition: Bucket):
    known = Truth((truth,), Bucket.BENIGN)
    reward = total(said(guess, condition), known, CONTEXT, "skin_r1")
    assert 0 <= reward <= total(said(truth, Bucket.BENIGN), known, CONTEXT, "skin_r1") == pytest.approx(2.0)


@given(truth=NODES)
def test_credit_rises_with_depth_along_the_path(truth: str):
    credits = [path_credit(said(node), Truth((truth,), None), TREE) for node in TREE.path(truth)]
    assert credits == sorted(set(credits))


def test_trl_signature_reads_text_through_the_one_parser():
    functions, weights = reward_functions("skin_r1", CONTEXT)
    texts = [render(said(MELANOMA)), render(said(MELANOMA)) + "{}", "", "Option B"]
    columns: dict[str, Any] = {
        "prompts": [None] * 4,
        "completions": [[{"role": "assistant", "content": text}] for text in texts],
        "diagnoses": [[MELANOMA]] * 4,
        "condition": ["malignant"] * 4,
        "case_id": ["a", "b", "c", "d"],
    }
    scores = {function.__name__: function(**columns) for function in functions}
    assert scores == {"format": [1, 0, 0, 0], "hierarchy": [1, 0, 0, 0], "condition": [1, 0, 0, 0]}
    assert weights == [1.0, 0.75, 0.25]


def test_signs_and_readers_of_the_row_reach_the_rewards():
    good = parse(answer(MELANOMA), TREE)
    columns: dict[str, Any] = {"prompts": [None] * 2, "completions": [render(good)] * 2, "case_id": ["a", "b"]}
    columns |= {"diagnoses": [[MELANOMA]] * 2, "condition": ["malignant"] * 2}
    columns |= {"absent": [["wheal"], None]}
    columns |= {"findings": [list(good.report.findings), None], "differential": [[{"node": NEVUS, "weight": 1.0}], []]}
    signs, ranked = reward_functions("skin_r1", CONTEXT, {"findings": 1.0, "differential": 1.0})[0][-2:]
    assert signs(**columns) == [1.0, 0.0]
    assert ranked(**columns)[0] < ranked(**columns)[1]


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(UserError, match="skin_r1"):
        reward_functions("nope", CONTEXT)


def test_a_completion_may_be_text_or_parts(taxonomy: Taxonomy):
    text = render(said(MELANOMA))
    parts = [{"type": "text", "text": text[:40]}, {"type": "text", "text": text[40:]}]
    for completion in (text, [{"role": "assistant", "content": parts}]):
        for function in reward_functions("skin_r1", Context(taxonomy))[0]:
            assert function(prompts=[None], completions=[completion], diagnoses=[[MELANOMA]], condition=[None]) == [
                0.0 if function.__name__ == "condition" else 1.0
            ]


def test_a_diagnosis_outside_the_tree_is_outside_the_contract(taxonomy: Taxonomy):
    text = render(said(MELANOMA)).replace(MELANOMA, f"{MELANOMA}_of_the_moon")
    for function in reward_functions("skin_r1", Context(taxonomy))[0]:
        assert function(prompts=[None], completions=[text], diagnoses=[[MELANOMA]], condition=["malignant"]) == [0.0]


@pytest.mark.parametrize("short", ["diagnoses", "condition"])
def test_columns_of_unequal_length_stop_the_run(short: str, taxonomy: Taxonomy):
    columns: dict[str, Any] = {"diagnoses": [[MELANOMA]] * 2, "condition": ["malignant"] * 2}
    columns[short] = columns[short][:1]
    for function in reward_functions("skin_r1", Context(taxonomy))[0]:
        with pytest.raises(ValueError, match=r"shorter|longer"):
            function(prompts=[None] * 2, completions=[""] * 2, **columns)


ENTRY = {"evidence_for": (), "evidence_against": ()}


def listing(*entries: tuple[str, float], **changes: Any) -> Answer:
    """A valid answer with that differential, whose first entry is what it concludes."""
    first = entries[0][0]
    good = said(first, TREE.bucket(first) or Bucket.BENIGN)
    made = tuple(DifferentialEntry(diagnosis=node, probability=p, **ENTRY) for node, p in entries)
    thinking = f"Seen: {', '.join(good.report.findings)}. Conclusion: {TREE.node(first).name}."
    return Answer(thinking, good.report.model_copy(update={"differential": made, **changes}))


@given(truth=NODES, guess=NODES, preset=st.sampled_from(list(PRESETS)))
def test_every_reward_is_bounded_and_invalid_earns_nothing(truth: str, guess: str, preset: str):
    known = Truth((truth,), TREE.bucket(truth), findings=("papule", "brown colour"))
    for name, score in REWARDS.items():
        assert 0 <= score(said(guess), known, CONTEXT) <= 1, name
        assert score(None, known, CONTEXT) == 0, name
    assert total(None, known, CONTEXT, preset) == 0
    assert total(said(guess), known, CONTEXT, preset) <= sum(PRESETS[preset].values()) + 1e-9


@pytest.mark.parametrize("preset", ["safe", "skin_r1"])
@given(truth=st.sampled_from([leaf for leaf in TREE.leaves if "/" in leaf]))
def test_exact_beats_every_ancestor_and_any_ancestor_every_sibling(preset: str, truth: str):
    known = Truth((truth,), TREE.bucket(truth))
    bucket = TREE.bucket(truth) or Bucket.BENIGN

    def earned(node: str) -> float:
        return total(listing((node, 0.6), condition=bucket), known, CONTEXT, preset)

    *ancestors, _ = TREE.path(truth)
    siblings = [node for node in TREE.children(ancestors[-1]) if node != truth]
    rising = [earned(node) for node in (*ancestors, truth)]
    assert rising == sorted(rising)
    assert all(a < b for a, b in pairwise(rising))
    assert all(earned(sibling) < rising[0] for sibling in siblings)


@given(
    truth=NODES,
    first=NODES,
    probability=st.sampled_from([0.3, 0.5, 0.6]),
    wrong=NODES,
    added=st.sampled_from([0.0, 0.05, 0.2, 0.3]),
)
def test_a_wrong_entry_more_never_earns_more(truth: str, first: str, probability: float, wrong: str, added: float):
    assume(truth not in TREE.path(wrong) and wrong != first)
    known = Truth((truth,), TREE.bucket(truth))
    cited = {"citations": ("primer:common-nevus#morphology", "primer:any#thing")}
    context = Context(TREE, CONTEXT.passages | {"primer:any#thing": (wrong,)})
    short, long = listing((first, probability), **cited), listing((first, probability), (wrong, added), **cited)
    for preset in PRESETS:
        assert total(long, known, context, preset) <= total(short, known, context, preset) + 1e-12, preset


@given(st.lists(NODES | st.sampled_from(PATH), min_size=1, max_size=5))
def test_a_list_is_honest_when_no_node_stands_twice_or_above_another(named: list[str]):
    above = {part for node in named for part in TREE.path(node)[:-1]}
    plain = len(set(named)) == len(named) and not above & set(named)
    assert is_honest(listing(*((node, 0.2) for node in named)).report, TREE) is plain


@given(
    parts=st.lists(st.sampled_from(["scale", "no scale", "papule", "silvery scale", ".", ","]), max_size=8),
    node=st.sampled_from([NEVUS, MELANOMA, SIBLING, PATH[0]]),
    named=st.sampled_from([NEVUS, MELANOMA, SIBLING, PATH[0]]),
)
def test_consistency_is_the_share_of_findings_asserted_before_the_same_conclusion(
    parts: list[str], node: str, named: str
):
    """It stops reading where all signs are found; the plain way reads on."""
    good = listing((node, 0.6), findings=("papule", "scale", "silvery scale"))
    answer = Answer(" ".join(["So:", *parts, f". Conclusion: {TREE.node(named).name}."]), good.report)
    heard = asserted(answer.thinking)
    expected = sum(name in heard for name in good.report.findings) / 3 if named == node else 0.0
    assert REWARDS["consistency"](answer, TRUTH, CONTEXT) == expected


def test_a_batch_is_judged_by_its_own_truths():
    """The functions keep the last batch's answers and truths: the same texts come back with others."""
    texts = [render(said(MELANOMA)), render(said(NEVUS))]
    hierarchy = reward_functions("skin_r1", CONTEXT)[0][1]
    for true, expected in (([MELANOMA], [1, 0]), ([NEVUS], [0, 1]), ([MELANOMA, NEVUS], [1, 1])):
        columns: dict[str, Any] = {"diagnoses": [true] * 2, "condition": [None] * 2}
        assert hierarchy(completions=texts, **columns) == expected
        assert hierarchy(completions=texts[::-1], **columns) == expected[::-1]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([(MELANOMA, 1.0)], 1.0),
        ([(MELANOMA, 0.8), (NEVUS, 0.2)], 1 - (0.04 + 0.04) / 2),
        ([(NEVUS, 1.0)], 0.0),
        ([(NEVUS, 0.5), (MELANOMA, 0.5)], 1 - (0.25 + 0.25) / 2),
        ([(MELANOMA, 0.5), (MELANOMA, 0.5)], 0.0),  # twice
        ([(MELANOMA, 0.9), (NEVUS, 0.9)], 0.0),  # more than all
        ([(NEVUS, 0.2), (MELANOMA, 0.8)], 0.0),  # rank against probability
        ([(PATH[2], 0.5), (MELANOMA, 0.5)], 0.0),  # ancestor beside its descendant
    ],
)
def test_differential_by_hand(entries: list[tuple[str, float]], expected: float):
    assert differential_score(listing(*entries), TRUTH, TREE) == pytest.approx(expected)


def test_readers_who_differ_are_matched_best_by_their_own_weights():
    """Proper: no other list earns more than the readers' own."""
    readers = Truth((MELANOMA, NEVUS), None, differential=((MELANOMA, 0.7), (NEVUS, 0.3)))
    honest = differential_score(listing((MELANOMA, 0.7), (NEVUS, 0.3)), readers, TREE)
    others = [((MELANOMA, 1.0),), ((MELANOMA, 0.6), (NEVUS, 0.4)), ((NEVUS, 0.5), (MELANOMA, 0.5)), ((NEVUS, 0.3),)]
    assert honest == 1.0
    assert all(differential_score(listing(*other), readers, TREE) < honest for other in others)


def test_a_right_entry_earns_its_readers_weight():
    readers = Truth((MELANOMA, NEVUS), None, differential=((MELANOMA, 0.9), (NEVUS, 0.1)))
    ranked = [
        REWARDS["ranked_hit"](listing(*entries), readers, CONTEXT)
        for entries in (
            ((MELANOMA, 0.6), (NEVUS, 0.4)),
            ((NEVUS, 0.6), (MELANOMA, 0.4)),
            ((NEVUS, 0.6),),
            ((SIBLING, 0.6),),
        )
    ]
    assert ranked == pytest.approx([1.0, 1 / math.log2(3), 0.1 / 0.9, 0.0])


def test_a_condition_that_is_not_the_diagnosis_s_is_not_paid():
    assert REWARDS["condition_safety"](said(MELANOMA), TRUTH, CONTEXT) == 1
    assert REWARDS["condition_safety"](said(NEVUS, Bucket.BENIGN), TRUTH, CONTEXT) == 0
    assert REWARDS["condition_safety"](said(NEVUS, Bucket.INDETERMINATE), TRUTH, CONTEXT) == 0
    assert REWARDS["condition_safety"](said("neoplasm", Bucket.INDETERMINATE), TRUTH, CONTEXT) == 0.6


def test_a_missed_malignancy_costs_most():
    worst = max((cost, truth, said) for truth, row in COST.items() for said, cost in row.items())
    assert COST[Bucket.MALIGNANT][Bucket.BENIGN] == worst[0]
    assert COST[Bucket.MALIGNANT][Bucket.BENIGN] > COST[Bucket.BENIGN][Bucket.MALIGNANT]
    assert all(COST[bucket][bucket] == 0 for bucket in Bucket)
    assert all(set(row) == set(Bucket) for row in COST.values())


def test_weights_of_ones_own():
    assert weights("skin_r1", {"condition": 0, "findings": 0.5}) == {
        "format": 1.0,
        "hierarchy": 0.75,
        "condition": 0.0,
        "findings": 0.5,
    }
    functions, numbers = reward_functions("skin_r1", CONTEXT, {f"{__name__}.own_reward": 2.0})
    assert functions[-1].__name__ == f"{__name__}.own_reward"
    assert numbers[-1] == 2.0


def own_reward(answer: Answer | None, truth: Truth, context: Context) -> float:
    return 0.5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "unknown reward"),
        ("no.such.module", "cannot import"),
        (".no.module", "cannot import"),
        ("skinr1.rewards.nope", "no function"),
    ],
)
def test_an_unknown_reward_is_one_line(name: str, message: str):
    with pytest.raises(UserError, match=message):
        reward_functions("safe", CONTEXT, {name: 1.0})


@pytest.mark.parametrize("weight", ["1", True, None, float("nan"), float("inf")])
def test_a_weight_is_a_number(weight: Any):
    with pytest.raises(UserError, match="no number"):
        weights("safe", {"format": weight})
