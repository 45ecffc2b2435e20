"""A whole real book: the 1909 textbook from its PDF and from its HTML. Not clinical advice: it is a century old."""

import io
import json
import re
import unicodedata
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from imagehash import phash
from PIL import Image
from pydantic import TypeAdapter

from skinr1.knowledge import Aliases, Book, Knowledge, read_book
from skinr1.knowledge.figures import Figure
from skinr1.report import PassageId
from skinr1.taxonomy import Taxonomy

ROOT = Path(__file__).parents[2]
TEXTBOOK = ROOT.parent / "shared" / "data" / "textbook"
NAME = "essentials_of_diseases_of_the_skin_1909"
FORMATS = ["pdf", "html"]

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not TEXTBOOK.is_dir(), reason="needs ../shared/data/textbook"),
]


def plain(text: str) -> str:
    """Letters and digits only, without the page marks that the expected answers carry."""
    unmarked = unicodedata.normalize("NFKC", re.sub(r"\[(?:Pg \d+|[A-Z])\]", "", text))
    return " ".join(re.findall(r"\w+", unmarked.lower()))


@cache
def book(form: str) -> Book:
    return read_book(TEXTBOOK / f"{NAME}.{form}", "stelwagon-1909")


@cache
def knowledge(form: str) -> Knowledge:
    taxonomy = Taxonomy.load()
    own = Aliases.load(ROOT / "recipes" / "textbook_1909" / "aliases.yaml", taxonomy)
    return Knowledge.from_book(book(form), taxonomy, own)


@cache
def diseases() -> tuple[str, ...]:
    """The second-level headings of the HTML between the first class and the index, told apart by their anchors."""
    soup = BeautifulSoup((TEXTBOOK / f"{NAME}.html").read_bytes(), "html.parser")
    found, inside = [], False
    for heading in soup.find_all(["h1", "h2"]):
        anchor = heading.find("a", id=True)
        key = str(anchor["id"]) if anchor else ""
        inside = (inside or key.startswith("CLASS_")) and key != "INDEX"
        if inside and heading.name == "h2":
            found.append(plain(heading.get_text()))
    return tuple(found)


def figures() -> list[dict[str, str]]:
    return json.loads((TEXTBOOK / "figures.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("form", FORMATS)
def test_disease_sections_are_found_under_their_names(form):
    found = {plain(heading) for section in book(form).sections for heading in section.path}
    cited = {plain(passage.section) for passage in knowledge(form).passages.values()}
    assert len(diseases()) >= 131
    assert set(diseases()) <= found, "as sections"
    assert len(set(diseases()) & cited) >= 124 + len(diseases()) - 131, "as passages"


@pytest.mark.parametrize("form", FORMATS)
def test_spans_reread_and_ids_can_be_cited(form):
    source, citable = book(form).text, TypeAdapter(PassageId)
    for key, passage in knowledge(form).passages.items():
        assert source[passage.start : passage.end] == passage.text.strip() != ""
        assert citable.validate_python(key) == passage.id and passage.page
    assert all(source[f.start : f.end] == f.caption for f in book(form).figures)


def paired(figure: Figure, truth: dict[str, str]) -> bool:
    words = plain(truth["caption"])
    said = {
        plain(figure.caption),
        plain(f"{figure.label} {figure.caption}"),
        plain(f"{figure.caption} {figure.legend}"),
    }
    return words in said and plain(truth["disease"]) in map(plain, figure.section)


@pytest.mark.parametrize("form", FORMATS)
def test_figures_are_paired_with_their_captions(form):
    """Both lists are in the book's order; those before the first class (anatomy) have no expected answer."""
    shown = [figure for figure in book(form).figures if plain(figure.section[0]).startswith("class")]
    assert len(shown) == len(figures()) == 88
    assert sum(map(paired, shown, figures())) >= 0.9 * 88
    numbered = [(f, t) for f, t in zip(shown, figures(), strict=True) if t["figure"].startswith("FIG")]
    assert sum(plain(f.label) == plain(t["figure"]) for f, t in numbered) >= 0.9 * len(numbered)


def test_pictures_are_those_of_the_expected_answer():
    """The order alone would hide a picture that was lost while another was found twice."""
    shown = [figure for figure in book("pdf").figures if plain(figure.section[0]).startswith("class")]
    distances = []
    for figure, truth in zip(shown, figures(), strict=True):
        assert figure.picture is not None
        with Image.open(io.BytesIO(figure.picture.data)) as one, Image.open(TEXTBOOK / truth["image"]) as other:
            distances.append(phash(one.convert("L")) - phash(other.convert("L")))
    assert sum(distance <= 10 for distance in distances) >= 0.95 * 88


def test_conditions_have_rivals_with_pages():
    made = knowledge("pdf")
    graph = made.graph()
    cited = {link.diagnosis for link in graph if all(citation.page for citation in link.citations)}
    assert len(cited) >= 60
    own = {n for edge in made.edges for n in made.passages[edge.passage].diagnoses if edge.diagnosis == n}
    assert len(own) >= 40, "as the subject of their own section"
    assert all(edge.diagnosis != edge.rival for edge in made.edges)
    assert sum(bool(link.signs) for link in graph) >= 50


def test_sub_figures_are_labelled():
    (gland,) = [figure for figure in book("pdf").figures if figure.label == "Fig. 6."]
    assert gland.parts[0] == ("a", "Sweat-coil") and gland.parts[-1][0] == "e and f"


def test_running_marks_are_the_only_words_left_out():
    """The PDF prints a mark for each page mark of the HTML."""
    assert sum(book("pdf").skipped.values()) == sum(book("html").skipped.values()) > 250


def test_both_formats_say_the_same():
    """All but the last disease: after it, under no heading of rank, stands a table that the readers cut differently."""

    def passages(form: str) -> dict[str, str]:
        found = knowledge(form).passages
        return {key: plain(passage.text) for key, passage in found.items() if passage.section != "Pulex Irritans"}

    pdf, html = passages("pdf"), passages("html")
    assert len(pdf.keys() & html.keys()) >= 0.99 * len(pdf.keys() | html.keys())
    same = [key for key in pdf.keys() & html.keys() if pdf[key] == html[key]]
    assert len(same) >= 0.95 * len(pdf)
    for key in sorted(pdf.keys() & html.keys() - set(same))[:40]:
        assert SequenceMatcher(None, pdf[key].split(), html[key].split(), autojunk=False).ratio() > 0.9, key


def test_every_heading_is_mapped_or_says_why_not():
    unknown = {unread.where.split(" > ")[1] for unread in knowledge("pdf").unread if unread.where.startswith("CLASS")
               and not unread.reason.startswith("no node: ")}  # fmt: skip
    assert not {plain(name) for name in unknown} & set(diseases())
