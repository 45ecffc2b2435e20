"""Votes on the tree: back-off, abstention, agreement; and that a minority's suspicion is still flagged."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skinr1.errors import UserError
from skinr1.report import Report, report_from_json
from skinr1.serving.aggregation import VIEWS, VotingPolicy, aggregate, view
from skinr1.serving.rules import apply_rules
from skinr1.taxonomy import Bucket, Taxonomy
from tests.skinr1.test_serving_rules import BCC, DECLINED, ECZEMA, MELANOMA, NEVUS, NODES, SCABIES, report

TAXONOMY = Taxonomy.load()
NODULAR, SUPERFICIAL = f"{MELANOMA}/nodular_melanoma", f"{MELANOMA}/superficial_spreading_melanoma"


def test_one_answer_stays_as_it_is() -> None:
    one = report((NEVUS, 0.7), (MELANOMA, 0.2))
    assert aggregate([one], TAXONOMY).report is one


def test_majority_is_reported_with_the_mean_differential() -> None:
    found = aggregate(
        [report((NEVUS, 0.9)), report((NEVUS, 0.7), (BCC, 0.3)), report((BCC, 0.6), (NEVUS, 0.2))], TAXONOMY
    )
    assert found.report.diagnosis == NEVUS and found.agreement.share == pytest.approx(2 / 3, abs=1e-4)
    assert [(e.diagnosis, e.probability) for e in found.report.differential] == [(NEVUS, 0.6), (BCC, 0.3)]
    assert found.agreement.voted == {NEVUS: 2, BCC: 1} and found.nearest == 0


def test_split_between_siblings_backs_off_to_their_parent() -> None:
    found = aggregate([report((NODULAR, 0.6)), report((SUPERFICIAL, 0.6))], TAXONOMY)
    assert (found.report.diagnosis, found.agreement.share) == (MELANOMA, 1.0)
    assert found.agreement.backed_off in (NODULAR, SUPERFICIAL)
    assert found.report.differential[0].probability == 0.6 and found.report.condition is Bucket.MALIGNANT


def test_scattered_votes_abstain_and_the_minority_is_flagged_all_the_same() -> None:
    answers = [report((NEVUS, 0.9)), report((ECZEMA, 0.9)), report((SCABIES, 0.6), (MELANOMA, 0.4))]
    found = aggregate(answers, TAXONOMY)
    assert found.report.diagnosis is None and found.agreement.abstained
    after, flags = apply_rules(found.report, TAXONOMY, samples=answers)
    assert [(flag.kind, flag.diagnosis) for flag in flags] == [("infectious", SCABIES), ("malignant", MELANOMA)]
    assert after.advice == "new_image" and "prompt visit" in flags[0].text


def test_outvoted_melanoma_raises_the_advice() -> None:
    answers = [report((NEVUS, 0.9))] * 4 + [report((MELANOMA, 0.5), (NEVUS, 0.4))]
    voted = aggregate(answers, TAXONOMY)
    after, flags = apply_rules(voted.report, TAXONOMY, samples=answers)
    assert (voted.report.diagnosis, after.advice, len(flags)) == (NEVUS, "prompt_visit", 1)


def test_answers_that_decline_stay_in_the_denominator() -> None:
    found = aggregate([report((NEVUS, 0.9)), DECLINED, DECLINED], TAXONOMY)
    assert found.report.diagnosis is None and found.agreement.share == pytest.approx(1 / 3, abs=1e-4)
    everybody = aggregate([DECLINED, DECLINED], TAXONOMY)
    assert not everybody.agreement.abstained and everybody.agreement.entropy == 0


def test_confidence_weights_let_the_surer_answer_win() -> None:
    answers = [report((NEVUS, 0.2)), report((BCC, 0.95))]
    assert aggregate(answers, TAXONOMY).report.diagnosis == "neoplasm"
    weighted = aggregate(answers, TAXONOMY, VotingPolicy(weights="confidence", temperature=0.2))
    assert weighted.report.diagnosis == BCC


def test_disagreement_lowers_confidence_and_agreement_never_raises_it() -> None:
    sure = [report((NEVUS, 0.9), confidence="high")] * 4
    assert aggregate(sure, TAXONOMY).report.confidence == "high"
    assert aggregate([*sure, report((BCC, 0.9))], TAXONOMY).report.confidence == "moderate"
    assert aggregate([report((NEVUS, 0.9), confidence="low")] * 4, TAXONOMY).report.confidence == "low"


RIVALS = st.lists(st.sampled_from(NODES), min_size=1, max_size=4, unique=True).flatmap(
    lambda nodes: st.lists(st.integers(0, 25), min_size=len(nodes), max_size=len(nodes)).map(
        lambda weights: list(zip(nodes, (w / 100 for w in weights), strict=True))
    )
)
ANSWERS = st.lists(st.one_of(st.just(DECLINED), RIVALS.map(lambda rivals: report(*rivals))), min_size=1, max_size=8)


@given(answers=ANSWERS, seed=st.integers(0, 99), kind=st.sampled_from(["equal", "confidence"]))
def test_any_answers_give_a_valid_report_whatever_their_order(answers: list[Report], seed: int, kind: str) -> None:
    policy = VotingPolicy(weights=kind)  # type: ignore[arg-type]
    found = aggregate(answers, TAXONOMY, policy)
    again = aggregate(random.Random(seed).sample(answers, len(answers)), TAXONOMY, policy)
    assert (again.report, again.agreement) == (found.report, found.agreement)
    assert report_from_json(found.report.model_dump(mode="json"), TAXONOMY) == found.report
    assert 0 <= found.agreement.share <= 1 and found.agreement.entropy >= 0
    assert sum(entry.probability for entry in found.report.differential) <= 1.005
    node = found.report.diagnosis
    if node is not None and len(answers) > 1:
        votes = [a.diagnosis for a in answers if a.diagnosis is not None]
        assert any(node in TAXONOMY.path(vote) for vote in votes) and found.agreement.share >= policy.support


def test_views_are_different_pictures_of_the_same_pixels() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    assert view(image, 0) is image and view(image, VIEWS).tobytes() == image.tobytes()
    whole = [view(image, number) for number in range(8)]
    assert len({(v.size, v.tobytes()) for v in whole}) == 8
    assert len({tuple(sorted(v.getdata())) for v in whole}) == 1
    assert view(image, 8).size == (28, 18)


@pytest.mark.parametrize("wrong", [{"support": 0.5}, {"temperature": 0.0}])
def test_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError):
        VotingPolicy(**wrong)  # type: ignore[arg-type]


def test_nothing_to_aggregate_is_told() -> None:
    with pytest.raises(UserError, match="no answer"):
        aggregate([], TAXONOMY)
