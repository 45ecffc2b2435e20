"""Every form says the same, escapes what is not ours, and holds no words of the patient."""

import json
import re
from html.parser import HTMLParser

import pytest

from skinr1.errors import UserError
from skinr1.serving.envelope import ReportEnvelope
from skinr1.serving.formats import MEDIA_TYPES, write
from skinr1.serving.formats.html import about, fragment, scoped_style
from skinr1.serving.formats.markdown import escape
from tests.skinr1.envelopes import ATTACK, HISTORY, PASSAGES, TAXONOMY, full, hostile, refused
from tests.skinr1.gallery_page import Page
from tests.skinr1.test_serving_rules import MELANOMA, NEVUS

FORMS = tuple(MEDIA_TYPES)
READABLE = ("markdown", "html")


def text(page: str) -> str:
    """The words of a page, without its tags."""
    parts: list[str] = []
    reader = HTMLParser()
    reader.handle_data = parts.append  # type: ignore[method-assign]
    reader.feed(page)
    return " ".join(" ".join(parts).split())


@pytest.mark.parametrize("form", READABLE)
def test_red_flags_stand_before_the_diagnosis_and_the_disclaimer_before_both(form: str) -> None:
    said = text(write(full(), form, TAXONOMY, PASSAGES)) if form == "html" else write(full(), form, TAXONOMY, PASSAGES)
    places = [said.index(word) for word in ("not a medical device", "Red flags", "Advice", "common nevus", "not sharp")]
    assert places == sorted(places)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_disclaimer_stamps_advice_and_flags(form: str) -> None:
    said = write(full(), form, TAXONOMY, PASSAGES).replace("\\", "")
    assert "Research software, not a medical device." in said
    for word in ("0123456789abcdef", "2026.2 5ac584eeeebefc7e", "malignant", "prompt"):
        assert word in said


@pytest.mark.parametrize("form", [form for form in FORMS if form != "json"])
def test_words_of_the_patient_stay_out(form: str) -> None:
    assert HISTORY not in write(full(), form, TAXONOMY, PASSAGES)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("envelope", [full(), refused(), hostile()], ids=["full", "refused", "hostile"])
def test_same_envelope_same_bytes(form: str, envelope: ReportEnvelope) -> None:
    assert write(envelope, form, TAXONOMY, PASSAGES) == write(envelope, form, TAXONOMY, PASSAGES)


def test_page_escapes_what_is_not_ours_and_runs_and_loads_nothing() -> None:
    page = write(hostile(), "html", TAXONOMY, PASSAGES)
    read = Page(page)
    assert (read.faults, read.scripts, read.images) == ([], 0, [])
    assert ATTACK in text(page)
    assert "default-src 'none'" in page and "http://" not in page and "https://" not in page


def test_fragments_of_two_reports_share_no_id_and_lead_nowhere() -> None:
    first, second = (Page(fragment(full(), TAXONOMY, PASSAGES, name)) for name in ("a-", "b-"))
    assert first.ids and not set(first.ids) & set(second.ids) and not first.links
    opened = re.findall(r'popovertarget="([^"]+)"', fragment(full(), TAXONOMY, PASSAGES, "a-"))
    assert opened and set(opened) <= set(first.ids)


def test_links_of_the_page_lead_to_its_passages() -> None:
    page = Page(write(full(), "html", TAXONOMY, PASSAGES))
    assert page.links and {href.removeprefix("#") for href in page.links} == set(page.ids)


def test_cited_passages_stand_beside_the_rivals_they_are_about() -> None:
    report = full().report
    cited = {key: PASSAGES[key] for key in report.citations}
    assert about(NEVUS, cited) == [report.citations[0]] and about(MELANOMA, cited) == [report.citations[1]]


def test_markdown_shows_an_attack_as_text() -> None:
    said = write(hostile(), "markdown", TAXONOMY, PASSAGES)
    assert escape(ATTACK) in said and re.search(r"(?<!\\)[<`\[\]]", said) is None


def test_json_is_the_envelope() -> None:
    assert ReportEnvelope.model_validate_json(write(full(), "json", TAXONOMY)) == full()


def test_fhir_bundle_is_valid_and_refers_to_its_own_observations() -> None:
    from fhir.resources.R4B.bundle import Bundle

    said = write(full(), "fhir", TAXONOMY)
    Bundle.model_validate_json(said)
    bundle = json.loads(said)
    report = bundle["entry"][0]["resource"]
    addresses = [entry["fullUrl"] for entry in bundle["entry"]]
    assert [one["reference"] for one in report["result"]] == addresses[1:]
    assert len(set(addresses)) == len(addresses)
    assert report["status"] == "preliminary" and "subject" not in report
    assert report["conclusionCode"][0]["coding"][-1]["code"] == NEVUS
    flag = bundle["entry"][1]["resource"]["valueCodeableConcept"]["coding"]
    assert {c["system"]: c["code"] for c in flag} == {
        "http://hl7.org/fhir/sid/icd-10-cm": TAXONOMY.node(MELANOMA).icd10cm[0],
        "urn:skinr1:taxonomy": MELANOMA,
    }


@pytest.mark.parametrize("envelope", [refused(), hostile()], ids=["refused", "hostile"])
def test_fhir_of_odd_envelopes_is_valid_too(envelope: ReportEnvelope) -> None:
    from fhir.resources.R4B.bundle import Bundle

    Bundle.model_validate_json(write(envelope, "fhir", TAXONOMY))


def test_refusal_is_said_and_no_diagnosis_is() -> None:
    for form in READABLE:
        said = write(refused(), form, TAXONOMY).replace("\\", "")
        assert "shows no skin in colour" in said and "No diagnosis is given" in said and "Condition: benign" not in said


def test_style_for_other_peoples_pages_touches_nothing_else() -> None:
    style = scoped_style()
    depth, outside = 0, ""
    for sign in style:
        outside += sign if depth == 0 else ""
        depth += {"{": 1, "}": -1}.get(sign, 0)
    assert depth == 0 and all(".skinr1-report" in head for head in outside.split("{") if head.strip("} \n"))


def test_unknown_format_is_refused() -> None:
    with pytest.raises(UserError, match="no such format"):
        write(full(), "pdf", TAXONOMY)
