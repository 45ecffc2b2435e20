"""The textbook: sections, passages with spans, rules with denial and frequency, edges, and the embedded primer."""

import re
from functools import reduce
from importlib.resources import files
from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from skinr1.concepts import concepts
from skinr1.knowledge import Knowledge, primer_text, read_markdown
from skinr1.knowledge.rules import signs
from skinr1.report import PassageId
from skinr1.taxonomy import LabelMap, Taxonomy

TREE = Taxonomy.load()
PRIMER = Knowledge.primer(TREE)
DISEASES: dict[str, dict[str, dict[str, float]]] = yaml.safe_load(
    files("data_builders.rendered").joinpath("diseases.yaml").read_text(encoding="utf-8")
)["diagnoses"]
TARGETS = [target.nodes for target in LabelMap.load("pad_ufes_20", TREE).entries.values()]
# A label of several nodes is taught as their common ancestor, so the book must speak of that one too.
PAD = sorted(
    {node for target in TARGETS for node in (*target, reduce(lambda a, b: str(TREE.lca(a, b)), sorted(target)))}
)
KINDS = {"definition", "morphology", "sites", "course", "differential"}
OCCASIONAL = {"sometimes", "occasionally", "rarely", "may", "can"}
# Signs that photographs' tables record and the renderer does not draw.
NOT_RENDERED = {"raised lesion", "flat lesion", *(c.name for c in concepts().values() if c.group == "history")}

citable = TypeAdapter(PassageId)


def book(text: str) -> Knowledge:
    return Knowledge.from_sections(read_markdown(text), "book", TREE)


def shown(node: str) -> dict[str, float]:
    """Sign -> its probability in the rendered clinic."""
    return {sign: float(p) for attribute in DISEASES[node].values() for sign, p in attribute.items()}


# the primer


def test_primer_is_read_whole():
    assert PRIMER.unread == ()
    assert "no clinical guidance" in " ".join(primer_text().partition("\n## ")[0].split())


@pytest.mark.parametrize("node", [*DISEASES, *(node for node in PAD if node not in DISEASES)])
def test_diagnosis_has_sections_rules_and_rivals(node):
    assert {passage.kind for passage in PRIMER.passages_of(node)} == KINDS
    assert len(PRIMER.passages_of(node, "morphology")) == 1
    assert len({rule.concept for rule in PRIMER.rules_of(node) if not rule.negated}) >= 3
    assert {rule.concept for rule in PRIMER.rules_of(node)} <= concepts().keys()
    assert 2 <= len(PRIMER.rivals_of(node)) <= 4


def test_primer_has_further_rivals():
    covered = {node for passage in PRIMER.passages.values() for node in passage.diagnoses}
    assert len(covered - {*DISEASES, *PAD}) >= 6


@pytest.mark.parametrize("node", DISEASES)
def test_primer_agrees_with_the_rendered_clinic(node):
    """Likely signs are stated without a hedge, middling ones stated, unlikely ones never called typical."""
    rules = {rule.concept: rule for rule in PRIMER.rules_of(node) if rule.passage.endswith("#morphology")}
    probability = shown(node)
    affirmed = {sign for sign, rule in rules.items() if not rule.negated}
    expected = {sign for sign in affirmed if rules[sign].frequency not in OCCASIONAL}
    plain = {sign for sign in affirmed if rules[sign].frequency == "typical"}
    assert {sign for sign, p in probability.items() if p >= 0.4} <= expected
    assert {sign for sign, p in probability.items() if p >= 0.2} <= affirmed
    assert plain - NOT_RENDERED <= {sign for sign, p in probability.items() if p >= 0.4}
    assert expected - NOT_RENDERED <= {sign for sign, p in probability.items() if p >= 0.2}
    assert affirmed - NOT_RENDERED <= probability.keys()


@pytest.mark.parametrize("edge", PRIMER.edges, ids=lambda edge: f"{edge.passage}-{edge.rival}")
def test_edges_resolve_and_point_the_right_way(edge):
    assert edge.diagnosis in TREE.nodes and edge.rival in TREE.nodes and edge.rival != edge.diagnosis
    assert edge.passage in PRIMER.passages and edge.signs
    assert set(edge.signs) <= concepts().keys()
    if edge.diagnosis in DISEASES and edge.rival in DISEASES:
        for sign in set(edge.signs) - NOT_RENDERED:
            assert shown(edge.diagnosis)[sign] > shown(edge.rival).get(sign, 0)


def test_rival_half_of_an_entry_points_the_other_way():
    for passage in PRIMER.passages.values():
        for line in passage.text.splitlines() if passage.kind == "differential" else ():
            name, _, text = line.removeprefix("- ").partition(":")
            (rival,), (node,) = TREE.resolve(name), passage.diagnoses
            for sign, denied, _ in signs(text.partition(";")[2]):
                if rival in DISEASES and node in DISEASES and sign not in NOT_RENDERED and not denied:
                    assert shown(rival).get(sign, 0) > shown(node).get(sign, 0), (passage.id, sign)


def test_spans_reread_and_ids_are_citable():
    text = primer_text()
    for key, passage in PRIMER.passages.items():
        assert text[passage.start : passage.end] == passage.text
        assert citable.validate_python(key) == passage.id == key
        assert set(passage.diagnoses) <= TREE.nodes.keys()
    assert "primer:common-nevus#morphology" in PRIMER.passages


def test_saved_and_loaded_is_the_same(tmp_path):
    PRIMER.save(tmp_path)
    assert Knowledge.load(tmp_path) == PRIMER


# sections and passages


@given(st.text(alphabet="# \nab-:;.", max_size=120))
def test_any_text_is_cut_into_spans_that_reread(text):
    sections = list(read_markdown(text))
    assert all(text[s.start : s.end] == s.text == s.text.strip() != "" for s in sections)
    assert all(a.end <= b.start for a, b in pairwise(sections))
    covered = {place for s in sections for place in range(s.start, s.end)}
    start = 0
    for line in text.split("\n"):
        if not re.match(r"#{1,6}[ \t]+\S", line):  # all that is no heading is kept
            assert all(start + i in covered for i, letter in enumerate(line) if letter.strip())
        start += len(line) + 1


@pytest.mark.parametrize("title", ["# A book\n\nOpening words.\n", "Opening words.\n", ""])
def test_a_book_with_and_without_title(title):
    text = f"{title}\n## Melanoma\n\n### Morphology\n\nAsymmetry.\n\n## Vitiligo ##\n\n### Sites\n\nHands.\n"
    found = book(text)
    assert list(found.passages) == ["book:melanoma#morphology", "book:vitiligo#sites"]
    assert found.unread == ()
    assert all(text[p.start : p.end] == p.text for p in found.passages.values())


def test_unknown_heading_and_text_without_diagnosis_are_reported():
    found = book("# Book\n\n## Melanomma\n\n### Sites\n\nHands.\n\n# Part two\n\nStray text.\n")
    assert not found.passages
    unknown, stray = found.unread
    assert unknown.where == "Book > Melanomma > Sites"
    assert "'melanoma'" in unknown.reason
    assert stray.where == "Part two" and "second-level" in stray.reason


def test_repeated_and_odd_headings_lose_no_text():
    long = "Notes on " + "very " * 20 + "much"
    parts = ["Sites", "Sites", "Морфология", "...", long, long]
    found = book("# B\n\n## Melanoma\n\nIntro.\n\n" + "".join(f"### {part}\n\nText.\n\n" for part in parts))
    assert len(found.passages) == 1 + len(parts) and found.unread == ()
    assert [p.kind for p in found.passages.values()] == ["other", "sites", "sites", *["other"] * 4]
    for key in found.passages:
        citable.validate_python(key)


def test_a_heading_of_several_nodes_is_about_all_of_them():
    tree = Taxonomy.from_yaml(
        "version: t\ntree: {x: {bucket: benign, aliases: [spot]}, y: {bucket: benign, aliases: [spot]}}"
    )
    found = Knowledge.from_sections(read_markdown("# B\n## Spot\n### Morphology\nScale.\n"), "book", tree)
    assert found.passages["book:spot#morphology"].diagnoses == ("x", "y")
    assert [rule.diagnosis for rule in found.rules] == ["x", "y"]


# rules


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A papule with scale.", {"papule": True, "scale": True}),
        ("A papule without scale.", {"papule": True, "scale": False}),
        ("No scale, but a crust.", {"scale": False, "crust": True}),
        ("There is no scale but a crust.", {"scale": False, "crust": True}),
        ("No scale, crust or ulcer; a papule.", {"scale": False, "crust": False, "ulcer": False, "papule": True}),
        ("No scale, a papule or a nodule.", {"scale": False, "papule": True, "nodule": True}),
        ("No scale, papules.", {"scale": False, "papule": True}),
        ("Papules, scale is absent.", {"papule": True, "scale": False}),
        ("Scale is absent.", {"scale": False}),
        ("A papule, scale and crust are usually absent.", {"papule": True, "scale": False, "crust": False}),
        ("Scale, crust and ulcers are absent.", {"scale": False, "crust": False, "ulcer": False}),
        ("Scale is never seen, crust is.", {"scale": False, "crust": True}),
        ("It never shows scale.", {"scale": False}),
        ("It lacks a raised\nrim.", {"raised rim": False}),
        ("Not only scale.", {"scale": True}),
        ("Silvery scale on plaques.", {"silvery scale": True, "plaque": True}),
    ],
)
def test_denial(text, expected):
    assert {sign: not denied for sign, denied, _ in signs(text)} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is a papule, sometimes a nodule.", {"papule": "typical", "nodule": "sometimes"}),
        ("There may be scale, crust or an ulcer.", {"scale": "may", "crust": "may", "ulcer": "may"}),
        ("Scale and crust are frequent. A papule.", {"scale": "frequent", "crust": "frequent", "papule": "typical"}),
        ("Often scale, rarely crust.", {"scale": "often", "crust": "rarely"}),
        ("Scale is uncommon.", {"scale": "rarely"}),
        ("Scale is not typical.", {"scale": "rarely"}),
    ],
)
def test_frequency(text, expected):
    assert {sign: frequency for sign, _, frequency in signs(text)} == expected
    assert not any(denied for _, denied, _ in signs(text))


def test_only_morphology_and_course_make_rules():
    found = book("## Melanoma\n### Definition\nScale.\n### Morphology\nCrust. No crust.\n### Course\nGrowth.\n")
    assert [(rule.concept, rule.negated) for rule in found.rules] == [("crust", False), ("growth", False)]


# differential


def test_entries_may_wrap_and_rivals_are_sets():
    found = book(
        "## Melanoma\n### Differential\n- **Blue nevus**: an irregular\n  border; a sharp border.\n- BCC: crust.\n"
    )
    assert [(edge.rival.rpartition("/")[2], edge.signs) for edge in found.edges] == [
        ("blue_nevus", ("irregular border",)),
        ("basal_cell_carcinoma", ("crust",)),
    ]


@pytest.mark.parametrize(
    ("entry", "reason", "edges"),
    [
        ("- Melanomma: crust.", "unknown diagnosis label", 0),
        ("- a rival without signs", "without a colon", 0),
        ("Only prose about rivals.", "no list of rivals", 0),
        ("- Melanoma: crust.", "its own rival", 0),
        ("- Blue nevus: it feels different.", "no known sign", 1),
        ("- Blue nevus: no crust; crust.", "no known sign", 1),
    ],
)
def test_what_cannot_be_used_is_reported(entry, reason, edges):
    found = book(f"## Melanoma\n### Differential\n{entry}\n")
    (unread,) = found.unread
    assert unread.where == "book:melanoma#differential" and reason in unread.reason
    assert len(found.edges) == edges
