"""The grammar that vLLM enforces: what a report may be, to the byte."""

import json
import re
from typing import Any

import pytest

from skinr1.grammar import json_ebnf, longest_json
from skinr1.report import (
    Answer,
    json_schema,
    longest_forced_answer,
    render,
    structural_tag,
)
from tests.skinr1.sample_report import MELANOMA, NEVUS, REPORT, TREE


def test_grammar_admits_what_render_writes_and_nothing_looser() -> None:
    xgrammar = pytest.importorskip("xgrammar")
    from xgrammar.testing import _is_grammar_accept_string as accepts

    grammar = xgrammar.Grammar.from_structural_tag(json.dumps(structural_tag(TREE)))
    text = render(Answer("Seen: papule.\nSo a nevus.", REPORT))
    assert accepts(grammar, text)
    changes = [
        ("0.7,", "0.701,"),
        ("0.7,", "0.70,"),
        (NEVUS, "nevus"),
        ('"papule"', '"pimple"'),
        (":[", ": ["),
        ("</think>\n", "</think>"),
    ]
    for old, new in [
        *changes,
        ('"primer:melanoma"', '"primer:"'),
        ("Seen", " Seen"),
        ("Seen", "<Seen"),
        ('"high"', '"sure"'),
    ]:
        assert old in text, old
        assert not accepts(grammar, text.replace(old, new, 1)), (old, new)
    for short, long in (('"papule"', ",".join(['"papule"'] * 7)), ('"primer:melanoma"', ",".join(['"a:b"'] * 6))):
        assert not accepts(grammar, text.replace(short, long, 1))


def test_longest_answer_bounds_a_full_report() -> None:
    schema = json_schema(TREE)
    entry = REPORT.differential[0].model_copy(
        update={"diagnosis": MELANOMA, "evidence_for": ("irregular network",) * 8}
    )
    full = REPORT.model_copy(
        update={
            "findings": ("irregular network",) * 8,
            "differential": (entry,) * 5,
            "citations": (f"{'a' * 40}:{'b' * 80}#{'c' * 40}",) * 6,
        }
    )
    text = render(Answer("x" * 100, full))
    assert len(text.encode()) <= longest_forced_answer(TREE, 100) < 12_000
    assert longest_json({"type": "string", "pattern": "^[a-c]{1,3}(x|y)?$"}) == 7
    assert longest_json(schema) == longest_forced_answer(TREE, 100) - 400 - len("<think></think>\n")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "array", "items": {"const": 1}},
        {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]},
        {"type": "object", "additionalProperties": False, "properties": {"a": {"const": 1}}, "required": []},
        {"type": "string", "pattern": r"^\d$"},
        {"type": "string", "pattern": "open"},
    ],
)
def test_grammar_refuses_what_it_does_not_translate(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=re.compile("not translated|optional")):
        json_ebnf(schema)
