"""The report contract: what is written is read back, what is outside is refused, and schema and parser agree."""

import json
from functools import lru_cache

import jiter
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from skinr1.concepts import concepts
from skinr1.grammar import json_ebnf, longest_json
from skinr1.report import (
    CLOSE,
    DISCLAIMER,
    MAX_ANSWER,
    MAX_THINKING,
    OPEN,
    Answer,
    DifferentialEntry,
    InvalidAnswer,
    Report,
    inconsistencies,
    json_schema,
    parse,
    render,
    report_from_json,
    structural_tag,
)
from skinr1.taxonomy import Bucket, Taxonomy

TREE = Taxonomy.from_yaml(
    """
version: test
tree:
  neoplasm:
    children:
      benign: {bucket: benign, children: {nevus: {name: common nevus}, wart: {}}}
      malignant: {bucket: malignant, children: {melanoma: {}}}
"""
)
NODES = tuple(TREE.nodes)
SCHEMA = json_schema(TREE)

signs = st.lists(st.sampled_from(list(concepts())), max_size=8).map(tuple)
probability = st.integers(0, 100).map(lambda n: n / 100)
entries = st.builds(
    DifferentialEntry,
    diagnosis=st.sampled_from(NODES),
    probability=probability,
    evidence_for=signs,
    evidence_against=signs,
)
COMMON = {
    "schema_version": st.just("v1"),
    "findings": signs,
    "confidence": st.sampled_from(["low", "moderate", "high"]),
    "citations": st.lists(
        st.from_regex(r"[a-z0-9_.-]{1,9}:[a-z0-9_./-]{1,9}(#[a-z0-9_-]{1,9})?", fullmatch=True), max_size=6
    ).map(tuple),
    "disclaimer": st.just(DISCLAIMER),
}
diagnosed = st.builds(
    Report,
    diagnosis=st.sampled_from(NODES),
    condition=st.sampled_from(list(Bucket)),
    differential=st.lists(entries, min_size=1, max_size=5).map(tuple),
    advice=st.sampled_from(["self_care", "routine_visit", "prompt_visit", "urgent_visit"]),
    **COMMON,
)
declined = st.builds(
    Report,
    diagnosis=st.none(),
    condition=st.none(),
    differential=st.just(()),
    advice=st.sampled_from(["new_image", "none"]),
    **COMMON,
)
reports = st.one_of(diagnosed, declined)
thinking = st.text(min_size=1, max_size=300).filter(lambda t: t.strip() and OPEN not in t and CLOSE not in t)
answers = st.builds(Answer, thinking, reports)

ENTRY = {"diagnosis": NODES[2], "probability": 0.7, "evidence_for": ["papule"], "evidence_against": []}
GOOD = {
    "schema_version": "v1",
    "findings": ["papule", "brown colour"],
    "diagnosis": NODES[2],
    "condition": "benign",
    "differential": [ENTRY],
    "confidence": "high",
    "advice": "self_care",
    "citations": ["primer:nevus#morphology"],
    "disclaimer": DISCLAIMER,
}
BODY = json.dumps(GOOD)
DECLINES = {"diagnosis": None, "condition": None, "differential": [], "advice": "new_image"}
THOUGHT = f"{OPEN}Seen: papule.{CLOSE}\n"


def text_of(**changes: object) -> str:
    return THOUGHT + json.dumps({**GOOD, **changes})


def with_entry(**changes: object) -> str:
    return text_of(differential=[{**ENTRY, **changes}])


@settings(deadline=None)
@given(answers)
def test_parse_reads_back_what_render_writes(answer: Answer) -> None:
    assert parse(render(answer), TREE) == answer


@settings(deadline=None, max_examples=40)
@given(reports)
def test_schema_accepts_every_rendered_report(report: Report) -> None:
    jsonschema.validate(json.loads(render(Answer("x", report)).split(CLOSE)[1]), SCHEMA)


@given(st.text(max_size=200))
def test_arbitrary_text_is_an_answer_or_invalid(text: str) -> None:
    with pytest.raises(InvalidAnswer):
        parse(text, TREE)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_damaged_answers_never_raise_anything_else(data: st.DataObject) -> None:
    text = THOUGHT + BODY
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = (
        text[:at] + data.draw(st.sampled_from(["", "<", '"', "{", "}", "\\", "\ud800", "\0", "1e999"])) + text[at + 1 :]
    )
    try:
        parse(damaged, TREE)
    except InvalidAnswer as error:
        assert error.reason in {"length", "think", "json", "schema", "diagnosis"}


def in_two_readings(body: str) -> str:
    """What is wrong with a report's text, the plain way: first as JSON, then as a report."""
    try:
        jiter.from_json(body.encode(), allow_inf_nan=False, catch_duplicate_keys=True)
        Report.model_validate_json(body, strict=True)
    except ValidationError:
        return "schema"
    except ValueError:
        return "json"
    return ""


@given(st.data())
def test_one_reading_finds_what_two_find(data: st.DataObject) -> None:
    """Pieces of a report written twice, with quotation marks, half characters and numbers that are none among them."""
    report = data.draw(reports)
    body = json.dumps(report.model_dump(mode="json"), ensure_ascii=data.draw(st.booleans()))
    pairs = [json.dumps({key: value})[1:-1] for key, value in json.loads(body).items()]
    other = [
        '"x":1',
        r'"diagnosis":"\"" ',
        '"\ud800":0',
        '"confidence":NaN',
        r'"\u0066indings":[]',
        '"citations":["a:b"]',
    ]
    piece = data.draw(st.sampled_from([*pairs, *other]))
    at = data.draw(st.sampled_from([i for i, c in enumerate(body) if c in "{,"]))
    changed = body[: at + 1] + piece + "," + body[at + 1 :]
    for text in (body, changed):
        try:
            parse(f"{OPEN}Seen.{CLOSE}{text}", TREE)
            reason = ""
        except InvalidAnswer as error:
            reason = error.reason
        assert reason == in_two_readings(text)


def test_the_good_text_is_good() -> None:
    assert parse(f"  {THOUGHT}{BODY}\n ", TREE).thinking == "Seen: papule."


BAD = {
    "empty text": ("", "think"),
    "no reasoning": (BODY, "think"),
    "empty thinking": (f"{OPEN} \n {CLOSE}{BODY}", "think"),
    "text before": (f"Sure! {THOUGHT}{BODY}", "think"),
    "nested think": (f"{OPEN}a{OPEN}b{CLOSE}{CLOSE}{BODY}", "think"),
    "repeated think": (f"{THOUGHT}{THOUGHT}{BODY}", "think"),
    "unclosed think": (f"{OPEN}a {BODY}", "think"),
    "closed before opened": (f"{CLOSE}{OPEN}{BODY}", "think"),
    "think tag inside the report": (text_of(citations=[CLOSE]), "think"),
    "endless thinking": (f"{OPEN}{'a' * (MAX_THINKING + 1)}{CLOSE}{BODY}", "think"),
    "two reports": (f"{THOUGHT}{BODY}\n{BODY}", "json"),
    "text after": (f"{THOUGHT}{BODY} That is all.", "json"),
    "code fence": (f"{THOUGHT}```json\n{BODY}\n```", "json"),
    "no report": (THOUGHT, "json"),
    "duplicate key": (THOUGHT + BODY.replace("{", '{"advice":"self_care",', 1), "json"),
    "duplicate key inside": (THOUGHT + BODY.replace('"probability"', '"probability":0.7,"probability"'), "json"),
    "NaN": (THOUGHT + BODY.replace("0.7", "NaN"), "json"),
    "Infinity": (THOUGHT + BODY.replace("0.7", "-Infinity"), "json"),
    "overflowing number": (THOUGHT + BODY.replace("0.7", "1e999"), "schema"),
    "very long number": (THOUGHT + BODY.replace("0.7", "1" * 9000), "json"),
    "deep nesting": (THOUGHT + "[" * 9_900 + "]" * 9_900, "json"),
    "deeper nesting of objects": (THOUGHT + '{"a":' * 3_500, "json"),
    "10 MB": (THOUGHT + BODY.replace("high", "h" * 10_000_000), "length"),
    "10 MB of brackets": (THOUGHT + "[" * 10_000_000, "length"),
    "just too long": (THOUGHT + BODY + " " * MAX_ANSWER + ".", "length"),
    "list": (THOUGHT + f"[{BODY}]", "schema"),
    "null": (f"{THOUGHT}null", "schema"),
    "extra field": (text_of(note="x"), "schema"),
    "other version": (text_of(schema_version="v2"), "schema"),
    "other disclaimer": (text_of(disclaimer="Trust me."), "schema"),
    "empty differential": (text_of(differential=[]), "schema"),
    "six entries": (text_of(differential=[ENTRY] * 6), "schema"),
    "nine findings": (text_of(findings=["papule"] * 9), "schema"),
    "findings as text": (text_of(findings="papule"), "schema"),
    "unknown concept": (text_of(findings=["glow"]), "schema"),
    "unknown evidence": (with_entry(evidence_for=["glow"]), "schema"),
    "unknown condition": (text_of(condition="dangerous"), "schema"),
    "declines without the diagnosis only": (text_of(diagnosis=None), "schema"),
    "declines and advises a visit": (text_of(**{**DECLINES, "advice": "routine_visit"}), "schema"),
    "declines and has a differential": (text_of(**{**DECLINES, "differential": [ENTRY]}), "schema"),
    "declines and has a condition": (text_of(**{**DECLINES, "condition": "benign"}), "schema"),
    "diagnoses and wants a new image": (text_of(advice="new_image"), "schema"),
    "bool probability": (with_entry(probability=True), "schema"),
    "text probability": (with_entry(probability="0.7"), "schema"),
    "three decimals": (with_entry(probability=0.123), "schema"),
    "negative probability": (with_entry(probability=-0.1), "schema"),
    "probability over 1": (with_entry(probability=1.01), "schema"),
    "lone surrogate": (THOUGHT + BODY.replace("primer:nevus", "\\ud800:nevus"), "json"),
    "capital citation": (text_of(citations=["Primer:nevus"]), "schema"),
    "citation with line end": (text_of(citations=["primer:nevus\n"]), "schema"),
    "unknown node": (text_of(diagnosis="neoplasm/benign/unicorn"), "diagnosis"),
    "bare name": (text_of(diagnosis="common nevus"), "diagnosis"),
    "unknown node in the differential": (with_entry(diagnosis="melanoma"), "diagnosis"),
}


@pytest.mark.parametrize("name", BAD)
def test_text_outside_the_contract_is_invalid(name: str) -> None:
    text, reason = BAD[name]
    with pytest.raises(InvalidAnswer) as caught:
        parse(text, TREE)
    assert caught.value.reason == reason


# Python's `$` also matches before a last line end; in JSON Schema's own dialect, and in grammars, it does not.
BY_SCHEMA = [n for n, (_, reason) in BAD.items() if reason in ("schema", "diagnosis") and n != "citation with line end"]


@pytest.mark.parametrize("name", BY_SCHEMA)
def test_schema_refuses_what_the_parser_refuses(name: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(BAD[name][0].split(CLOSE)[1]), SCHEMA)


@pytest.mark.parametrize("advice", ["new_image", "none"])
def test_a_report_may_decline_whole(advice: str) -> None:
    report = parse(text_of(**{**DECLINES, "advice": advice}), TREE).report
    assert report.nodes() == () and inconsistencies(report, TREE) == []
    assert report_from_json(GOOD, TREE).nodes() == (NODES[2], NODES[2])


def test_grammar_admits_both_alternatives_and_nothing_between() -> None:
    """Every rendered report and no mixture, byte for byte, by the engine that serves."""
    xgrammar = pytest.importorskip("xgrammar")
    from xgrammar.testing import _is_grammar_accept_string as accepts

    grammar = _compiled(xgrammar)
    for number in range(16):
        mixed = {**GOOD, **{key: DECLINES[key] for bit, key in enumerate(DECLINES) if number >> bit & 1}}
        text = json.dumps(mixed, separators=(",", ":"))
        assert accepts(grammar, text) == (number in (0, 15)), text
        assert len(text.encode()) <= longest_json(SCHEMA)


@settings(deadline=None, max_examples=60)
@given(reports)
def test_grammar_admits_every_rendered_report(report: Report) -> None:
    xgrammar = pytest.importorskip("xgrammar")
    from xgrammar.testing import _is_grammar_accept_string as accepts

    body = render(Answer("x", report)).split(CLOSE)[1].strip()
    assert accepts(_compiled(xgrammar), body) and len(body.encode()) <= longest_json(SCHEMA)


@lru_cache(maxsize=1)
def _compiled(xgrammar):
    return xgrammar.Grammar.from_ebnf(json_ebnf(SCHEMA))


def test_stored_reports_are_checked_like_a_models() -> None:
    assert report_from_json(GOOD, TREE).diagnosis == NODES[2]
    with pytest.raises(InvalidAnswer):
        report_from_json({**GOOD, "diagnosis": "nowhere"}, TREE)


def test_structural_tag_holds_the_schema() -> None:
    elements = structural_tag(TREE)["format"]["elements"]
    assert (elements[0]["begin"], elements[0]["end"]) == (OPEN, CLOSE)
    assert elements[2] == {"type": "grammar", "grammar": json_ebnf(SCHEMA)}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"condition": "malignant"}, "condition"),
        ({"diagnosis": NODES[3]}, "first of the differential"),
        ({"differential": [ENTRY, {**ENTRY, "probability": 0.1}]}, "twice"),
        ({"differential": [ENTRY, {**ENTRY, "diagnosis": NODES[3], "probability": 0.9}]}, "not ranked"),
        ({"differential": [ENTRY, {**ENTRY, "diagnosis": NODES[3], "probability": 0.6}]}, "more than 1"),
    ],
)
def test_inconsistencies_are_named(changes: dict, fault: str | None) -> None:
    found = inconsistencies(parse(text_of(**changes), TREE).report, TREE)
    assert any(fault in line for line in found) if fault else found == []
