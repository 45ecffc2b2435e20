"""The shorter answer forms: what is read, what is refused, and what their grammars let through."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinr1.answer_forms import Step, names_of, read_answer, unknown_names
from skinr1.errors import UserError
from skinr1.form_schemas import form_schema, form_tag
from skinr1.grammar import json_ebnf, longest_json
from skinr1.letters import CONDITION_LETTERS, final_letter, released_letter
from skinr1.report import InvalidAnswer, inconsistencies, render
from skinr1.seven_point import CRITERIA
from skinr1.taxonomy import Bucket
from tests.skinr1.outcome_rows import BCC, BLUE, ECZEMA, MELANOMA, NEVUS, TREE, text
from tests.skinr1.sample_report import REPORT
from tests.skinr1.sample_report import TREE as REPORT_TREE

OPTIONS = ((NEVUS,), (MELANOMA, BCC), (ECZEMA,))
ABSENT = dict.fromkeys(CRITERIA, "absent")
EXAMPLES = {
    "choice": '{"choice":2}',
    "condition": '{"condition":"indeterminate"}',
    "differential": json.dumps(
        {"differential": [{"diagnosis": MELANOMA, "probability": 0.7}, {"diagnosis": NEVUS, "probability": 0.2}]},
        separators=(",", ":"),
    ),
    "signs": '{"signs":["papule","scale"]}',
    "checklist": json.dumps(ABSENT | {"pigment_network": "atypical"}, separators=(",", ":")),
}


def read(form, answer, options=OPTIONS):
    return read_answer(form, answer, TREE, options).report


def ranks(report):
    """As the metrics rank them: each node once."""
    return tuple(dict.fromkeys(report.nodes()))


def refused(form, answer, options=OPTIONS):
    with pytest.raises(InvalidAnswer) as caught:
        read_answer(form, answer, TREE, options)
    return caught.value.reason


def test_what_each_form_says():
    assert ranks(read("choice", '{"choice": 1}')) == (NEVUS,)
    two = read("choice", '{"choice": 2}')  # of several nodes the first stands for all
    assert (two.diagnosis, two.condition) == (MELANOMA, Bucket.MALIGNANT)
    stated = read("condition", '{"condition": "benign"}')
    assert (stated.condition, stated.diagnosis, stated.nodes()) == (Bucket.BENIGN, None, ())
    ranked = read("differential", EXAMPLES["differential"])
    assert ranks(ranked) == (MELANOMA, NEVUS) and ranked.differential[0].probability == 0.7
    assert read("signs", EXAMPLES["signs"]).findings == ("papule", "scale")
    assert read("checklist", EXAMPLES["checklist"]).findings == ("irregular network",)


def test_a_report_is_read_by_its_own_parser():
    answer = read_answer("report", text(NEVUS), TREE)
    assert answer.report.diagnosis == NEVUS and answer.thinking == "because"
    assert refused("report", EXAMPLES["choice"]) == "think"
    assert read_answer("report", render(answer), TREE) == answer
    assert REPORT.diagnosis in REPORT_TREE.nodes


def test_reasoning_may_come_first_once():
    answer = read_answer("choice", '<think>dark</think>\n{"choice": 1}', TREE, OPTIONS)
    assert (answer.thinking, answer.report.diagnosis) == ("dark", NEVUS)
    assert refused("choice", '<think>dark\n{"choice": 1}') == "think"
    assert refused("choice", '<think>a</think><think>b</think>{"choice": 1}') == "think"


@pytest.mark.parametrize(
    ("form", "answer", "reason"),
    [
        ("choice", "B", "json"),
        ("choice", 'The answer is {"choice": 1}', "json"),
        ("choice", '```json\n{"choice": 1}\n```', "json"),
        ("choice", '{"choice": 1, "choice": 2}', "json"),
        ("choice", '{"choice": "1"}', "schema"),
        ("choice", '{"choice": 1.0}', "schema"),
        ("choice", '{"choice": true}', "schema"),
        ("choice", '{"choice": 1, "why": "dark"}', "schema"),
        ("choice", '{"choice": 0}', "option"),
        ("choice", '{"choice": 4}', "option"),
        ("choice", " " * 20_001, "length"),
        ("condition", '{"condition": "Benign"}', "schema"),
        ("differential", '{"differential": []}', "schema"),
        ("differential", '{"differential": [{"diagnosis": "the plague", "probability": 0.5}]}', "diagnosis"),
        ("differential", '{"differential": [{"diagnosis": "nevus", "probability": 1.5}]}', "schema"),
        ("differential", '{"differential": [{"diagnosis": "nevus", "probability": NaN}]}', "json"),
        ("signs", '{"signs": ["pimple"]}', "sign"),
        ("signs", json.dumps({"signs": ["papule"] * 25}), "schema"),
        ("checklist", '{"pigment_network": "atypical"}', "schema"),
        ("checklist", json.dumps(ABSENT | {"streaks": "many"}), "schema"),
        ("checklist", json.dumps(ABSENT | {"Pigment Network": "absent"}), "schema"),
        ("checklist", json.dumps(ABSENT | {"streaks": 1}), "schema"),
        ("descent", '{"choice": 1}', "option"),  # no step, so no option
    ],
)
def test_what_is_refused(form, answer, reason):
    assert refused(form, answer) == reason


def test_names_are_those_of_the_taxonomy_and_a_shared_one_is_the_common_group():
    def ranked(*names):
        entries = [{"diagnosis": name, "probability": 0.1} for name in names]
        return ranks(read("differential", json.dumps({"differential": entries})))

    assert ranked("nevus", "Blue Nevus", BCC) == (NEVUS, BLUE, BCC)
    assert ranked("nevus", NEVUS) == (NEVUS,)  # the same twice is one rank
    assert ranked("nevus", "the plague", "bcc") == (NEVUS,)  # bcc is not lifted to the second rank
    assert ranked("melanocytic") == ("neoplasm",)  # benign and malignant: their common group


@pytest.mark.parametrize(
    ("form", "names", "unknown", "lost"),
    [
        ("differential", [NEVUS, "bcc"], [], 0),
        ("differential", [NEVUS, "the plague", "bcc", "pox", "nevus"], ["the plague", "pox"], 2),
        ("differential", ["the plague", "bcc"], ["the plague"], 1),  # the first: the answer is invalid
        ("signs", ["papule", "scale"], [], 0),
        ("signs", ["papule", "pimple", "scale", "pimple"], ["pimple", "pimple"], 2),
        ("checklist", ["pimple"], [], 0),
    ],
)
def test_names_that_nobody_knows_are_told(form, names, unknown, lost):
    entries = names if form == "signs" else [{"diagnosis": name, "probability": 0.1} for name in names]
    text = f"<think>dark</think>{json.dumps({form: entries})}"
    assert unknown_names(form, text, TREE) == (tuple(unknown), lost)


@given(st.lists(st.sampled_from([NEVUS, "bcc", "the plague", "pox", ""]), min_size=1, max_size=6))
def test_a_ranked_list_is_cut_if_and_only_if_it_is_told(names):
    text = json.dumps({"differential": [{"diagnosis": name, "probability": 0.1} for name in names]})
    told = unknown_names("differential", text, TREE)
    kept = names[: len(names) - len(told.names) - told.lost]
    try:
        assert len(read("differential", text).differential) == len(set(kept)) > 0
    except InvalidAnswer as error:
        assert error.reason == "diagnosis" and told.names and not kept


@pytest.mark.parametrize("text", ["", "no list", '{"signs": ["pimple"], "x": 1}', '{"signs": "pimple"}', " " * 20_001])
def test_what_is_no_list_has_no_unknown_name(text):
    assert unknown_names("signs", text, TREE) == unknown_names("differential", text, TREE) == ((), 0)


def test_six_ranks_and_what_contradicts_itself():
    nodes = list(TREE.nodes)[:7]
    six = [{"diagnosis": node, "probability": 0.1} for node in nodes[:6]]
    assert ranks(read("differential", json.dumps({"differential": six}))) == tuple(nodes[:6])
    seven = [*six, {"diagnosis": nodes[6], "probability": 0.1}]
    assert refused("differential", json.dumps({"differential": seven})) == "schema"
    rising = [{"diagnosis": NEVUS, "probability": 0.1}, {"diagnosis": BCC, "probability": 0.9}]
    assert inconsistencies(read("differential", json.dumps({"differential": rising})), TREE) == [
        "differential is not ranked by probability"
    ]


def test_one_invalid_step_makes_a_descent_invalid():
    top, below = (("neoplasm",), (ECZEMA,)), ((NEVUS,), (BCC,))
    good = [Step(options=top, text='{"choice": 1}'), Step(options=below, text='{"choice": 2}')]
    assert read_answer("descent", good[-1].text, TREE, (), good).report.diagnosis == BCC
    bad = [Step(options=top, text="neoplasm"), good[1]]
    with pytest.raises(InvalidAnswer, match="json"):
        read_answer("descent", bad[-1].text, TREE, (), bad)


@pytest.mark.parametrize(
    ("body", "said"),
    [("B", MELANOMA), ("(B)", MELANOMA), ("B: melanoma or bcc", MELANOMA), ("A. Nevus", NEVUS), ("C) eczema.", ECZEMA)],
)
def test_a_letter_in_its_place_is_read(body, said):
    answer = f"<thinking>Not A.</thinking> <final diagnosis>{body}</final diagnosis>"
    assert read("letter", answer).diagnosis == said


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("Option B", "letter"),
        ("The answer is C", "letter"),
        ("b", "letter"),
        ("A: melanoma or bcc", "letter"),
        ("A or B", "letter"),
        ("D", "option"),
        ("", "letter"),
    ],
)
def test_a_letter_found_anywhere_is_none(body, reason):
    assert refused("letter", f"<final diagnosis>{body}</final diagnosis>") == reason
    twice = f"<final diagnosis>A</final diagnosis><final diagnosis>{body}</final diagnosis>"
    assert refused("letter", twice) == "letter"


@pytest.mark.parametrize(
    ("body", "letter"),
    [("Option B", "I"), ("The answer is C", "H"), ("Melanoma", "E"), ("benign", "B"), ("malignant", "A"), ("B", "B")],
)
def test_the_released_parser_reads_as_it_was_released(body, letter):
    """Its faults, each as ../shared/spec/skin-r1.md 6 has it, so that both numbers can stand side by side."""
    assert released_letter(f"<thinking>x</thinking> <final diagnosis>{body}</final diagnosis>") == letter
    assert released_letter(body) == "Z"


LONG = 1_000_000
OPENED, CLOSED = "<final diagnosis>", "</final diagnosis>"


@pytest.mark.parametrize(
    ("hostile", "released", "strict"),
    [
        (f"{OPENED}{' ' * LONG}{CLOSED}", "Z", None),
        (f"{OPENED}{' (:' * (LONG // 3)}{CLOSED}", "Z", None),
        (f"{OPENED}{' ' * LONG}b{CLOSED}", "B", None),
        (f"{OPENED}A{' ' * LONG}x{CLOSED}", "A", None),
        (f"{OPENED}A){' ' * LONG}{CLOSED}", "A", "A"),
        (OPENED * (LONG // len(OPENED)), "Z", None),
        (CLOSED * (LONG // len(CLOSED)), "Z", None),
        (f"{OPENED}A{CLOSED}" * (LONG // 40), "A", None),
        ("<" * LONG, "Z", None),
    ],
    ids=lambda value: f"{value[:20]!r}" if isinstance(value, str) else "",
)
def test_hostile_text_is_read_once(hostile, released, strict):
    """A megabyte that a pattern which goes back would read for hours."""
    assert released_letter(hostile) == released
    if strict:
        assert final_letter(hostile, ["nevus"]) == strict
    else:
        with pytest.raises(InvalidAnswer, match="letter"):
            final_letter(hostile, ["nevus"])


@given(
    st.text(alphabet="<>/ (:)AbKz\u212a\u0131\n", max_size=30) | st.sampled_from(["Option B", "benign"]),
    st.integers(0, 2),
)
def test_the_released_letter_is_the_one_of_its_own_patterns(body, closed):
    """As ``test_performance.py`` has them."""
    text = f"{OPENED}{body}{CLOSED * closed}{OPENED}C{CLOSED}"
    found = re.search(f"{OPENED}(.*?){CLOSED}", text, re.IGNORECASE | re.DOTALL)
    letter = re.search(r"[:\(\s]*([A-K])[:\)\s]*", found[1], re.IGNORECASE)
    assert released_letter(text) == (letter[1].upper() if letter else "Z")


def test_benign_is_not_malignant_where_letters_are_read_strictly():
    def condition(body):
        return read_answer("condition_letter", f"<final diagnosis>{body}</final diagnosis>", TREE).report.condition

    for letter, bucket in CONDITION_LETTERS.items():
        assert condition(letter) is bucket
    assert condition("C: precancerous in situ") is Bucket.INDETERMINATE
    assert refused("condition_letter", "<final diagnosis>benign</final diagnosis>") == "letter"


def test_equal_names_are_told_apart():
    benign, malignant = NEVUS.rpartition("/")[0], MELANOMA.rpartition("/")[0]
    names = names_of(((benign,), (malignant,), (BCC,)), TREE)
    assert names == ["neoplasm: benign: melanocytic", "neoplasm: malignant: melanocytic", "bcc"]


@pytest.mark.parametrize("form", EXAMPLES)
def test_grammars_admit_what_the_parser_reads_and_no_other_spelling(form):
    xgrammar = pytest.importorskip("xgrammar")
    from xgrammar.testing import _is_grammar_accept_string as accepts

    grammar = xgrammar.Grammar.from_structural_tag(json.dumps(form_tag(form, TREE, OPTIONS)))
    assert read(form, EXAMPLES[form])
    assert accepts(grammar, EXAMPLES[form])
    for other in (EXAMPLES[form].replace(":", ": "), EXAMPLES[form][:-1], f" {EXAMPLES[form]}", "{}"):
        assert not accepts(grammar, other)
    assert not accepts(grammar, '{"choice":4}')
    assert len(EXAMPLES[form].encode()) <= longest_json(form_schema(form, TREE, OPTIONS))


@pytest.mark.parametrize("form", ["letter", "condition_letter", "report"])
def test_prose_has_no_schema(form):
    with pytest.raises(UserError, match="no schema"):
        form_schema(form, TREE)


def test_grammar_of_a_choice_lists_its_numbers():
    assert json_ebnf(form_schema("choice", TREE, OPTIONS)).count('"1"') == 1


@given(st.text(max_size=80) | st.sampled_from(list(EXAMPLES.values())), st.sampled_from(list(EXAMPLES)))
def test_any_text_is_an_answer_or_invalid(answer, form):
    try:
        assert read_answer(form, answer, TREE, OPTIONS).report
    except InvalidAnswer as error:
        assert error.reason
