"""Finding the vocabulary's signs in text, against one plain regular expression over all labels."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinr1.concepts import concepts, mentioned
from skinr1.knowledge.rules import asserted, signs

LABELS = {text.lower(): c.name for c in concepts().values() for text in (c.name, *c.aliases)}
ORACLE = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(LABELS, key=lambda t: (-len(t), t)))) + r")(?:s|es)?\b")
FILLER = [
    "a",
    "the",
    "no",
    "not",
    "without",
    ",",
    ".",
    "; ",
    "-",
    "s",
    "is absent",
    "never",
    "Seen:",
    "é",
    "_",
    "7",
    "and",
    "black",
    "lacks",
    "NOT",
    "ab\u017fent",  # an s of old, which a pattern that ignores case takes for one
]
words = st.lists(st.sampled_from([*sorted(LABELS), *FILLER]) | st.text("abs -.,", max_size=4), max_size=12)


def by_one_pattern(text: str) -> tuple[str, ...]:
    found = (match.group(0) for match in ORACLE.finditer(text.lower()))
    return tuple(dict.fromkeys(LABELS.get(t) or LABELS.get(t[:-1]) or LABELS[t[:-2]] for t in found))


@given(words, st.sampled_from([" ", "", "s ", "es, "]))
def test_mentions_are_those_of_one_pattern(parts, joint):
    text = joint.join(parts)
    assert mentioned(text) == by_one_pattern(text)


@pytest.mark.parametrize("form", ["{}", "{}s", "{}es", "Two {}, seen.", "{}x", "x{}"])
def test_every_label_in_every_form(form):
    for label in LABELS:
        assert mentioned(form.format(label)) == by_one_pattern(form.format(label)), label


@given(words)
def test_asserted_is_what_signs_do_not_deny(parts):
    text = " ".join(parts)
    assert asserted(text) == {name for name, denied, _ in signs(text) if not denied}
