"""The 7-point checklist in both versions, against Derm7pt's vocabulary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinr1.concepts import concepts
from skinr1.errors import UserError
from skinr1.seven_point import CRITERIA, CRITERION_OF, MAJOR, THRESHOLD, Checklist, points, seven_point_score

NOTHING = dict.fromkeys(CRITERIA, "absent")
# The counting values and their classic points, written out once more: the table of the published checklist.
CLASSIC = {
    ("pigment_network", "atypical"): 2,
    ("blue_whitish_veil", "present"): 2,
    ("vascular_structures", "dotted"): 2,
    ("vascular_structures", "linear irregular"): 2,
    ("pigmentation", "diffuse irregular"): 1,
    ("pigmentation", "localized irregular"): 1,
    ("streaks", "irregular"): 1,
    ("dots_and_globules", "irregular"): 1,
    ("regression_structures", "blue areas"): 1,
    ("regression_structures", "white areas"): 1,
    ("regression_structures", "combinations"): 1,
}
ALL_VALUES = [(criterion, value) for criterion, values in CRITERIA.items() for value in ("absent", *values)]


@pytest.mark.parametrize(("criterion", "value"), ALL_VALUES)
def test_every_value_has_the_published_points(criterion: str, value: str) -> None:
    classic = CLASSIC.get((criterion, value), 0)
    assert seven_point_score({**NOTHING, criterion: value}) == points(criterion, value) == classic
    assert seven_point_score({**NOTHING, criterion: value}, "revised") == min(classic, 1)


checklists = st.fixed_dictionaries({c: st.sampled_from(["absent", *values]) for c, values in CRITERIA.items()})


@given(checklists)
def test_scores_of_both_versions(values: dict[str, str]) -> None:
    counting = [criterion for criterion, value in values.items() if (criterion, value) in CLASSIC]
    assert seven_point_score(values, "revised") == len(counting) <= 7
    assert seven_point_score(values) == len(counting) + len(MAJOR & set(counting)) <= 10


@given(checklists)
def test_concepts_of_a_checklist_give_its_score(values: dict[str, str]) -> None:
    present = [CRITERIA[c][value][1] for c, value in values.items() if value != "absent"]
    absent = [concept for concept in CRITERION_OF if concept not in present]
    for version in ("classic", "revised"):
        made = Checklist.of(present, absent, version)
        assert made.unrecorded == () and made.score == seven_point_score(values, version)
        assert made.suspicious is (made.score >= THRESHOLD[version])


@pytest.mark.parametrize(
    ("version", "present", "score", "suspicious"),
    [
        ("classic", ["irregular network"], 2, False),
        ("classic", ["irregular network", "irregular dots"], 3, True),
        ("classic", ["irregular dots", "irregular streaks"], 2, False),
        ("classic", ["regular network", "telangiectasia"], 0, False),
        ("revised", [], 0, False),
        ("revised", ["irregular dots"], 1, True),
        ("revised", ["irregular network"], 1, True),
    ],
)
def test_thresholds(version, present: list[str], score: int, suspicious: bool) -> None:
    made = Checklist.of(present, [c for c in CRITERION_OF if c not in present], version)
    assert (made.score, made.suspicious) == (score, suspicious)


def test_what_is_not_recorded_leaves_the_verdict_open_until_the_threshold_is_reached() -> None:
    few = Checklist.of(["irregular network"], ["blue-white veil"])
    assert few.score == 2 and few.suspicious is None and "streaks" in few.unrecorded
    assert "blue_whitish_veil" not in few.unrecorded and "pigment_network" not in few.unrecorded
    assert Checklist.of(["irregular network", "blue-white veil"], []).suspicious is True


def test_several_values_of_a_criterion_count_once() -> None:
    assert Checklist.of(["regular network", "irregular network"], []).score == 2
    assert Checklist.of(["dotted vessels", "linear irregular vessels"], []).scored == {"dotted vessels": 2}


def test_every_value_is_a_concept_of_the_vocabulary_and_of_one_value_only() -> None:
    assert set(CRITERION_OF) <= set(concepts())
    assert len(CRITERION_OF) == sum(map(len, CRITERIA.values()))


@pytest.mark.parametrize(
    "values", [{}, {**NOTHING, "streaks": "present"}, {**NOTHING, "hair": "absent"}, {"streaks": "regular"}]
)
def test_what_is_no_checklist_is_one_error(values: dict[str, str]) -> None:
    with pytest.raises(UserError):
        seven_point_score(values)
