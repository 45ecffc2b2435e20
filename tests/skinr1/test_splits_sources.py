"""Several data sets in one build: their own splits, their common patients, their strata."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinr1.cases import Case, Role, SkinTone
from skinr1.splits import Sight, assign, audit, conflicts, groups, plan, report
from skinr1.splits.overlaps import PICTURES, known_overlaps

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
SPLITS = [None, "train", "validation", "test"]


def case(case_id: str, source: str = "s", tone: int | None = None, diagnosis: str = "a", **more) -> Case:
    shade = None if tone is None else SkinTone(scale="fitzpatrick", value=tone, provenance="clinician")
    return Case(
        case_id=case_id,
        source=source,
        images=more.pop("images", ("i.png",)),
        role=Role.SPARSE,
        diagnoses=(diagnosis,),
        skin_tone=shade,
        licence="CC0-1.0",
        **more,
    )


def together(*cases: Case) -> bool:
    return len(set(groups(cases))) == 1


# Known overlaps


def test_edges_name_families_that_hold_both_ends():
    table = known_overlaps()
    for edge in table.edges:
        assert edge.inner != edge.outer
        if edge.by != PICTURES:
            assert {edge.inner, edge.outer} <= set(table.families[edge.by].sources)
    edges = {(edge.inner, edge.outer) for edge in table.edges}
    assert len(edges) == len(table.edges) and not edges & {(outer, inner) for inner, outer in edges}


MD5 = "5e82a45bc5d78bd24ae9202d194423f8"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (case("ham10000.ISIC_0027419", "ham10000"), case("isic_2019.ISIC_0027419", "isic_2019")),
        (case("a", "isic", images=("images/ISIC_0027419.jpg",)), case("ISIC_0027419_downsampled", "isic_2019")),
        (case("x", "ham10000", lesion_id="HAM_0000118"), case("y", "isic_2019", lesion_id="HAM_0000118")),
        (case("x", "bcn20000", lesion_id="BCN_0003389"), case("y", "isic_2019", lesion_id="BCN_0003389")),
        (case("x", "isic_2020", patient_id="IP_7279968"), case("y", "isic", patient_id="IP_7279968")),
        (case(f"skincon.{MD5}", "skincon"), case(f"fitzpatrick17k.{MD5}", "fitzpatrick17k")),
        (case(f"skincap.{MD5}", "skincap"), case(f"fitzpatrick17k.{MD5}", "fitzpatrick17k")),
        (case("skincon.000017", "skincon"), case("ddi.000017", "ddi")),
        (case("omnimedvqa-ISIC_0000042", "omnimedvqa"), case("isic_2018-ISIC_0000042", "isic_2018")),
    ],
)
def test_one_picture_in_two_data_sets_is_one_group(first, second):
    assert together(first, second)
    assert audit([c.model_copy(update={"split": s}) for c, s in ((first, "train"), (second, "test"))])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (case("ISIC_0027419", "ham10000"), case("ISIC_0027418", "isic_2019")),
        (case("a-ISIC_0027419", "own"), case("ISIC_0027419", "isic_2019")),
        (case("ddi.000017", "ddi"), case("ddi.000018", "ddi")),
        (case("ddi.000017", "ddi"), case(f"skincon.000017{MD5[6:]}", "skincon")),
        (case("x", "pad_ufes_20", patient_id="IP_7279968"), case("y", "isic", patient_id="IP_7279968")),
    ],
)
def test_other_pictures_and_other_data_sets_are_not_joined(first, second):
    assert not together(first, second)


def test_overlap_by_pictures_alone_is_a_fault_when_nobody_looked():
    rows = [case("d", "derm1m", split="train"), case("n", "dermnet", split="test")]
    assert report(rows, [], None)["faults"] == []
    (fault,) = report(rows, None, None)["faults"]
    assert "derm1m" in fault and "dermnet" in fault


def test_the_report_counts_what_an_overlap_joined():
    rows = [case(f"h-ISIC_{n:07d}", "ham10000", split="train") for n in range(4)]
    rows += [case(f"i-ISIC_{n:07d}", "isic_2019", split="train") for n in range(1, 9)]
    (edge,) = report(rows, None, None)["overlaps"]
    assert (edge["inner"], edge["outer"], edge["groups_of_inner"], edge["joined"]) == ("ham10000", "isic_2019", 4, 3)


# Near-duplicates


def test_near_duplicates_join_cases_through_chains():
    rows = [case("a", patient_id="p"), case("b", patient_id="p"), case("c"), case("d"), case("e")]
    found = groups(rows, [("b", "c"), ("d", "c"), ("e", "not here")])
    assert len(set(found[:4])) == 1 and found[4] != found[0]


def test_a_planted_leak_is_found_named_and_prevented():
    sight = Sight("a", "i.png", "b", "i.png", 0.99)
    rows = [case("a", split="train"), case("b", split="test"), case("c", split="validation")]
    (fault,) = audit(rows, [sight.cases])
    assert "test and train" in fault and "a" in fault and "b" in fault
    found = report(rows, [sight], None)
    assert found["faults"] == [fault] and found["pairs_across_splits_before"] == 1
    assert found["pairs_new_to_ids"] == 1 and found["pairs"][0]["sides"][0]["split"] == "train"
    more = [case(f"d{n}") for n in range(20)]
    done = assign([*rows, *more], SHARES, 0, [sight.cases])
    assert audit(done, [sight.cases]) == [] and done[0].split == done[1].split == "test"
    before = ["train", "test", *(c.split for c in done[2:])]
    assert report(done, [sight], before)["pairs_across_splits_before"] == 1


# Official splits


def test_published_splits_are_kept():
    rows = [case(f"o{n}", "o", split=SPLITS[1 + n % 3]) for n in range(30)] + [case(f"n{n}", "n") for n in range(100)]
    done = assign(rows, SHARES, 0)
    assert [c.split for c in done[:30]] == [c.split for c in rows[:30]]
    assert Counter(c.split for c in done[30:]) == {"train": 80, "validation": 10, "test": 10}


def test_validation_is_carved_from_published_train_and_test_stays_whole():
    rows = [case(f"o{n}", "o", split="test" if n < 40 else "train") for n in range(130)]
    done = assign(rows, SHARES, 0)
    assert {c.split for c in done[:40]} == {"test"}
    assert Counter(c.split for c in done[40:]) == {"train": 80, "validation": 10}
    assert {c.split for c in assign(rows, {"train": 1}, 0)[40:]} == {"train"}


@pytest.mark.parametrize(
    ("published", "kept", "moved"),
    [
        (("train", "test"), "test", 1),
        (("train", "train", "validation"), "validation", 2),
        (("validation", "test", "train", None), "test", 2),
    ],
)
def test_where_published_splits_leak_test_wins_and_the_move_is_told(published, kept, moved):
    rows = [case(f"x{n}", "o", patient_id="p", split=split) for n, split in enumerate(published)]
    rows += [case(f"y{n}", "o", split=split) for n, split in enumerate(("train", "validation", "test"))]
    done = assign(rows, SHARES, 0)
    assert {c.split for c in done[: len(published)]} == {kept} and audit(done) == []
    (conflict,) = conflicts(rows)
    assert (conflict.kept, conflict.moved) == (kept, moved)
    assert "x0" in str(conflict) and f"all go to {kept}" in str(conflict)
    assert report(done, None, None, [conflict])["official"]["moved"] == moved


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from("st"), st.sampled_from(SPLITS), st.integers(0, 60)),
        min_size=40,
        max_size=90,
    ),
    st.integers(0, 3),
)
def test_nothing_leaks_and_only_conflicts_move_whatever_the_data(rows, seed):
    cases = [
        case(f"c{n}", source, patient_id=f"p{patient}", split=split, diagnosis="abc"[n % 3], tone=1 + n % 6)
        for n, (patient, source, split, _) in enumerate(rows)
    ]
    pairs = [(f"c{n}", f"c{other}") for n, (*_, other) in enumerate(rows) if other < 8]
    cases += [case(f"free{n}") for n in range(4)]
    done = assign(cases, {"train": 1, "validation": 1}, seed, pairs)
    assert audit(done, pairs) == []
    published = {c.case_id for c in cases if c.split in ("validation", "test")}
    left = {old.case_id for old, new in zip(cases, done, strict=True) if old.split != new.split}
    named = {i for conflict in conflicts(cases, pairs) for ids in conflict.cases.values() for i in ids}
    assert left & published <= named
    mixed = {c.case_id: c.split for c in assign(cases[::-1], {"train": 1, "validation": 1}, seed, pairs[::-1])}
    assert mixed == {c.case_id: c.split for c in done}


def test_data_that_are_all_test_stay_so():
    assert {c.split for c in assign([case(f"c{n}", split="test") for n in range(5)], SHARES, 0)} == {"test"}


def test_what_is_for_evaluation_only_goes_to_test_with_all_it_joins():
    rows = [case(f"h-ISIC_{n:07d}", "ham10000", split="train") for n in range(20)]
    rows += [case("o-ISIC_0000003", "omnimedvqa", evaluation_only=True), case("o-ISIC_9", "omnimedvqa")]
    done = {c.case_id: c.split for c in assign(rows, {"train": 1}, 0)}
    assert done["h-ISIC_0000003"] == done["o-ISIC_0000003"] == "test" and done["h-ISIC_0000004"] == "train"
    assert [conflict.kept for conflict in conflicts(rows)] == ["test"]


# Strata


def test_tone_is_spread_within_each_diagnosis():
    rows = [case(f"c{n}", tone=1 + n // 3 % 6, diagnosis="abc"[n % 3]) for n in range(1800)]
    spread = Counter((c.diagnoses[0], c.skin_tone.value, c.split) for c in assign(rows, SHARES, 0))
    for diagnosis in "abc":
        for tone in range(1, 7):
            assert abs(spread[diagnosis, tone, "test"] - 10) <= 1 and abs(spread[diagnosis, tone, "train"] - 80) <= 2


def test_rare_tones_and_sources_reach_every_split():
    rows = [case(f"c{n}", "big", tone=6 if n % 40 < 2 else 2, diagnosis="ab"[n % 2]) for n in range(1000)]
    rows += [case(f"d{n}", "small", tone=4, diagnosis="ab"[n % 2]) for n in range(50)]
    done = assign(rows, SHARES, 0)
    tone = Counter(c.split for c in done if c.skin_tone.value == 6)
    source = Counter(c.split for c in done if c.source == "small")
    for counts in (tone, source):
        assert abs(counts["train"] - 40) <= 1 and abs(counts["test"] - 5) <= 1 and abs(counts["validation"] - 5) <= 1


def test_planning_reads_its_cases_once():
    rows = [case(f"c{n}", patient_id=f"p{n // 3}") for n in range(60)]
    assert plan(iter(rows), SHARES, 0) == [c.split for c in assign(rows, SHARES, 0)]
