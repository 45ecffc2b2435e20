"""The grounding check of free text: faithful words pass whoever wrote them, lies of every sort are caught."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_builders.sources.rendered_clinic import rendered_clinic
from skinr1.cases import Case
from skinr1.knowledge import Knowledge
from skinr1.seven_point import CRITERION_OF
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories import KINDS, check, check_text, trajectories
from skinr1.trajectories.model import type_of
from skinr1.trajectories.reading import diagnoses_named, sentences
from tests.skinr1.grounded import MELANOMA, NEVUS, PSORIASIS, case, knowledge, tree
from tests.skinr1.mutations import MUTATIONS, Facts, World

TAXONOMY = tree()
SHIPPED = Taxonomy.load()
PRIMER = Knowledge.primer(SHIPPED)
OF = case(
    NEVUS,
    present=("sharp border", "brown colour", "papule", "silvery scale"),
    absent=("warty surface", "several colours", "crust"),
    age=40,
    sex="female",
    site="left forearm",
)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    return knowledge(tmp_path_factory.mktemp("knowledge"))


NEVUS_RULE = "[primer:common-nevus#morphology]"
KERATOSIS_RULE = "[primer:seborrheic-keratosis#morphology]"
INTRODUCED = f"Considered seborrheic keratosis {KERATOSIS_RULE}: shares papule; against it {NEVUS_RULE}: sharp border."


@pytest.mark.parametrize(
    "text",
    [
        "A papule with a sharp border is seen, without crust.",
        "The lesion shows no warty surface, crust or several colours.",
        "A 40 years old woman presents with a papule on the left forearm.",
        "There is scaling: silvery scale.",  # silvery scale is scale, and scaling a synonym
        "Neither crust nor warty surface is visible.",
        "Crust and warty surface are absent.",
        "Not seen: crust, warty surface.",
        "The border may be a well-defined border.",
        f"Common nevus shows papule and sharp border {NEVUS_RULE}.",
        f"According to the textbook {NEVUS_RULE}, a papule or a macule is seen in common nevus.",
        f"Textbook {NEVUS_RULE}: common nevus shows papule. The papule fits common nevus.",
        INTRODUCED,
        f"{INTRODUCED} The conclusion is common nevus rather than seborrheic keratosis.",
        "Conclusion: common nevus.",
        "Conclusion: a benign neoplasm.",
        "So look further.",
    ],
)
def test_faithful_words_pass(book: Knowledge, text: str) -> None:
    assert check_text(text, OF, book, TAXONOMY) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("There is an ulcer.", "not annotated"),
        ("Perhaps an ulcer is present.", "not annotated"),
        ("No ulcer is seen.", "not annotated as absent"),
        ("There is no papule.", "annotated as present"),
        ("The papule isn't seen.", "annotated as present"),
        ("The sharp border and papule could not be found.", "annotated as present"),
        ("Sharp border, brown colour and papule are not noted.", "annotated as present"),
        ("Not seen: crust, papule.", "annotated as present"),
        ("A sharp border instead of a papule.", "annotated as present"),
        ("A crust is seen.", "annotated as absent"),
        ("A papule that glows.", "word that no vocabulary holds"),
        ("A large papule.", "word that no vocabulary holds"),
        ("A papule on the right forearm.", "word that no vocabulary holds"),
        ("A 50 years old woman with a papule.", "word that no vocabulary holds"),
        ("A man with a papule.", "word that no vocabulary holds"),
        (f"Common nevus shows scale {NEVUS_RULE}.", "passage does not say so"),
        (f"Common nevus shows no papule {NEVUS_RULE}.", "passage does not say so"),
        (f"Common nevus always shows papule {NEVUS_RULE}.", "word that no vocabulary holds"),
        (f"Common nevus rarely shows papule {NEVUS_RULE}.", "passage does not say so"),
        (f"Common nevus shows papule {KERATOSIS_RULE}.", "passage does not say so"),
        ("Common nevus shows papule [primer:common-nevus#course].", "passage does not exist"),
        (f"Common nevus shows papule {NEVUS_RULE} [primer:melanoma#morphology].", "passage is cited for nothing"),
        (f"Common nevus and melanoma show papule {NEVUS_RULE}.", "passage is not about it"),
        (f"Common nevus has good prospects {NEVUS_RULE}.", "passage is cited for nothing"),
        ("The papule fits common nevus.", "no passage makes it count for"),
        (f"Textbook {NEVUS_RULE}: common nevus shows papule. The brown colour fits melanoma.",
         "is not the diagnosis of this case"),
        ("Conclusion: melanoma.", "is not the diagnosis of this case"),
        ("Melanoma.", "is not the diagnosis of this case"),
        ("This is melanoma [primer:melanoma#morphology], for brown colour.", "is not the diagnosis of this case"),
        ("Conclusion: a malignant neoplasm.", "is not the diagnosis of this case"),
        ("Conclusion: not common nevus.", "denies the diagnosis of this case"),
        ("This isn't a common nevus.", "denies the diagnosis of this case"),
        ("Excluded: common nevus.", "denies the diagnosis of this case"),
        (f"{INTRODUCED} Seborrheic keratosis rather than common nevus.", "denies the diagnosis of this case"),
        (f"No common nevus shows papule {NEVUS_RULE}.", "denies what the passage is about"),
        (f"Considered no seborrheic keratosis {KERATOSIS_RULE}: shares papule.", "denies what it considers"),
        ("Melanoma was considered.", "diagnosis without a passage"),
        ("Conclusion: common nevus, not melanoma.", "diagnosis without a passage"),
        (f"{INTRODUCED} Conclusion: seborrheic keratosis, not common nevus.", "is not the diagnosis of this case"),
        (f"Considered seborrheic keratosis {KERATOSIS_RULE}: shares sharp border.", "no passage makes it count for"),
        (f"Considered seborrheic keratosis {KERATOSIS_RULE}: shares papule; against it {NEVUS_RULE}: brown colour.",
         "no passage makes it count against"),  # the keratosis is brown too
        ("No diagnosis: new image needed.", "declines although the image can be assessed"),
        ("Checklist: irregular network 2, sum 2, suspicious (threshold 3).", "checklist is not this case's"),
    ],
)  # fmt: skip
def test_what_nothing_supports_is_refused_with_the_reason(book: Knowledge, text: str, reason: str) -> None:
    found = check_text(text, OF, book, TAXONOMY)
    assert reason in {fault.reason for fault in found}, found


def test_a_fault_points_at_its_sentence(book: Knowledge) -> None:
    text = "A papule is seen.  There is an ulcer; and a crust! Conclusion: common nevus."
    found = check_text(text, OF, book, TAXONOMY)
    assert {text[fault.start : fault.end] for fault in found} == {"There is an ulcer; and a crust!"}
    assert [fault.why for fault in found] == ["not annotated: ulcer", "annotated as absent: crust"]


def test_a_sign_is_not_absent_where_a_kind_of_it_is_present(book: Knowledge) -> None:
    odd = case(NEVUS, present=("macule", "silvery scale"), absent=("scale", "crust"))
    made, _ = trajectories(odd, book, TAXONOMY, ("description",))
    assert "Looked for: no crust." in made[0].text and check(made[0], odd, book, TAXONOMY) == []


def test_without_a_label_no_disease_may_be_named(book: Knowledge) -> None:
    blind = case(present=("papule",))
    assert check_text("A papule is seen.", blind, book, TAXONOMY) == []
    assert check_text("A papule is seen. Conclusion: common nevus.", blind, book, TAXONOMY)


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("Seen: papule. No crust.", ["observation", "observation"]),
        (f"Textbook {NEVUS_RULE}: common nevus shows papule.", ["knowledge"]),
        (f"Considered melanoma {NEVUS_RULE}: shares papule.", ["inference"]),
        ("Conclusion: common nevus. So on.", ["inference", "inference"]),
        ("The papule fits common nevus.\nIt is 1.5 wide", ["inference", "observation"]),
        ("", []),
        (";", ["observation"]),
        ("Papule;; crust.", ["observation"]),
    ],
)
def test_sentences_have_types(text: str, types: list[str]) -> None:
    read = list(sentences(text, TAXONOMY))
    assert [sentence.type for sentence in read] == types
    assert all(text[sentence.start : sentence.end] == sentence.text for sentence in read)


def test_names_are_found_by_alias_and_in_the_plural_and_signs_are_no_names() -> None:
    assert diagnoses_named("Moles; BCC, Plaque   psoriasis and plaques", SHIPPED) == (
        "moles",
        "bcc",
        "plaque   psoriasis",
    )
    assert diagnoses_named("plaque, warty surface, red colour", SHIPPED) == ()
    assert diagnoses_named("An ulcer of 6 mm; ten more, let alone MM and AN", SHIPPED) == ("mm", "an")


@settings(deadline=None)
@given(st.text(max_size=120))
def test_any_text_can_be_read(book: Knowledge, text: str) -> None:
    for fault in check_text(text, OF, book, TAXONOMY):
        assert text[fault.start : fault.end] == fault.sentence


RENDERED = [row for row in rendered_clinic(0, 60, 0, seed=3) if isinstance(row, Case)]


def drawn(draw: random.Random) -> Case:
    """A rendered patient with some of the annotations, now and then with a whole 7-point checklist."""
    of = draw.choice(RENDERED)
    kept = [found for found in of.findings if draw.random() < (0.9 if found.present else 0.5)]
    if draw.random() < 0.3:
        known = {found.concept for found in kept}
        extra = [name for name in CRITERION_OF if name not in known]
        kept += [kept[0].model_copy(update={"concept": name, "present": draw.random() < 0.2}) for name in extra if kept]
        return of.model_copy(update={"findings": tuple(kept), "modality": "dermoscopic"})
    return of.model_copy(update={"findings": tuple(kept)})


@pytest.mark.parametrize("seed", range(4))
def test_what_is_built_from_any_part_of_the_annotations_is_grounded(seed: int) -> None:
    draw = random.Random(seed)
    made: Counter[str] = Counter()
    for _ in range(25):
        of = drawn(draw)
        for trajectory in trajectories(of, PRIMER, SHIPPED, tuple(KINDS))[0]:
            assert check(trajectory, of, PRIMER, SHIPPED) == []
            types = [sentence.type for sentence in sentences(trajectory.text, SHIPPED)]
            assert types == [type_of(step.kind) for step in trajectory.steps]
            made[trajectory.kind] += 1
    assert set(made) >= set(KINDS) - {"refusal", "checklist"}


def test_mutations_are_caught() -> None:
    """At least 99 % of the lies of each sort, by the text alone: the claims of the steps are not looked at."""
    draw, facts = random.Random(17), Facts(PRIMER, SHIPPED)
    told: Counter[str] = Counter()
    missed: dict[str, list[str]] = {name: [] for name in MUTATIONS}
    for _ in range(12):
        of = drawn(draw)
        for trajectory in trajectories(of, PRIMER, SHIPPED, tuple(KINDS))[0]:
            world = World(trajectory, of, facts)
            for name, mutate in MUTATIONS.items():
                lies = [text for text in mutate(world, draw) if text != trajectory.text]
                for text in draw.sample(lies, min(2, len(lies))):
                    told[name] += 1
                    missed[name] += [] if check_text(text, of, PRIMER, SHIPPED) else [text]
    assert set(told) == set(MUTATIONS) and sum(told.values()) > 600
    for name in MUTATIONS:
        assert len(missed[name]) <= 0.01 * told[name], missed[name][:3]


def test_mutations_of_the_small_book_are_caught_too(book: Knowledge) -> None:
    draw, facts = random.Random(5), Facts(book, TAXONOMY)
    melanoma = case(MELANOMA, present=("plaque", "irregular border", "black colour"), absent=("sharp border",))
    psoriasis = case(PSORIASIS, present=("plaque", "red colour", "silvery scale"), absent=("ring shape",))
    for of in (OF, melanoma, psoriasis):
        for trajectory in trajectories(of, book, TAXONOMY, tuple(KINDS))[0]:
            for mutate in MUTATIONS.values():
                for text in mutate(World(trajectory, of, facts), draw):
                    assert text == trajectory.text or check_text(text, of, book, TAXONOMY), text
