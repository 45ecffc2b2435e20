"""Description, recoverability, rationale: who is asked what, what is kept, and what the record says."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from skinr1.cases import Case, Role
from skinr1.knowledge import Knowledge
from skinr1.llm import Cache, Client, Endpoint
from skinr1.trajectories import Fault, check_text, description
from skinr1.trajectories.asking import Asker
from skinr1.trajectories.description import Describer, retold
from skinr1.trajectories.rationale import Reasoner
from skinr1.trajectories.recovery import Reader, candidates
from skinr1.trajectories.writing import Writer, Written, counts_of
from tests.llm_server import FakeModel, completion, error, served
from tests.skinr1.grounded import KERATOSIS, MELANOMA, NEVUS, case, knowledge, tree
from tests.skinr1.writing_model import Words, colour_of, paint, step_of, text_of

TAXONOMY = tree()
NAMES = ("common nevus", "melanoma", "seborrheic keratosis")
SEEN = "Form: papule. Colour: brown colour. Border: sharp border."
SIGNS = ("papule", "brown colour", "sharp border")
LABELLED = case(NEVUS, role=Role.SPARSE, label="secret-label", age=40, history=("itch",), site="forearm")
ANNOTATED = case(NEVUS, present=(*SIGNS, "itch"), absent=("warty surface",), label="secret-label")
RULE = "[primer:common-nevus#morphology]"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    return knowledge(tmp_path_factory.mktemp("knowledge"))


def write(
    book: Knowledge,
    tmp_path: Path,
    of: Case,
    says: str = SEEN,
    odd: dict[str, Any] | None = None,
    votes: int = 3,
    names: tuple[str, ...] | None = NAMES,
    model: FakeModel | None = None,
) -> tuple[Written, FakeModel]:
    """One case through all steps; the model says ``says`` of its image."""
    paint(tmp_path / "a.png", colour_of(0))
    picture = (tmp_path / "a.png").read_bytes()
    model = model or FakeModel(Words({colour_of(0): says}, odd))

    async def run(url: str) -> Written:
        async with Endpoint(url, pause=0.0) as endpoint:
            client = Client(endpoint, Cache(tmp_path / "cache"), 4)
            asker = {name: Asker(name, "m", 100) for name in ("describe", "read", "reason")}
            writer = Writer(
                Describer(asker["describe"], client, book, TAXONOMY),
                Reader(asker["read"], votes, (votes + 1) // 2, names),
                Reasoner(asker["reason"], client, book, TAXONOMY),
                client,
                TAXONOMY,
            )
            return await writer.write(of, [picture])

    with served(model) as url:
        return asyncio.run(run(url)), model


def record(written: Written) -> dict[str, dict[str, Any]]:
    return {step["step"]: step for step in written.record}


def asked(model: FakeModel, step: str) -> list[str]:
    return [json.dumps(body) for body in model.bodies if step_of(body) == step]


@pytest.mark.parametrize("of", [LABELLED, ANNOTATED], ids=["labelled", "annotated"])
def test_a_case_becomes_a_description_and_an_argument(book: Knowledge, tmp_path: Path, of: Case) -> None:
    written, _ = write(book, tmp_path, of)
    plain, argued = written.made
    assert (plain.kind, plain.text, plain.report.diagnosis) == ("description", SEEN, None)
    assert argued.kind == "described" and argued.report.diagnosis == NEVUS
    assert argued.text == f"{SEEN} Textbook {RULE}: common nevus shows papule, brown colour, sharp border. " \
        "Conclusion: common nevus."  # fmt: skip
    assert [step.saw_answer for step in argued.steps] == [False, False, False, True, True]
    assert {step.wording for step in argued.steps} == {"rewritten"}
    assert argued.report.findings == SIGNS and argued.report.citations == (RULE[1:-1],)
    steps = [(step["step"], step["saw_answer"], step.get("fallback", False)) for step in written.record]
    assert steps == [("description", False, False), ("recoverability", True, False), ("rationale", True, False)]
    assert not written.rejected and counts_of(written)["recovered"] == 1
    said = retold(of, plain.steps, TAXONOMY)
    assert check_text(argued.text, said, book, TAXONOMY) == []


def test_who_describes_and_who_reads_is_never_told_the_answer(book: Knowledge, tmp_path: Path) -> None:
    _, model = write(book, tmp_path, LABELLED, names=None)
    (described,) = asked(model, "describe")
    for hidden in ("nevus", "secret", "forearm", "40", "case-1", "a.png"):
        assert hidden not in described.partition("data:image")[0] + described.partition('"type": "text"')[2]
    assert "itch" not in json.dumps([part for part in model.bodies[0]["messages"][1]["content"] if "text" in part])
    readings = asked(model, "read")
    assert len(readings) == 3 and len(set(readings)) == 3  # each vote has a seed of its own
    assert all(
        "nevus" not in reading and "secret" not in reading and "image_url" not in reading for reading in readings
    )
    (reasoned,) = asked(model, "reason")
    assert "common nevus" in reasoned and "secret" not in reasoned and "image_url" not in reasoned


def test_the_label_changes_no_byte_of_what_the_describer_is_sent(book: Knowledge, tmp_path: Path) -> None:
    sent = []
    for number, of in enumerate((LABELLED, LABELLED.model_copy(update={"diagnoses": (MELANOMA,), "label": "other"}))):
        _, model = write(book, tmp_path / str(number), of)
        sent.append(asked(model, "describe") + sorted(asked(model, "read")))  # the votes are asked for at once
    assert sent[0] == sent[1]


def test_a_description_from_which_nobody_finds_the_diagnosis_is_rejected(book: Knowledge, tmp_path: Path) -> None:
    written, model = write(book, tmp_path, LABELLED, "Form: plaque. Border: irregular border.")
    assert written.made == () and not asked(model, "reason")
    assert written.rejected == tuple((k, "not recovered from the description") for k in ("description", "described"))
    votes = record(written)["recoverability"]["votes"]
    assert [vote["named"] for vote in votes] == ["melanoma"] * 3 and not any(vote["recovers"] for vote in votes)
    assert counts_of(written)["votes:wrong"] == 3


@pytest.mark.parametrize(
    ("answer", "unusable"),
    [
        ("common nevus", "no verdict"),
        ('```json\n{"diagnosis": "common nevus"}\n```', "no verdict"),
        ('{"diagnosis": "common nevus", "diagnosis": "melanoma"}', "no verdict"),
        ('{"diagnosis": ["common nevus"]}', "no verdict"),
        ('{"diagnosis": "nevus of Ota"}', "not a candidate"),
        (completion('{"diagnosis": "common nevus"}', "length"), "cut off"),
        (completion(None, "content_filter"), "unfinished"),
    ],
)
def test_an_unusable_vote_counts_against(book: Knowledge, tmp_path: Path, answer: Any, unusable: str) -> None:
    written, _ = write(book, tmp_path, LABELLED, odd={"read": answer})
    assert not written.made and counts_of(written)[f"votes:unusable, {unusable}"] == 3


def test_votes_are_counted_against_what_is_needed(book: Knowledge, tmp_path: Path) -> None:
    words = Words({colour_of(0): SEEN})

    def only(right: int) -> FakeModel:
        def answer(body: dict[str, Any]) -> Any:
            wrong = step_of(body) == "read" and body["seed"] >= right
            return '{"diagnosis": "melanoma"}' if wrong else words(body)

        return FakeModel(answer)

    assert not write(book, tmp_path / "1", LABELLED, model=only(1))[0].made
    assert len(write(book, tmp_path / "2", LABELLED, model=only(2))[0].made) == 2


@pytest.mark.parametrize(
    ("label", "named", "right"),
    [(NEVUS, "common nevus", True), ("neoplasm/benign/melanocytic", "common nevus", True),
     (NEVUS, "dysplastic nevus", False), (NEVUS, "benign", False), (NEVUS, "made up", False)],
)  # fmt: skip
def test_a_vote_may_be_finer_than_the_label_never_coarser(
    book: Knowledge, tmp_path: Path, label: str, named: str, right: bool
) -> None:
    of = LABELLED.model_copy(update={"diagnoses": (label,)})
    written, _ = write(book, tmp_path, of, odd={"read": json.dumps({"diagnosis": named})}, votes=1, names=None)
    assert record(written)["recoverability"]["recovered"] is right


def test_candidates_are_the_labels_of_the_run() -> None:
    assert candidates([(NEVUS,), (MELANOMA, NEVUS), ()], TAXONOMY) == ("common nevus", "melanoma")


def test_what_no_image_shows_is_taken_out_and_listed(book: Knowledge, tmp_path: Path) -> None:
    written, model = write(book, tmp_path, LABELLED, f"{SEEN} The patient reports itch. A biopsy was taken.")
    assert written.made[0].text == SEEN
    removed = record(written)["description"]["removed"]
    assert [one["kind"] for one in removed] == ["history", "test result"]
    assert all("itch" not in reading and "biopsy" not in reading for reading in asked(model, "read"))
    assert counts_of(written)["removed:history"] == 1


BAD_DESCRIPTIONS = [
    ("A common nevus with a sharp border.", "names a diagnosis"),
    ("It glows.", "no sign"),
    ("Form: papule. It glows.", "not grounded"),
    ("Form: papule, no papule.", "contradicts itself"),
    ("A biopsy was taken.", "nothing visible"),
    ("- papule\n- sharp border", "not plain text"),
    ("", "empty"),
    ("papule " * 200, "too long"),
    (completion(SEEN, "length"), "cut off"),
]


@pytest.mark.parametrize(("says", "fault"), BAD_DESCRIPTIONS)
def test_an_unusable_description_rejects_a_case_that_nobody_annotated(
    book: Knowledge, tmp_path: Path, says: Any, fault: str
) -> None:
    written, model = write(book, tmp_path, LABELLED, odd={"describe": says})
    assert not written.made and model.calls == 1
    assert {kind for kind, _ in written.rejected} == {"description", "described"}
    assert all(reason.startswith(f"not described: {fault}") for _, reason in written.rejected), written.rejected


@pytest.mark.parametrize(("says", "fault"), [*BAD_DESCRIPTIONS, ("Form: plaque.", "not grounded")])
def test_annotations_step_in_and_the_record_says_so(book: Knowledge, tmp_path: Path, says: Any, fault: str) -> None:
    written, _ = write(book, tmp_path, ANNOTATED, odd={"describe": says})
    described = record(written)["description"]
    assert described["fallback"] is True and described["fault"].startswith(fault)
    plain, argued = written.made
    assert {step.wording for step in plain.steps} == {"rewrite refused"} and "itch" not in plain.text
    assert {claim.concept for step in plain.steps for claim in step.claims} == {*SIGNS, "warty surface"}
    assert argued.report.diagnosis == NEVUS and counts_of(written)["fallback:description"] == 1


def test_a_template_that_is_not_grounded_does_not_step_in(
    book: Knowledge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(description, "check_text", lambda *_: [Fault(0, 1, "It.", "made up")])
    written, _ = write(book, tmp_path, ANNOTATED, odd={"describe": ""})
    assert not written.made and record(written)["description"]["template"] == "not grounded: made up, in 'It.'"


def test_a_refused_picture_is_a_fault_like_any(book: Knowledge, tmp_path: Path) -> None:
    model = FakeModel(Words({}), [error(400, "image is not taken")] * 2)
    written, _ = write(book, tmp_path, LABELLED, model=model)
    assert "refused by the endpoint: server answered 400: image is not taken" in written.rejected[0][1]


BAD_RATIONALES = [
    ("Conclusion: melanoma.", "not grounded"),
    (f"Textbook {RULE}: common nevus shows papule.", "does not conclude"),
    ("The papule fits. Conclusion: common nevus.", "cites nothing"),
    (f"Textbook {RULE}: common nevus shows papule. An ulcer is seen. Conclusion: common nevus.", "not grounded"),
    (f"Textbook {RULE}: common nevus shows papule. It is firm. Conclusion: common nevus.", "not visible"),
    (f"Textbook {RULE}: common nevus shows papule. Pain is told. Conclusion: common nevus.", "not visible"),
    ("1. Because.\n2. So.", "not plain text"),
    (completion("Conclusion: common nevus.", "length"), "cut off"),
]


@pytest.mark.parametrize(("argues", "fault"), BAD_RATIONALES)
def test_an_unusable_rationale_is_replaced_and_told(book: Knowledge, tmp_path: Path, argues: Any, fault: str) -> None:
    written, _ = write(book, tmp_path, LABELLED, odd={"reason": argues})
    rationale = record(written)["rationale"]
    assert rationale["fallback"] is True and rationale["fault"].startswith(fault), rationale["fault"]
    argued = written.made[1]
    assert [step.wording for step in argued.steps] == ["rewritten"] * 3 + ["rewrite refused"] * 2
    assert argued.text.endswith("Conclusion: common nevus.") and counts_of(written)["fallback:rationale"] == 1


def test_without_a_passage_for_the_diagnosis_nobody_is_asked_to_argue(book: Knowledge, tmp_path: Path) -> None:
    written, model = write(book, tmp_path, LABELLED, "Surface: warty surface.")
    assert [made.kind for made in written.made] == ["description"] and not asked(model, "reason")
    assert written.rejected[0][0] == "described" and "no textbook rule" in written.rejected[0][1]


def test_a_case_without_a_label_is_described_and_nobody_votes(book: Knowledge, tmp_path: Path) -> None:
    written, model = write(book, tmp_path, case(role=Role.CAPTION))
    assert [made.kind for made in written.made] == ["description"] and model.calls == 1 and not written.rejected


def test_a_rival_that_is_named_is_in_the_differential(book: Knowledge, tmp_path: Path) -> None:
    rival = "[primer:seborrheic-keratosis#morphology]"
    text = f"Textbook {RULE}: common nevus shows papule. Considered seborrheic keratosis {rival}: shares papule; " \
        f"against it {RULE}: sharp border. Conclusion: common nevus."  # fmt: skip
    written, _ = write(book, tmp_path, LABELLED, odd={"reason": text})
    report = written.made[1].report
    assert record(written)["rationale"]["fallback"] is False, record(written)["rationale"]["fault"]
    assert KERATOSIS in {entry.diagnosis for entry in report.differential}


def test_the_prompt_for_the_argument_offers_passages_that_exist(book: Knowledge, tmp_path: Path) -> None:
    _, model = write(book, tmp_path, LABELLED)
    text = next(text_of(body) for body in model.bodies if step_of(body) == "reason")
    assert f"{RULE}: common nevus shows macule, papule" in text and "complains of itch" in text
