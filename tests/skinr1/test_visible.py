"""The visible-only filter: what a photograph cannot show goes, what it can show stays."""

import pytest

from skinr1.concepts import concepts
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.findings import HISTORY
from skinr1.trajectories.visible import unseeable, without_unseeable


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("A biopsy confirmed it.", "test result"),
        ("Histopathology shows nests.", "test result"),
        ("KOH was positive.", "test result"),
        ("It will heal.", "outcome"),
        ("The prognosis is good.", "outcome"),
        ("It may metastasise.", "outcome"),
        ("It responds to steroids.", "treatment"),
        ("Excision is advised.", "treatment"),
        ("The papule is firm.", "touch"),
        ("Tender on palpation.", "touch"),
        ("It has grown for six months.", "history"),
        ("The patient reports itch.", "history"),
        ("Itching is present.", "history"),
        ("The family is affected.", "history"),
        ("Growth was rapid.", "history"),
    ],
)
def test_what_no_image_shows_is_found(taxonomy: Taxonomy, sentence: str, kind: str) -> None:
    assert [found.kind for found in unseeable(sentence, taxonomy)] == [kind]
    kept, removed = without_unseeable(f"Form: papule. {sentence} Colour: brown colour.", taxonomy)
    assert kept == "Form: papule. Colour: brown colour."
    assert [found.sentence for found in removed] == [sentence]


@pytest.mark.parametrize("entry", concepts().values(), ids=lambda entry: entry.name)
def test_every_visible_sign_may_be_named_and_no_complaint(taxonomy: Taxonomy, entry) -> None:
    for name in (entry.name, *entry.aliases):
        for text in (f"{entry.group.capitalize()}: {name}.", f"{entry.group.capitalize()}: no {name}."):
            assert bool(unseeable(text, taxonomy)) == (entry.group == HISTORY), text


def test_a_recorded_complaint_may_be_repeated(taxonomy: Taxonomy) -> None:
    text = "The patient reports itch. The patient reports pain."
    assert [found.sentence for found in unseeable(text, taxonomy, {"itch"})] == ["The patient reports pain."]


def test_what_is_cited_is_the_books(taxonomy: Taxonomy) -> None:
    text = "Textbook [primer:melanoma#morphology]: melanoma shows bleeding and may metastasise."
    assert unseeable(text, taxonomy) == []
