"""Trajectories say nothing that the case's annotations or the textbook do not say."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinr1.cases import Case
from skinr1.concepts import concepts
from skinr1.report import inconsistencies, parse, render
from skinr1.trajectories import (
    DEFAULT_KINDS,
    Claim,
    TemplateRewriter,
    Trajectory,
    check,
    reword,
    trajectories,
)
from skinr1.trajectories.evidence import Ungrounded, truth_node
from skinr1.trajectories.reports import probabilities
from tests.skinr1.grounded import DYSPLASTIC, KERATOSIS, MELANOMA, NEVUS, PSORIASIS, SHOWN, TINEA, case, knowledge, tree

TAXONOMY = tree()
NEVUS_CASE = case(
    NEVUS, present=("sharp border", "brown colour", "papule"), absent=("warty surface", "several colours", "macule")
)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory):
    return knowledge(tmp_path_factory.mktemp("knowledge"))


def of_kind(book, kind: str, of: Case = NEVUS_CASE) -> Trajectory:
    made, refused = trajectories(of, book, TAXONOMY, [kind])
    assert not refused
    return made[0]


def test_direct_goes_from_findings_through_a_passage_to_the_diagnosis(book) -> None:
    assert of_kind(book, "direct").text == (
        "Seen: papule, brown colour, sharp border. "
        "Textbook [primer:common-nevus#morphology]: common nevus shows papule, brown colour, sharp border. "
        "Conclusion: common nevus."
    )


def test_kept_rejects_a_rival_on_a_stated_sign(book) -> None:
    assert (
        "Considered seborrheic keratosis [primer:seborrheic-keratosis#morphology]: shares papule, brown colour; "
        "against it [primer:common-nevus#morphology]: sharp border."
    ) in of_kind(book, "kept").text


def test_kept_may_reject_for_a_sign_annotated_absent(book) -> None:
    bare = case(NEVUS, present=("papule", "brown colour"), absent=("warty surface",))
    assert (
        "against it [primer:seborrheic-keratosis#differential]: no warty surface." in of_kind(book, "kept", bare).text
    )


def test_switched_is_revised_for_a_sign_of_this_case(book) -> None:
    flat = case(NEVUS, present=("macule", "brown colour", "sharp border"))
    assert (
        "First impression: dysplastic nevus [primer:dysplastic-nevus#morphology], for macule. "
        "Revised [primer:common-nevus#differential], for sharp border."
    ) in of_kind(book, "switched", flat).text


def test_a_disease_named_like_a_sign_is_not_that_sign(book) -> None:
    psoriasis = case(PSORIASIS, present=("plaque", "red colour", "silvery scale"), absent=("ring shape",))
    made, refused = trajectories(psoriasis, book, TAXONOMY)
    assert len(made) == 3 and not refused
    assert all(not check(t, psoriasis, book, TAXONOMY) for t in made)


def test_complaints_are_told_not_seen(book) -> None:
    told = case(MELANOMA, present=("plaque",), history=("bleeding", "sunburn as a child"))
    assert of_kind(book, "direct", told).text.startswith("Seen: plaque. Told: bleeding. ")
    assert of_kind(book, "direct", told).report.findings == ("plaque",)


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (case(present=("papule",)), "no diagnosis"),
        (case(NEVUS), "no sign"),
        (case(NEVUS, present=("silvery scale",)), "no textbook rule"),
        (case(NEVUS, MELANOMA, present=("papule",)), "no single risk bucket"),
        (case(NEVUS, KERATOSIS, present=("papule",)), "no textbook rule"),
    ],
)
def test_without_grounding_nothing_is_made(book, of: Case, reason: str) -> None:
    made, refused = trajectories(of, book, TAXONOMY)
    assert made == [] and [r.kind for r in refused] == list(DEFAULT_KINDS)
    assert all(reason in r.reason for r in refused)


def test_a_kind_without_grounding_is_refused_alone(book) -> None:
    dysplastic = case(DYSPLASTIC, present=("macule",))  # no rival in the graph
    made, refused = trajectories(dysplastic, book, TAXONOMY)
    assert [t.kind for t in made] == ["direct"]
    assert {r.kind: r.reason for r in refused}["kept"] == "diagnosis has no rival in the differential graph"


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ((NEVUS,), NEVUS),
        ((NEVUS, DYSPLASTIC), "neoplasm/benign/melanocytic"),
        ((NEVUS, DYSPLASTIC, KERATOSIS), "neoplasm/benign"),
    ],
)
def test_several_nodes_meet_in_their_ancestor(nodes: tuple[str, ...], expected: str) -> None:
    assert truth_node(case(*nodes), TAXONOMY) == expected


def test_diagnoses_of_unrelated_branches_are_no_truth() -> None:
    with pytest.raises(Ungrounded, match="unrelated branches"):
        truth_node(case(NEVUS, TINEA), TAXONOMY)


def test_report_follows_from_case_and_graph(book) -> None:
    report = of_kind(book, "kept").report
    assert [entry.diagnosis for entry in report.differential] == [NEVUS, KERATOSIS, DYSPLASTIC]
    truth, keratosis, dysplastic = report.differential
    assert (report.condition, report.advice) == ("benign", "self_care")
    assert truth.evidence_for == ("papule", "brown colour", "sharp border") and truth.evidence_against == ()
    assert keratosis.evidence_against == ("sharp border", "warty surface")
    assert dysplastic.evidence_against == ("sharp border", "papule")
    assert report.citations == ("primer:common-nevus#morphology", "primer:seborrheic-keratosis#morphology")


@pytest.mark.parametrize(
    ("node", "sign", "advice"),
    [(MELANOMA, "plaque", "urgent_visit"), (TINEA, "scale", "prompt_visit"), (PSORIASIS, "plaque", "routine_visit")],
)
def test_advice_follows_bucket_and_infection(book, node: str, sign: str, advice: str) -> None:
    assert of_kind(book, "direct", case(node, present=(sign,))).report.advice == advice


@given(st.integers(-9, 9), st.lists(st.integers(-9, 9), max_size=2))
def test_probabilities_are_ranked_and_at_most_one(truth: int, rivals: list[int]) -> None:
    top, others = probabilities(truth, rivals)
    assert all(top > other >= 0.01 for other in others)
    assert 0 < top + sum(others) <= 1
    assert all(round(p, 2) == p for p in (top, *others))


some_signs = st.lists(st.sampled_from(list(concepts())), max_size=9, unique=True)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_everything_made_is_grounded_valid_and_short(book, data: st.DataObject) -> None:
    node = data.draw(st.sampled_from(list(SHOWN)))
    own = data.draw(st.lists(st.sampled_from(SHOWN[node]), max_size=5))
    present = dict.fromkeys([*own, *data.draw(some_signs)])
    absent = [name for name in data.draw(some_signs) if name not in present]
    drawn = case(node, present=tuple(present), absent=tuple(absent))
    made, refused = trajectories(drawn, book, TAXONOMY)
    assert len(made) + len(refused) == len(DEFAULT_KINDS)
    for trajectory in made:
        assert check(trajectory, drawn, book, TAXONOMY) == []
        assert parse(render(trajectory.answer), TAXONOMY) == trajectory.answer
        assert inconsistencies(trajectory.report, TAXONOMY) == []
        assert trajectory.text == " ".join(step.text for step in trajectory.steps)
        assert not any(step.saw_answer for step in trajectory.steps if step.kind == "finding")


def test_order_of_annotations_does_not_matter(book) -> None:
    backwards = NEVUS_CASE.model_copy(update={"findings": tuple(reversed(NEVUS_CASE.findings))})
    assert trajectories(NEVUS_CASE, book, TAXONOMY) == trajectories(backwards, book, TAXONOMY)


def edited(trajectory: Trajectory, kind: str, **changes: object) -> Trajectory:
    index = next(i for i, step in enumerate(trajectory.steps) if step.kind == kind)
    step = trajectory.steps[index]
    changes = {key: value(step) if callable(value) else value for key, value in changes.items()}
    return trajectory.with_step(index, replace(step, **changes))


def plus(claim: Claim):
    return lambda step: (*step.claims, claim)


def swap(old: str, new: str):
    return lambda step: step.text.replace(old, new)


@pytest.mark.parametrize(
    ("kind", "changes", "fault"),
    [
        ("finding", {"text": swap("papule", "papule, ulcer")}, "words and claims differ: ulcer"),
        ("finding", {"text": swap("papule", "no papule")}, "words and claims differ: no papule, papule"),
        (
            "finding",
            {"text": swap("papule", "papule, ulcer"), "claims": plus(Claim("present", "ulcer"))},
            "not true: present ulcer",
        ),
        ("finding", {"text": swap("Seen", "As in melanoma")}, "names melanoma"),
        ("finding", {"source": "label"}, "source is label"),
        ("knowledge", {"text": swap("#morphology", "#course")}, "does not exist"),
        ("knowledge", {"text": "Common nevus shows papule, brown colour, sharp border."}, "does not cite"),
        ("knowledge", {"text": swap("papule", "scale")}, "words and claims differ"),
        (
            "knowledge",
            {
                "text": swap("papule", "papule, scale"),
                "claims": plus(Claim("rule", "scale", NEVUS, passage="primer:common-nevus#morphology")),
            },
            "not true: rule scale",
        ),
        ("knowledge", {"saw_answer": False}, "chosen by the label"),
        ("comparison", {"claims": lambda s: s.claims[:4], "text": swap("against it", "so")}, "without a reason"),
        ("comparison", {"text": swap("shares", "<b>shares")}, "'<'"),
        ("conclusion", {"text": "Conclusion: melanoma."}, "names melanoma"),
        ("conclusion", {"text": "Conclusion: melanoma.", "about": MELANOMA}, "does not conclude"),
    ],
)
def test_check_finds_what_is_not_grounded(book, kind: str, changes: dict, fault: str) -> None:
    tampered = edited(of_kind(book, "kept"), kind, **changes)
    assert any(fault in line for line in check(tampered, NEVUS_CASE, book, TAXONOMY)), check(
        tampered, NEVUS_CASE, book, TAXONOMY
    )


def test_another_cases_findings_do_not_pass(book) -> None:
    other = case(NEVUS, present=("macule", "brown colour"))
    assert any("not true: present" in line for line in check(of_kind(book, "direct"), other, book, TAXONOMY))


class Fixed:
    def __init__(self, words):
        self.words = words

    def rewrite(self, step_text: str) -> str:
        return self.words(step_text)


def test_template_default_changes_nothing(book) -> None:
    trajectory = of_kind(book, "kept")
    assert reword(trajectory, TemplateRewriter(), NEVUS_CASE, book, TAXONOMY) == trajectory


def test_every_own_phrasing_is_grounded(book) -> None:
    texts = set()
    for seed in range(12):
        for kind in DEFAULT_KINDS:
            new = reword(of_kind(book, kind), TemplateRewriter(3, seed), NEVUS_CASE, book, TAXONOMY)
            assert {step.wording for step in new.steps} <= {"template", "rewritten"}
            texts.add(new.text)
    assert len(texts) > 6


def test_faithful_rewrites_are_kept_and_marked(book) -> None:
    new = reword(of_kind(book, "kept"), Fixed(lambda t: f"Well: {t}"), NEVUS_CASE, book, TAXONOMY)
    assert all(step.text.startswith("Well: ") and step.wording == "rewritten" for step in new.steps)


@pytest.mark.parametrize(
    "words", [lambda t: "", lambda t: t + " Also an ulcer.", lambda t: t * 20, lambda t: "Melanoma."]
)
def test_unfaithful_rewrites_leave_the_template_and_are_marked(book, words) -> None:
    old = of_kind(book, "kept")
    new = reword(old, Fixed(words), NEVUS_CASE, book, TAXONOMY)
    assert new.text == old.text
    assert {step.wording for step in new.steps} == {"rewrite refused"}
