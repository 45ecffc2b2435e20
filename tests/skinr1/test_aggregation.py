"""Votes over taxonomy nodes, on hand-worked cases and as properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinr1.errors import UserError
from skinr1.report import Answer, DifferentialEntry, inconsistencies, parse, render
from skinr1.serving.aggregation import VoteSettings, aggregate, elected, vote_weights
from skinr1.serving.rules import RuleSettings, declined, red_flags
from skinr1.taxonomy import Taxonomy
from tests.recipes.runs import MELANOMA, NEVUS, answer

TREE = Taxonomy.load()
NODULAR = "neoplasm/malignant/melanocytic/nodular_melanoma"
BCC = "neoplasm/malignant/follicular/basal_cell_carcinoma"
TINEA = "infectious/fungal/dermatophytosis/tinea_corporis"


def said(node: str, *rivals: tuple[str, float], probability: float = 0.7) -> Answer:
    """A valid answer with that diagnosis, and rivals."""
    good = parse(answer(NEVUS), TREE)
    entries = tuple(
        DifferentialEntry(diagnosis=name, probability=p, evidence_for=("papule",), evidence_against=())
        for name, p in ((node, probability), *rivals)
    )
    changes = {"diagnosis": node, "condition": TREE.bucket(node), "differential": entries}
    return Answer(f"Conclusion: {node}.", good.report.model_copy(update=changes))


@pytest.mark.parametrize(
    ("votes", "threshold", "node"),
    [
        ([MELANOMA, MELANOMA, NEVUS], 0.5, MELANOMA),
        ([MELANOMA, NODULAR, NEVUS], 0.5, "neoplasm/malignant/melanocytic"),
        ([MELANOMA, NODULAR, BCC, NEVUS], 0.6, "neoplasm/malignant"),
        ([MELANOMA, NEVUS, TINEA], 0.6, "neoplasm"),
        ([MELANOMA, TINEA, None], 0.6, None),
        ([None, None, MELANOMA], 0.5, None),
        ([MELANOMA], 1.0, MELANOMA),
    ],
)
def test_the_deepest_node_with_support(votes, threshold, node):
    assert elected(votes, [1 / len(votes)] * len(votes), TREE, threshold) == node


def test_back_off_is_told_and_reports_the_ancestor():
    made = aggregate([said(MELANOMA), said(MELANOMA), said(NODULAR), said(NODULAR), said(NEVUS)], TREE, VoteSettings())
    assert made.answer.report.diagnosis == "neoplasm/malignant/melanocytic"
    assert made.agreement.backed_off in (MELANOMA, NODULAR)
    assert made.agreement.share == pytest.approx(0.8)
    assert made.agreement.voted == {MELANOMA: 2, NODULAR: 2, NEVUS: 1}
    assert made.answer.report.differential[0].probability == pytest.approx(0.56)  # 4 x 0.7 / 5
    assert inconsistencies(made.answer.report, TREE) == []


def test_entropy_in_bits():
    assert aggregate([said(MELANOMA)] * 4, TREE, VoteSettings()).agreement.entropy == 0
    assert aggregate([said(MELANOMA), said(NEVUS)], TREE, VoteSettings()).agreement.entropy == 1


def test_confidence_weighs_votes():
    answers = [said(NEVUS, probability=0.9), said(MELANOMA, probability=0.3), said(MELANOMA, probability=0.3)]
    assert aggregate(answers, TREE, VoteSettings()).answer.report.diagnosis == MELANOMA
    assert aggregate(answers, TREE, VoteSettings(temperature=0.1)).answer.report.diagnosis == NEVUS
    assert vote_weights(answers, 1e9) == pytest.approx([1 / 3] * 3)


def test_abstention_declines_but_hides_no_suspicion():
    made = aggregate([said(MELANOMA), said(TINEA), Answer("Unclear.", declined())], TREE, VoteSettings(support=0.6))
    assert made.agreement.abstained
    assert made.answer.report.diagnosis is None
    assert {flag.diagnosis for flag in red_flags(made.named, TREE, RuleSettings())} == {MELANOMA}


def test_one_answer_stays_what_it_was():
    one = said(MELANOMA, (NEVUS, 0.2))
    made = aggregate([one], TREE, VoteSettings())
    assert made.answer.report.model_copy(update={"confidence": one.report.confidence}) == one.report
    assert made.answer.thinking == one.thinking


def test_nothing_to_vote_on_and_odd_settings():
    with pytest.raises(ValueError, match="no answer"):
        aggregate([], TREE, VoteSettings())
    with pytest.raises(UserError, match="vote settings"):
        VoteSettings(support=0)


NODES = st.sampled_from(TREE.diagnoses)
ANSWERS = st.builds(
    lambda node, rivals: said(node, *((name, 0.05) for name in rivals if name != node), probability=0.6),
    NODES,
    st.lists(NODES, max_size=4, unique=True),
)


@given(st.lists(ANSWERS, min_size=1, max_size=6), st.sampled_from([0.3, 0.5, 0.8]))
def test_every_aggregate_is_a_valid_report_without_contradiction(answers, threshold):
    made = aggregate(answers, TREE, VoteSettings(support=threshold))
    parse(render(made.answer), TREE)
    faults = [fault for fault in inconsistencies(made.answer.report, TREE) if not fault.startswith("condition")]
    assert faults == []
    assert 0 <= made.agreement.share <= 1
    assert sum(made.agreement.voted.values()) == len(answers)


@given(st.permutations([said(MELANOMA), said(NODULAR), said(NEVUS), said(MELANOMA), said(TINEA)]))
def test_order_of_the_answers_does_not_elect(answers):
    made = aggregate(answers, TREE, VoteSettings())
    assert made.answer.report.diagnosis == "neoplasm/malignant/melanocytic"
