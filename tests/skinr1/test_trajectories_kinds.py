"""The kinds beside direct, kept and switched: what they say, what they need, and that they end in valid reports."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinr1.cases import Case
from skinr1.concepts import concept, concepts
from skinr1.knowledge import Knowledge
from skinr1.report import MAX_FORCED_THINKING, inconsistencies, parse, render
from skinr1.seven_point import CRITERION_OF, seven_point_score
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories import DEFAULT_KINDS, KINDS, Trajectory, check, trajectories
from skinr1.trajectories.kinds import UNDIAGNOSED
from skinr1.trajectories.reading import diagnoses_named
from skinr1.trajectories.steps import CITATION
from tests.skinr1.grounded import DYSPLASTIC, MELANOMA, NEVUS, SHOWN, case, knowledge, tree

TAXONOMY = tree()
NEVUS_CASE = case(
    NEVUS, present=("sharp border", "brown colour", "papule"), absent=("warty surface", "several colours", "macule")
)
NETWORK = ("irregular network", "irregular dots")
# A whole Derm7pt row as annotations: two signs present, everything else looked for.
DERMOSCOPY = case(
    MELANOMA,
    present=("plaque", "irregular border", *NETWORK),
    absent=tuple(name for name in CRITERION_OF if name not in NETWORK),
    modality="dermoscopic",
)
UNGRADABLE = case(NEVUS, present=("papule", "ungradable image"))


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    return knowledge(tmp_path_factory.mktemp("knowledge"))


def of_kind(book: Knowledge, kind: str, of: Case = NEVUS_CASE) -> Trajectory:
    (made,), refused = trajectories(of, book, TAXONOMY, [kind])
    assert not refused and check(made, of, book, TAXONOMY) == []
    return made


def refused_for(book: Knowledge, kind: str, of: Case) -> str:
    made, (refusal,) = trajectories(of, book, TAXONOMY, [kind])
    assert made == []
    return refusal.reason


def test_the_first_three_are_what_is_built_unless_asked() -> None:
    assert DEFAULT_KINDS == ("direct", "kept", "switched") and set(DEFAULT_KINDS) < set(KINDS)


def test_descent_decides_every_contested_level_against_the_best_of_the_other_branches(book) -> None:
    made = of_kind(book, "descent")
    assert made.text == (
        "Seen: papule, brown colour, sharp border. "
        "Neoplasm: considered plaque psoriasis [primer:plaque-psoriasis#morphology]: shares sharp border; "
        "against it [primer:common-nevus#morphology]: papule. "
        "Benign: considered melanoma [primer:melanoma#morphology]: shares brown colour; "
        "against it [primer:common-nevus#morphology]: papule. "
        "Melanocytic: considered seborrheic keratosis [primer:seborrheic-keratosis#morphology]: shares papule; "
        "against it [primer:common-nevus#morphology]: sharp border. "
        "Common nevus: considered dysplastic nevus [primer:dysplastic-nevus#morphology]: shares brown colour; "
        "against it [primer:common-nevus#differential]: sharp border. "
        "Textbook [primer:common-nevus#morphology]: common nevus shows papule, brown colour, sharp border. "
        "Conclusion: common nevus."
    )


def test_descent_needs_a_sign_for_every_contested_level(book) -> None:
    assert "not decided" in refused_for(book, "descent", case(NEVUS, present=("brown colour",)))


def test_a_level_names_the_node_where_the_rival_leaves(book) -> None:
    made = of_kind(book, "descent")
    index = next(i for i, step in enumerate(made.steps) if step.text.startswith("Benign"))
    wrong = replace(made.steps[index], text=made.steps[index].text.replace("Benign", "Neoplasm"))
    assert f"step {index} (level): names neoplasm" in check(made.with_step(index, wrong), NEVUS_CASE, book, TAXONOMY)


def test_comparison_weighs_several_and_ranks_them_as_the_report_does(book) -> None:
    made = of_kind(book, "compared")
    assert made.text.count("Considered ") == 2
    assert "Ranking: common nevus, seborrheic keratosis, dysplastic nevus. Conclusion: common nevus." in made.text
    assert [TAXONOMY.node(node).name for node in made.report.nodes()[1:]] == [
        "common nevus",
        "seborrheic keratosis",
        "dysplastic nevus",
    ]
    index = len(made.steps) - 2
    short = replace(made.steps[index], text="Ranking: common nevus, dysplastic nevus.")
    assert any("does not name" in fault for fault in check(made.with_step(index, short), NEVUS_CASE, book, TAXONOMY))


def test_comparison_needs_two_rivals(book) -> None:
    assert "twice over" in refused_for(book, "compared", case(MELANOMA, present=("plaque", "brown colour")))
    assert "no rival" in refused_for(book, "compared", case(DYSPLASTIC, present=("macule",)))


def test_checklist_goes_from_signs_over_points_to_the_diagnosis(book) -> None:
    made = of_kind(book, "checklist", DERMOSCOPY)
    assert made.text == (
        "Seen: plaque, irregular border, irregular network, irregular dots. "
        "Checklist: irregular network 2, irregular dots 1, sum 3, suspicious (threshold 3). "
        "Textbook [primer:melanoma#morphology]: melanoma shows plaque, irregular border. Conclusion: melanoma."
    )
    values = dict.fromkeys({criterion for criterion, _ in CRITERION_OF.values()}, "absent")
    values.update(CRITERION_OF[name] for name in NETWORK)
    assert seven_point_score(values) == 3
    points = next(step for step in made.steps if step.kind == "checklist")
    assert (points.source, points.saw_answer) == ("seven_point", False)


@pytest.mark.parametrize(
    ("present", "absent", "said"),
    [
        (("blue-white veil", "irregular network"), (), "sum at least 4, suspicious (threshold 3)"),
        (("regular network",), "rest", "Checklist: regular network 0, sum 0, unsuspicious (threshold 3)"),
        ((), "rest", "Checklist: sum 0, unsuspicious (threshold 3)"),
    ],
)
def test_checklist_says_what_is_not_recorded(book, present, absent, said: str) -> None:
    absent = tuple(name for name in CRITERION_OF if name not in present) if absent == "rest" else absent
    assert said in of_kind(book, "checklist", case(NEVUS, present=("papule", *present), absent=absent)).text


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (NEVUS_CASE, "no dermoscopic sign"),
        (DERMOSCOPY.model_copy(update={"modality": "clinical"}), "no dermoscopic sign"),
        (case(NEVUS, present=("papule", "irregular dots")), "under its threshold and not fully annotated"),
    ],
)
def test_checklist_is_for_dermoscopy_that_decides(book, of: Case, reason: str) -> None:
    assert reason in refused_for(book, "checklist", of)


def test_description_tells_the_signs_group_by_group_and_never_the_disease(book) -> None:
    made = of_kind(book, "description")
    assert made.text == (
        "Form: papule. Colour: brown colour. Border: sharp border. "
        "Looked for: no macule, not several colours, no warty surface."
    )
    assert made.report.nodes() == () and (made.report.condition, made.report.advice) == (None, "none")
    assert made.report.findings == ("papule", "brown colour", "sharp border")
    assert not any(step.saw_answer for step in made.steps)
    named = replace(made.steps[0], text="Form: papule of a common nevus.")
    assert "names a diagnosis: common nevus" in check(made.with_step(0, named), NEVUS_CASE, book, TAXONOMY)


def test_description_needs_no_label_and_does_not_depend_on_one(book) -> None:
    signs = {"present": ("papule", "itch"), "absent": tuple(SHOWN[NEVUS][1:]) + tuple(SHOWN[MELANOMA])}
    texts = {of_kind(book, "description", case(*label, **signs)).text for label in ((), (NEVUS,), (MELANOMA,))}
    assert len(texts) == 1 and texts.pop().count("no ") == 4
    assert "no sign is annotated as visible" in refused_for(book, "description", case(NEVUS, present=("itch",)))


@pytest.mark.parametrize("quality", ["ungradable image", "non-skin image"])
def test_refusal_says_why_and_asks_for_a_new_image(book, quality: str) -> None:
    made = of_kind(book, "refusal", case(present=(quality,)))
    assert made.text == f"Seen: {quality}. No diagnosis: new image needed."
    assert (made.report.findings, made.report.advice, made.report.nodes()) == ((quality,), "new_image", ())


def test_an_image_beyond_assessment_is_refused_and_nothing_else(book) -> None:
    made, refused = trajectories(UNGRADABLE, book, TAXONOMY, tuple(KINDS))
    assert [t.kind for t in made] == ["refusal"]
    assert {r.reason for r in refused} == {"image cannot be assessed: ungradable image"}
    assert "can be assessed" in refused_for(book, "refusal", NEVUS_CASE)


def test_a_refusal_of_a_good_image_is_a_fault(book) -> None:
    faults = check(of_kind(book, "refusal", UNGRADABLE), NEVUS_CASE, book, TAXONOMY)
    assert any("declines" in fault for fault in faults)
    # and a description of an image beyond assessment is another
    described = of_kind(book, "description")
    bad = NEVUS_CASE.model_copy(
        update={"findings": (*NEVUS_CASE.findings, *case(present=("non-skin image",)).findings)}
    )
    assert any("cannot be assessed" in fault for fault in check(described, bad, book, TAXONOMY))


VISIBLE = [name for name in concepts() if concept(name).group != "quality"]
some_signs = st.lists(st.sampled_from(VISIBLE), max_size=9, unique=True)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_every_kind_is_grounded_valid_and_servable(book, data: st.DataObject) -> None:
    node = data.draw(st.sampled_from(list(SHOWN)))
    own = data.draw(st.lists(st.sampled_from(SHOWN[node]), max_size=5))
    present = dict.fromkeys([*own, *data.draw(some_signs)])
    absent = [name for name in data.draw(some_signs) if name not in present]
    drawn = case(node, present=tuple(present), absent=tuple(absent))
    made, refused = trajectories(drawn, book, TAXONOMY, tuple(KINDS))
    assert [t.kind for t in made] + [r.kind for r in refused] and len(made) + len(refused) == len(KINDS)
    for trajectory in made:
        assert check(trajectory, drawn, book, TAXONOMY) == []
        assert parse(render(trajectory.answer), TAXONOMY) == trajectory.answer
        assert inconsistencies(trajectory.report, TAXONOMY) == []
        assert len(trajectory.text) <= MAX_FORCED_THINKING
        if trajectory.kind in UNDIAGNOSED:
            assert not CITATION.search(trajectory.text)
            assert diagnoses_named(render(trajectory.answer), Taxonomy.load()) == ()
