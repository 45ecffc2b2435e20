"""PDFs written here, one fault or layout each: what the reader makes of type, columns, pictures and damage."""

from pathlib import Path

import pytest

from skinr1.errors import UserError
from skinr1.knowledge import Book, Knowledge, read_book
from skinr1.knowledge.figures import parts
from skinr1.taxonomy import Taxonomy

WIDTH, HEIGHT = 612, 792
LEFT, SIZE, LEAD = 80, 11, 14
GREY = b"q %d 0 0 %d %d %d cm /I Do Q\n"


def pdf(pages: list[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of content streams, with Helvetica (/R), Helvetica-Bold (/B) and a grey picture of 64 x 64 pixels (/I)."""
    picture = bytes(range(64)) * 64
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (len(pages), b" ".join(b"%d 0 R" % (6 + 2 * i) for i in range(len(pages)))),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>",
        b"<< /Type /XObject /Subtype /Image /Width 64 /Height 64 /ColorSpace /DeviceGray /BitsPerComponent 8"
        b" /Length %d >>\nstream\n%s\nendstream" % (len(picture), picture),
    ]
    for index, content in enumerate(pages):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R"
            b" /Resources << /Font << /R 3 0 R /B 4 0 R >> /XObject << /I 5 0 R >> >> >>"
            % (WIDTH, HEIGHT, 7 + 2 * index)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, len(out))
    return out + head + table + end


def line(text: str, y: float, x: float = LEFT, size: float = SIZE, font: str = "R") -> bytes:
    return f"BT /{font} {size} Tf {x} {y} Td ({text}) Tj ET\n".encode("latin-1")


def lines(text: str, y: float, x: float = LEFT, **style: float) -> bytes:
    return b"".join(line(row, y - LEAD * i, x, **style) for i, row in enumerate(text.split("\n")))


def read(folder: Path, *pages: bytes) -> Book:
    (folder / "book.pdf").write_bytes(pdf(list(pages)))
    return read_book(folder / "book.pdf", "book")


BODY = (
    "The patches of this disease are round and stay where they are for a\n"
    "long time, while the scales upon them fall off every day and grow again."
)


def test_headings_by_size_and_weight_make_a_tree(tmp_path):
    page = (
        line("Scaly diseases", 740, size=20, font="B")
        + line("Psoriasis", 700, size=15, font="B")
        + line("Morphology", 670, font="B")
        + lines(BODY, 650)
        + line("Vitiligo", 600, size=15, font="B")
        + lines(BODY, 570)
    )
    book = read(tmp_path, page)
    assert [section.path for section in book.sections] == [
        ("Scaly diseases", "Psoriasis", "Morphology"),
        ("Scaly diseases", "Vitiligo"),
    ]
    assert all(book.text[s.start : s.end] == s.text == BODY.replace("\n", " ") for s in book.sections)
    assert {section.page for section in book.sections} == {1}


def test_the_level_that_names_diagnoses_is_found(tmp_path):
    """Here it is the highest rank, where Markdown books have it on the second."""
    page = line("Psoriasis", 700, size=15, font="B") + line("Sites", 670, font="B") + lines(BODY, 650)
    (passage,) = Knowledge.from_book(read(tmp_path, page), Taxonomy.load()).passages.values()
    assert (passage.id, passage.kind, passage.page) == ("book:psoriasis#sites", "sites", 1)


def test_capitals_in_the_middle_are_a_heading(tmp_path):
    page = line("PSORIASIS", 720, x=275) + lines(BODY, 690)
    assert [section.path for section in read(tmp_path, page).sections] == [("PSORIASIS",)]


def test_running_heads_and_page_numbers_are_left_out_and_counted(tmp_path):
    pages = [line(f"{n}  A book of skin", 770) + lines(BODY, 700) + line(str(n), 30, x=300) for n in range(1, 6)]
    book = read(tmp_path, *pages)
    assert "A book of skin" not in book.text
    assert book.skipped == {"running heads and page numbers": 10}
    assert book.text.count("The patches") == 5


def test_a_sentence_torn_by_a_page_is_joined(tmp_path):
    first, second = BODY.split("\n")
    book = read(tmp_path, line("Psoriasis", 740, size=15, font="B") + line(first, 60), line(second, 740))
    assert [section.text for section in book.sections] == [BODY.replace("\n", " ")]


@pytest.mark.parametrize(
    ("elsewhere", "joined"),
    [("A well-known scaling.", "well-known"), ("It is wellknown.", "wellknown"), ("", "wellknown")],
)
def test_hyphen_at_a_lines_end(tmp_path, elsewhere, joined):
    text = "A disease of the skin of the elbows and of the knees which is well-\nknown to everybody who reads this."
    book = read(tmp_path, lines(text, 700) + line(elsewhere, 600))
    assert f"is {joined} to" in book.text


def test_two_columns_are_read_one_after_the_other(tmp_path):
    left = "The left column is narrow and\nholds about thirty letters and\nit ends in the middle of this"
    right = "sentence, whose end stands on\nthe right, where the page has\nits other column of the text."
    book = read(tmp_path, lines(left, 700) + lines(right, 700, x=330))
    (section,) = book.sections
    assert section.text == f"{left} {right}".replace("\n", " ")


def figure_page(label_first: bool) -> bytes:
    label = line("Fig. 3.", 600, x=288)
    caption = line("A round patch upon an elbow.", 380, x=235)
    picture = GREY % (180, 180, 216, 400)
    number = label if label_first else line("Fig. 3.", 395, x=288)
    return lines(BODY, 700) + number + picture + caption + lines(BODY, 340)


@pytest.mark.parametrize("label_first", [True, False])
def test_a_picture_has_its_number_and_caption(tmp_path, label_first):
    book = read(tmp_path, line("Psoriasis", 740, size=15, font="B") + figure_page(label_first))
    (figure,) = book.figures
    assert (figure.label, figure.caption, figure.page) == ("Fig. 3.", "A round patch upon an elbow.", 1)
    assert figure.section == ("Psoriasis",) and figure.picture and figure.picture.data[1:4] == b"PNG"
    assert book.text[figure.start : figure.end] == figure.caption
    (section,) = book.sections  # the figure's words do not interrupt it
    assert "elbow" not in section.text and section.text.count("The patches") == 2


def test_a_numbered_caption_may_stand_in_the_column(tmp_path):
    caption = "Figure 2.1 (A) A patch upon an elbow. (B) The same patch after a week."
    book = read(tmp_path, lines(BODY, 700) + GREY % (420, 180, 80, 440) + line(caption, 420) + lines(BODY, 380))
    (figure,) = book.figures
    assert figure.caption == caption
    assert figure.parts == (("A", "A patch upon an elbow"), ("B", "The same patch after a week"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["a, Coil: b, duct; c and d, artery and vein."],
            [("a", "Coil"), ("b", "duct"), ("c and d", "artery and vein")],
        ),
        (["(A-C) The face. (D) The back"], [("A-C", "The face"), ("D", "The back")]),
        (["Annular Syphiloderm. (After I.E. Atkinson.)"], []),
        (["A normal gland; a duct."], []),
    ],
)
def test_sub_figures(words, expected):
    assert list(parts(words)) == expected


def test_a_page_without_text_is_noted_and_a_scanned_book_refused(tmp_path):
    scan = GREY % (WIDTH, HEIGHT, 0, 0)
    book = read(tmp_path, lines(BODY, 700), scan, lines(BODY, 700))
    ((where, reason),) = book.notes
    assert "page 2" in where and "ocrmypdf" in reason
    with pytest.raises(UserError, match=r"3 of 4 pages have no text layer.*ocrmypdf"):
        read(tmp_path, lines(BODY, 700), scan, scan, scan)


def test_a_recognised_scan_is_text_and_its_picture_no_figure(tmp_path):
    book = read(tmp_path, GREY % (WIDTH, HEIGHT, 0, 0) + lines(BODY, 700))
    assert not book.figures and book.skipped["page scans under the text"] == 1


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not a PDF"),
        (b"Not a book.", "not a PDF"),
        (pdf([lines(BODY, 700)])[:900], "cut off"),
        (b"%PDF-1.4\nnothing\n%%EOF\n", "cannot be read"),
        (
            pdf([lines(BODY, 700)], b"/ID [<00><00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>"
                % (b"11" * 32, b"22" * 32)),
            "encrypted",
        ),
    ],
)  # fmt: skip
def test_damaged_pdf_is_one_line(tmp_path, data, complaint):
    (tmp_path / "book.pdf").write_bytes(data)
    with pytest.raises(UserError, match=complaint) as caught:
        read_book(tmp_path / "book.pdf", "book")
    assert "book.pdf" in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_format(tmp_path):
    (tmp_path / "book.docx").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no reader for \.docx.*\.pdf"):
        read_book(tmp_path / "book.docx", "book")
