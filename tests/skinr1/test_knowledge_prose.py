"""A book's own names, comparisons told in sentences, and several books as one weighted graph."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinr1.errors import UserError
from skinr1.knowledge import Aliases, Book, Knowledge, Names, read_markdown
from skinr1.taxonomy import Taxonomy

TREE = Taxonomy.from_yaml("""
version: t
tree:
  top:
    children:
      itchy:
        name: Itchy
        children:
          eczema: {name: Eczema, bucket: non_neoplastic, aliases: [tetter]}
          psoriasis:
            name: Psoriasis
            bucket: non_neoplastic
            children:
              scalp_psoriasis: {name: Psoriasis of the scalp, bucket: non_neoplastic}
          scabies: {name: Scabies, bucket: non_neoplastic}
      other:
        name: Other
        children:
          wart: {name: Wart, bucket: benign}
          lues: {name: Secondary syphilis, bucket: non_neoplastic, aliases: [Seborrhea luetica]}
""")
ECZEMA, PSORIASIS, SCABIES = "top/itchy/eczema", "top/itchy/psoriasis", "top/itchy/scabies"
WART, LUES, SCALP = "top/other/wart", "top/other/lues", f"{PSORIASIS}/scalp_psoriasis"


def aliases(folder: Path, text: str) -> Aliases:
    (folder / "aliases.yaml").write_text(text, encoding="utf-8")
    return Aliases.load(folder / "aliases.yaml", TREE)


def book(text: str, source: str = "book", own: Aliases | None = None) -> Knowledge:
    return Knowledge.from_book(Book(source, text, tuple(read_markdown(text)), level=2), TREE, own)


def told(answer: str, question: str = "How is psoriasis to be distinguished from eczema?") -> dict:
    found = book(f"# B\n## Psoriasis\n### {question}\n{answer}\n")
    return {(edge.diagnosis, edge.rival): edge.signs for edge in found.edges}


# names


def test_alias_file(tmp_path):
    own = aliases(tmp_path, f"Verruca: {WART}\nPsora: [Psoriasis, tetter]\nIxodes: {{none: a tick}}\n")
    names = Names(TREE, own)
    assert names.resolve("VERRUCA") == {WART}
    assert names.resolve("Psora (Alphos)") == {PSORIASIS, ECZEMA}
    assert names.resolve("Alphos (Psora)") == {PSORIASIS, ECZEMA}
    assert names.resolve("Nonesuch", ["unknown", "Psora"]) == {PSORIASIS, ECZEMA}
    assert names.resolve("Ixodes") == frozenset() and names.why_none("ixodes") == "a tick"
    assert names.resolve("Seborrhœa luetica") == {LUES}
    with pytest.raises(UserError, match="Nonesuch"):
        names.resolve("Nonesuch")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Verruca: top/other/wort", "'Verruca'.*top/other/wort"),
        ("Verruca: []", "names no node"),
        ("Verruca: {none: }", "names no node"),
        ("- Verruca", "not a mapping"),
        ("Verruca: [", "not YAML"),
    ],
)
def test_faulty_alias_file_is_one_line(tmp_path, text, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        aliases(tmp_path, text)
    assert "aliases.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_heading_that_is_no_node_stays_citable(tmp_path):
    found = book("# B\n## Ixodes\n### Sites\nLegs.\n", own=aliases(tmp_path, "Ixodes: {none: a tick}"))
    assert found.passages["book:ixodes#sites"].diagnoses == ()
    assert [(u.where, u.reason) for u in found.unread] == [("B > Ixodes", "no node: a tick")]
    assert not found.edges and not found.rules


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is like warts and Psoriasis.", [("warts", WART), ("Psoriasis", PSORIASIS)]),
        ("psoriasis of the scalp", [("psoriasis of the scalp", SCALP)]),
        ("a wartlike growth, wart-like", []),
        ("tetter", [("tetter", ECZEMA)]),
        ("an itchy place", []),  # a group's name is an everyday word
        ("Œdema, then verrucæ and eczemata", [("verrucæ", WART), ("eczemata", ECZEMA)]),
    ],
)
def test_mentions(tmp_path, text, expected):
    found = Names(TREE, aliases(tmp_path, f"verruca: {WART}")).mentions(text)
    assert [(text[m.start : m.end], *m.nodes) for m in found] == expected


@given(st.text(alphabet="wart œæé'’-. psoriasis", max_size=60))
def test_mentions_are_spans_in_order(text):
    found = list(Names(TREE).mentions(text))
    assert all(m.start < m.end <= len(text) and m.nodes for m in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


# comparisons


@pytest.mark.parametrize(
    ("answer", "psoriasis", "eczema"),
    [
        ("By its silvery scale.", ("silvery scale",), ()),
        ("In eczema there are vesicles; in psoriasis silvery scale.", ("silvery scale",), ("vesicle",)),
        ("Eczema has vesicles. Psoriasis has silvery scale, whereas eczema has crusts.", ("silvery scale",),
         ("vesicle", "crust")),
        ("From eczema, by its scale.", ("scale",), ()),
        ("It resembles eczema with its scale, but in this latter there are vesicles.", (), ("vesicle",)),
        ("Psoriasis and eczema both have scale.", (), ()),
        ("In eczema there is scale. In psoriasis there is scale and a plaque.", ("plaque",), ()),
        ("By the absence of vesicles.", (), ()),
        ("In eczema there are vesicles.\n\nThe plaque decides.", ("plaque",), ("vesicle",)),
    ],
)  # fmt: skip
def test_whom_a_sign_speaks_for(answer, psoriasis, eczema):
    assert told(answer) == {(PSORIASIS, ECZEMA): psoriasis, (ECZEMA, PSORIASIS): eczema}


def test_a_question_may_begin_with_the_rival():
    edges = told("By its vesicles.", "How does eczema differ from psoriasis?")
    assert edges == {(PSORIASIS, ECZEMA): (), (ECZEMA, PSORIASIS): ("vesicle",)}


def test_a_clause_may_be_limited_to_one_rival():
    edges = told("From eczema, by its plaque. From scabies, by its scale.", "State the diagnosis of psoriasis.")
    assert edges[PSORIASIS, ECZEMA] == ("plaque",) and edges[PSORIASIS, SCABIES] == ("scale",)


def test_these_diseases_are_those_named_before():
    found = book(
        "# B\n## Psoriasis\n### What diseases may psoriasis resemble?\nEczema and scabies.\n"
        "### How does it differ from these several diseases?\nBy its plaque.\n"
    )
    late = [(e.rival, e.signs) for e in found.edges if e.passage.endswith("-2") and e.diagnosis == PSORIASIS]
    assert late == [(ECZEMA, ("plaque",)), (SCABIES, ("plaque",))]


def test_a_disease_is_no_rival_of_its_own_subtype():
    found = book("# B\n## Psoriasis\n### Differential\nPsoriasis of the scalp has scale.\n")
    assert not found.edges and "no sentence names one" in found.unread[0].reason


def test_a_question_about_a_subtype_is_about_the_subtype():
    found = book(
        "# B\n## Psoriasis\n### Describe the symptoms of psoriasis of the scalp.\nScale.\n### Course\nPlaque.\n"
    )
    assert [(rule.diagnosis, rule.concept) for rule in found.rules] == [(SCALP, "scale"), (PSORIASIS, "plaque")]


def test_a_likeness_elsewhere_gives_edges_without_signs():
    found = book("# B\n## Wart\n### Morphology\nThe papules resemble scabies. A nodule.\n")
    assert [(e.diagnosis, e.rival, e.signs) for e in found.edges] == [(WART, SCABIES, ()), (SCABIES, WART, ())]
    assert [rule.concept for rule in found.rules] == ["papule", "nodule"]


# several books

ONE = "# B\n## Wart\n### Morphology\nA papule, no scale.\n### Differential\n- Scabies: a papule; scale.\n"
TWO = "# C\n## Wart\n### Course\nScale and a papule.\n### Differential\n- Scabies: a papule, a nodule; scale.\n"


def test_merged_books_are_weighed_and_keep_their_citations():
    merged = Knowledge.merge([book(ONE, "one"), book(TWO, "two"), book("# D\n## Eczema\n### Sites\nArms.\n", "three")])
    assert len(merged.passages) == 5 and len(merged.edges) == 2 and len(merged.rules) == 4
    (link,) = merged.graph()
    assert (link.diagnosis, link.rival, link.weight, link.books) == (WART, SCABIES, 2, 2)
    assert link.signs == {"nodule": 1, "papule": 2}
    assert [citation.passage for citation in link.citations] == ["one:wart#differential", "two:wart#differential"]
    signs = {(one.concept, one.weight, one.denied, one.books) for one in merged.ascriptions()}
    assert signs == {("papule", 2, 0, 2), ("scale", 1, 1, 2)}


def test_a_passage_counts_once():
    found = book("# B\n## Wart\n### Differential\n- Scabies: a papule; x.\n- Scabies: a papule and a nodule; x.\n")
    (link,) = found.graph()
    assert len(found.edges) == 2 and link.weight == 1 and link.signs == {"nodule": 1, "papule": 1}


def test_two_books_of_one_name_are_refused():
    with pytest.raises(UserError, match="same name: one"):
        Knowledge.merge([book(ONE, "one"), book(TWO, "one")])
