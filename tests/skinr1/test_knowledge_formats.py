"""HTML and JSON lines: the same Book as from PDF and Markdown."""

import json
from collections import Counter
from pathlib import Path

import pytest

from skinr1.errors import UserError
from skinr1.knowledge import Book, Knowledge, read_book
from skinr1.knowledge.kinds import kind_of
from skinr1.taxonomy import Taxonomy

TREE = Taxonomy.load()
MEDQUAD = Path(__file__).parents[3] / "shared" / "data" / "medquad" / "medquad_skin.jsonl"


def html(folder: Path, body: str) -> Book:
    (folder / "book.html").write_text(f"<html><head><title>No text</title></head><body>{body}</body></html>")
    return read_book(folder / "book.html", "book")


def test_headings_questions_synonyms_and_pages(tmp_path):
    book = html(
        tmp_path,
        "<h1>Class I</h1><h2>Sorethumb.<sup>[D]</sup></h2><p class=center>(<i>Synonyms:</i> Tetter; Psoriasis.)</p>"
        "<p><b>What is the course of sorethumb</b>?</p>"
        "<p>It lasts<span class='pagenum'>[Pg 7]</span>\nlong.</p><p>Scale falls.</p>",
    )
    assert [section.path for section in book.sections] == [
        ("Class I", "Sorethumb"),
        ("Class I", "Sorethumb", "What is the course of sorethumb?"),
    ]
    assert all(book.text[s.start : s.end] == s.text for s in book.sections)
    assert book.sections[1].text == "What is the course of sorethumb?\n\nIt lasts long.\n\nScale falls."
    knowledge = Knowledge.from_book(Book("book", book.text, book.sections, level=2), TREE)
    assert [(p.id, p.kind) for p in knowledge.passages.values()] == [
        ("book:sorethumb#names", "names"),
        ("book:sorethumb#course", "course"),
    ]
    assert {p.diagnoses for p in knowledge.passages.values()} == {tuple(sorted(TREE.resolve("psoriasis")))}
    assert [rule.concept for rule in knowledge.rules] == ["scale"]


def test_pages_count_from_their_mark(tmp_path):
    mark = "<span class='pagenum'><a name='Page_{0}'></a>[Pg {0}]</span>"
    book = html(tmp_path, f"{mark.format(3)}<h2>One</h2><p>Text.</p>{mark.format(4)}<h2>Two</h2><p>Text.</p>")
    assert [section.page for section in book.sections] == [3, 4]
    assert book.skipped == {"page marks": 2}


@pytest.mark.parametrize(
    "body",
    [
        "<p class=center><b>Fig. 2.</b></p><div class=figcenter><img src=a.jpg></div><p class=center>A patch.</p>",
        "<figure><img src=a.jpg><figcaption>A patch.</figcaption></figure>",
        "<div style='text-align: center'><img src='a.jpg'><p>A patch.</p></div>",
    ],
)
def test_figures(tmp_path, body):
    book = html(tmp_path, f"<h2>Vitiligo</h2><p>It may fade</p>{body}<p>and return.</p>")
    (figure,) = book.figures
    assert (figure.caption, figure.section, figure.image) == ("A patch.", ("Vitiligo",), "a.jpg")
    assert book.text[figure.start : figure.end] == "A patch."
    assert [section.text for section in book.sections] == ["It may fade and return."]


def test_script_and_style_are_no_text(tmp_path):
    book = html(tmp_path, "<script>var melanoma;</script><style>p {}</style><!-- note --><h2>Vitiligo</h2><p>Text.</p>")
    assert book.text == "Vitiligo\n\nText.\n\n"


@pytest.mark.parametrize("body", ["", "<p> </p>", "<img src=a.jpg>"])
def test_empty_html_is_one_line(tmp_path, body):
    with pytest.raises(UserError, match="no text") as caught:
        html(tmp_path, body)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("How is psoriasis to be distinguished from squamous eczema?", "differential"),
        ("Differential diagnosis", "differential"),
        ("State the prognosis of psoriasis.", "prognosis"),
        ("What is the treatment?", "treatment"),
        ("What is the course of milium?", "course"),
        ("What is milium?", "definition"),
        ("information", "definition"),
        ("symptoms", "morphology"),
        ("Clinical features", "morphology"),
        ("Upon what parts does the eruption appear?", "sites"),
        ("To what is ringworm due?", "cause"),
        ("Acknowledgements", "other"),
    ],
)
def test_kind_of_a_heading(heading, kind):
    assert kind_of(heading) == kind


def record(**more: object) -> str:
    row = {"focus": "Vitiligo", "qtype": "symptoms", "question": "What are its symptoms?", "answer": "White patches."}
    return json.dumps({**row, **more})


def test_records(tmp_path):
    rows = [record(), record(focus="Nonesuch", synonyms=["Leucoderma", "Vitiligo"]), record(answer=" ")]
    (tmp_path / "qa.jsonl").write_text("\n".join(rows))
    book = read_book(tmp_path / "qa.jsonl", "qa")
    assert all(book.text[s.start : s.end] == s.text for s in book.sections)
    assert book.notes == (("qa, line 3", "record without an answer"),)
    knowledge = Knowledge.from_book(book, TREE)
    assert [(p.id, p.kind) for p in knowledge.passages.values()] == [
        ("qa:vitiligo#morphology", "morphology"),
        ("qa:nonesuch#morphology", "morphology"),
    ]
    assert len({p.diagnoses for p in knowledge.passages.values()}) == 1
    assert [(u.where, u.reason) for u in knowledge.unread] == list(book.notes)


def test_a_record_without_its_fields_is_one_line(tmp_path):
    (tmp_path / "qa.jsonl").write_text(record() + "\n" + json.dumps({"focus": "Vitiligo"}))
    with pytest.raises(UserError, match=r"'qtype'.*qa\.jsonl:2"):
        read_book(tmp_path / "qa.jsonl", "qa")


@pytest.mark.real_data
@pytest.mark.skipif(not MEDQUAD.is_file(), reason="needs ../shared/data/medquad")
def test_medquad():
    book = read_book(MEDQUAD, "medquad")
    rows = [json.loads(row) for row in MEDQUAD.read_text(encoding="utf-8").splitlines()]
    assert len(book.sections) + len(book.notes) == len(rows) == 990
    assert all(book.text[s.start : s.end] == s.text for s in book.sections)
    knowledge = Knowledge.from_book(book, TREE)
    assert all(book.text[p.start : p.end] == p.text for p in knowledge.passages.values())
    dropped = [unread for unread in knowledge.unread if unread.where not in knowledge.passages]
    assert len(knowledge.passages) + len(dropped) == 990
    kinds = Counter(passage.kind for passage in knowledge.passages.values())
    assert len(knowledge.passages) >= 250 and {"definition", "morphology", "treatment", "cause"} <= kinds.keys()
