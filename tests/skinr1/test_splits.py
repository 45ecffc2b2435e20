"""No patient and no lesion is in two splits; diagnoses are spread over them."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinr1.cases import Case, Role
from skinr1.errors import UserError
from skinr1.splits import assign, audit, groups

THIRDS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def case(number: int, patient: str | None = None, lesion: str | None = None, diagnosis: str = "a", **more) -> Case:
    return Case(
        case_id=f"c{number}",
        source=more.pop("source", "s"),
        images=("i.png",),
        role=Role.SPARSE,
        diagnoses=(diagnosis,),
        patient_id=patient,
        lesion_id=lesion,
        licence="CC0-1.0",
        **more,
    )


def test_patient_and_lesion_join_through_chains():
    rows = [case(0, "p1", "l1"), case(1, None, "l1"), case(2, "p2", "l1"), case(3, "p2"), case(4, "p3"), case(5)]
    found = groups(rows)
    assert len(set(found[:4])) == 1 and len(set(found)) == 3


def test_same_id_in_two_sources_is_two_patients():
    assert len(set(groups([case(0, "7"), case(1, "7", source="other")]))) == 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40), st.sampled_from("abc")), min_size=30, max_size=80))
def test_never_leaks_whatever_the_ids(rows):
    cases = [case(i, f"p{p}" if p else None, f"l{q}" if q else None, d) for i, (p, q, d) in enumerate(rows)]
    if len(set(groups(cases))) < 3:
        return
    done = assign(cases, THIRDS, seed=1)
    assert audit(done) == [] and {c.split for c in done} == set(THIRDS)


def test_each_diagnosis_keeps_its_fractions():
    rows = [case(i, f"p{i}", diagnosis="abcdefghij"[i % 10]) for i in range(500)]
    spread = Counter((c.diagnoses[0], c.split) for c in assign(rows, THIRDS, seed=0))
    assert all(spread[d, "train"] == 40 and spread[d, "validation"] == spread[d, "test"] == 5 for d in "abcdefghij")


def test_order_of_cases_does_not_matter_and_seed_does():
    rows = [case(i, f"p{i // 2}", diagnosis="abc"[i % 3]) for i in range(90)]
    first = {c.case_id: c.split for c in assign(rows, THIRDS, 3)}
    assert first == {c.case_id: c.split for c in assign(rows[::-1], THIRDS, 3)}
    assert first != {c.case_id: c.split for c in assign(rows, THIRDS, 4)}


def test_tiny_data_fill_every_split():
    done = assign([case(i, f"p{i}", diagnosis=str(i)) for i in range(3)], THIRDS, 0)
    assert {c.split for c in done} == set(THIRDS)


@pytest.mark.parametrize(
    ("count", "fractions", "reason"),
    [
        (2, THIRDS, "split would be empty"),
        (0, THIRDS, "split would be empty"),
        (9, {"train": 1, "dev": 1}, "unknown split"),
        (9, {"train": 1, "test": -1}, "negative"),
        (9, {"train": 0}, "positive"),
    ],
)
def test_bad_splits(count, fractions, reason):
    with pytest.raises(UserError, match=reason):
        assign([case(i) for i in range(count)], fractions, 0)


def test_audit_names_the_leak():
    faults = audit([case(0, "p1", split="train"), case(1, "p1", split="test"), case(2)])
    assert len(faults) == 2 and "p1" in faults[1] and "c2" in faults[0]
