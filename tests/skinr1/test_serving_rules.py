"""Red flags, least advice and citations are decided by rule, whatever the model says."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinr1.errors import UserError
from skinr1.report import WITHOUT_DIAGNOSIS, DifferentialEntry, Report
from skinr1.serving.rules import URGENCY, RedFlagPolicy, apply_rules, resolve_citations
from skinr1.taxonomy import Bucket, Taxonomy
from skinr1.trajectories.reports import advice_on
from skinr1.urgency import EMERGENCIES, SERIOUS, SLOW_CARCINOMAS, WATCHED
from tests.skinr1.sample_report import REPORT

TAXONOMY = Taxonomy.load()
NEVUS = "neoplasm/benign/melanocytic/common_nevus"
MELANOMA = "neoplasm/malignant/melanocytic"
BCC = next(n for n in TAXONOMY.nodes if n.endswith("/basal_cell_carcinoma"))
SCABIES = "infectious/parasitic/mite_louse/scabies"
CELLULITIS = next(n for n in TAXONOMY.nodes if n.endswith("/cellulitis"))
TEN = "inflammatory/drug_reaction/severe/toxic_epidermal_necrolysis"
ECZEMA = next(n for n in TAXONOMY.nodes if n.endswith("/atopic_dermatitis"))
NODES = [NEVUS, MELANOMA, BCC, SCABIES, CELLULITIS, TEN, ECZEMA, "neoplasm", *TAXONOMY.diagnoses[::60]]


def report(*rivals: tuple[str, float], advice: str = "self_care", **changed: object) -> Report:
    entries = tuple(
        DifferentialEntry(diagnosis=node, probability=p, evidence_for=(), evidence_against=()) for node, p in rivals
    )
    fields = {
        "diagnosis": rivals[0][0],
        "condition": TAXONOMY.bucket(rivals[0][0]) or Bucket.INDETERMINATE,
        "differential": entries,
        "advice": advice,
    }
    return Report.model_validate({**dict(REPORT), **fields, **changed})


DECLINED = Report.model_validate(
    {**dict(REPORT), "diagnosis": None, "condition": None, "differential": (), "advice": "new_image"}
)


@pytest.mark.parametrize(
    ("rivals", "kinds", "advice"),
    [
        pytest.param([(NEVUS, 0.9), (ECZEMA, 0.1)], [], "self_care", id="nothing to flag"),
        pytest.param([(NEVUS, 0.95), (MELANOMA, 0.05)], ["malignant"], "prompt_visit", id="at the threshold"),
        pytest.param([(NEVUS, 0.96), (MELANOMA, 0.04)], [], "self_care", id="under it"),
        pytest.param(
            [(NEVUS, 0.94), (MELANOMA, 0.03), (BCC, 0.03)], ["malignant"] * 2, "prompt_visit", id="small ones add up"
        ),
        pytest.param([(MELANOMA, 0.01), (NEVUS, 0.9)], ["malignant"], "prompt_visit", id="the leading one always"),
        pytest.param([(ECZEMA, 0.8), (SCABIES, 0.2)], ["infectious"], "prompt_visit", id="contagious"),
        pytest.param([(ECZEMA, 0.8), (CELLULITIS, 0.2)], ["infectious"], "routine_visit", id="not contagious"),
        pytest.param([(ECZEMA, 0.98), (TEN, 0.02)], ["emergency"], "urgent_visit", id="emergency"),
        pytest.param([("neoplasm", 0.9)], ["malignant"], "prompt_visit", id="a group that may be malignant"),
    ],
)
def test_flags_follow_the_tree_and_the_threshold(
    rivals: list[tuple[str, float]], kinds: list[str], advice: str
) -> None:
    checked, flags = apply_rules(report(*rivals), TAXONOMY)
    assert ([flag.kind for flag in flags], checked.advice) == (kinds, advice)


def test_urgent_flags_stand_first() -> None:
    _, flags = apply_rules(report((ECZEMA, 0.4), (SCABIES, 0.3), (MELANOMA, 0.2), (TEN, 0.1)), TAXONOMY)
    assert [flag.kind for flag in flags] == ["emergency", "infectious", "malignant"]


def test_condition_called_malignant_is_a_suspicion_though_the_diagnosis_is_benign() -> None:
    checked, flags = apply_rules(report((NEVUS, 0.9), condition=Bucket.MALIGNANT), TAXONOMY)
    assert [flag.diagnosis for flag in flags] == [NEVUS] and checked.advice == "prompt_visit"


def test_diagnosis_missing_from_its_own_differential_is_flagged() -> None:
    _, flags = apply_rules(report((NEVUS, 0.9), diagnosis=MELANOMA, condition=Bucket.BENIGN), TAXONOMY)
    assert [(flag.diagnosis, flag.probability) for flag in flags] == [(MELANOMA, 0.0)]


def test_report_that_declines_is_left_alone() -> None:
    assert apply_rules(DECLINED, TAXONOMY) == (DECLINED, ())


RIVALS = st.lists(st.tuples(st.sampled_from(NODES), st.integers(0, 100).map(lambda p: p / 100)), min_size=1, max_size=5)


@given(rivals=RIVALS, advice=st.sampled_from(URGENCY))
def test_advice_is_only_raised_and_rules_applied_twice_change_nothing(
    rivals: list[tuple[str, float]], advice: str
) -> None:
    before = report(*rivals, advice=advice)
    after, flags = apply_rules(before, TAXONOMY)
    assert URGENCY.index(after.advice) >= URGENCY.index(advice)
    assert apply_rules(after, TAXONOMY) == (after, flags)
    assert after.model_copy(update={"advice": advice}) == before


@given(rivals=RIVALS)
def test_a_malignant_rival_over_the_threshold_is_never_missed(rivals: list[tuple[str, float]]) -> None:
    _, flags = apply_rules(report(*rivals), TAXONOMY)
    flagged = {flag.diagnosis for flag in flags if flag.kind == "malignant"}
    assert {node for node, p in rivals if p >= 0.05 and TAXONOMY.bucket(node) is Bucket.MALIGNANT} <= flagged


@given(rivals=RIVALS, words=st.sampled_from(["low", "moderate", "high"]), findings=st.sampled_from([(), ("papule",)]))
def test_flags_do_not_depend_on_the_models_other_words(
    rivals: list[tuple[str, float]], words: str, findings: tuple[str, ...]
) -> None:
    changed = report(*rivals, confidence=words, findings=findings, advice="urgent_visit", citations=())
    assert apply_rules(changed, TAXONOMY)[1] == apply_rules(report(*rivals), TAXONOMY)[1]


def test_citations_without_a_passage_are_removed_and_told() -> None:
    kept, removed = resolve_citations(REPORT, {"primer:common-nevus#morphology"})
    assert (kept.citations, removed) == (("primer:common-nevus#morphology",), ("primer:melanoma",))
    assert resolve_citations(kept, {"primer:common-nevus#morphology"}) == (kept, ())


def test_lists_of_urgency_are_nodes_of_the_shipped_tree() -> None:
    assert [node for node in (*EMERGENCIES, *SERIOUS, *SLOW_CARCINOMAS, *WATCHED) if node not in TAXONOMY.nodes] == []


@pytest.mark.parametrize("confidence", ["low", "moderate", "high"])
def test_what_is_taught_is_never_less_urgent_than_the_rules(confidence: Literal["low", "moderate", "high"]) -> None:
    for node in TAXONOMY.diagnoses:
        bucket = TAXONOMY.bucket(node)
        assert bucket is not None
        taught = advice_on(node, bucket, confidence)
        kept, _ = apply_rules(report((node, 0.9), advice=taught), TAXONOMY)
        assert kept.advice == taught, node


def test_every_advice_of_a_diagnosis_has_a_rank() -> None:
    levels = set(Report.model_json_schema()["properties"]["advice"]["enum"])
    assert levels == {*URGENCY, *WITHOUT_DIAGNOSIS}


@pytest.mark.parametrize("wrong", [{"malignant": 5.0}, {"infectious": -0.1}, {"malignant_advice": "soon"}])
def test_policy_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError):
        RedFlagPolicy(**wrong)  # type: ignore[arg-type]
