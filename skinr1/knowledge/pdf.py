"""PDF -> book, with pdfium (pypdfium2: Apache-2.0 or BSD-3-Clause)."""

import ctypes
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from skinr1.errors import UserError
from skinr1.knowledge.book import Book, assemble
from skinr1.knowledge.figures import Picture
from skinr1.knowledge.typography import Line, Placed, Setting, furniture, to_blocks

OCR = "Recognise its text first, e.g. `ocrmypdf in.pdf out.pdf`."
SMALLEST = 32  # pixels; smaller pictures are ornaments and rules
BACKGROUND = 0.8  # of the page's area; a larger picture under text is the scan that the text was recognised from

_HYPHEN = 2  # what pdfium makes of a hyphen at a line's end, in place of a line break
_BREAKS = (10, 13, _HYPHEN)
_BOLD = re.compile(rb"bold|black|heavy|demi", re.IGNORECASE)
_FORCE_BOLD = 1 << 18  # PDF 32000-1, table 123: font descriptor flags


def read_pdf(path: Path, source: str, watch: Callable[[range], Iterable[int]] = iter) -> Book:
    """Reads a PDF that has a text layer.

    Args:
        watch: wraps the range of page indices, e.g. in a progress bar.

    Raises:
        UserError: the file is missing, damaged, cut off or encrypted, or most of its pages are scans without text.
    """
    document = _open(path)
    lines: list[Line] = []
    pictures: list[Placed] = []
    skipped: Counter[str] = Counter()
    scans: list[int] = []
    pages = len(document)
    for index in watch(range(pages)):
        page = _load(document, index, path)
        found = list(_lines(page, index + 1))
        shown = list(_pictures(page, index + 1, bool(found), skipped))
        if not found and shown:
            scans.append(index + 1)
        lines += found
        pictures += shown
        page.close()
    document.close()
    if not lines or len(scans) > pages / 2:
        raise UserError(f"{len(scans)} of {pages} pages have no text layer (scanned?)", str(path), OCR)
    setting = Setting.of(lines)
    aside = furniture(lines, setting, pages)
    skipped["running heads and page numbers"] = len(aside)
    blocks = to_blocks([line for line in lines if line not in aside], pictures, setting)
    notes = [(f"{source}, page {number}", f"no text layer, only a picture. {OCR}") for number in scans]
    return assemble(blocks, source, dict(sorted(skipped.items())), notes)


def _open(path: Path) -> pdfium.PdfDocument:
    if not path.is_file():
        raise UserError("book not found", str(path), "Correct the path.")
    data = path.read_bytes()
    if b"%PDF-" not in data[:1024]:
        raise UserError("not a PDF", str(path), "Give the PDF itself.")
    if b"%%EOF" not in data[-2048:]:  # pdfium would mend it silently and lose the pages at its end
        raise UserError("PDF is cut off (no end mark)", str(path), "Fetch or copy it again.")
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise UserError("PDF is encrypted", str(path), "Save it without a password, e.g. with qpdf.") from None
        raise UserError(f"PDF cannot be read ({error})", str(path), "Fetch or convert it again.") from None


def _load(document: pdfium.PdfDocument, index: int, path: Path) -> pdfium.PdfPage:
    try:
        return document[index]
    except pdfium.PdfiumError:
        raise UserError(f"page {index + 1} is damaged", str(path), "Fetch or convert the PDF again.") from None


def _lines(page: pdfium.PdfPage, number: int) -> Iterator[Line]:
    """The page's lines in the order of its content, which is the reading order in columns too."""
    text = page.get_textpage()
    start = 0
    for index in range(text.count_chars() + 1):
        letter = raw.FPDFText_GetUnicode(text, index) if index < text.count_chars() else _BREAKS[0]
        if letter in _BREAKS:
            line = _line(text, range(start, index + (letter == _HYPHEN)), page.get_height(), number)
            start = index + 1
            if line:
                yield line
    text.close()


def _line(text: pdfium.PdfTextPage, span: range, height: float, number: int) -> Line | None:
    """None for a blank line. Size is that of most characters, the larger where two are equally common."""
    letters = [chr(raw.FPDFText_GetUnicode(text, index)) for index in span]
    inked = [i for i, letter in zip(span, letters, strict=True) if letter.strip() and letter.isprintable()]
    if not inked:
        return None
    sizes = Counter(round(2 * raw.FPDFText_GetFontSize(text, index)) / 2 for index in inked)
    size = max(sizes, key=lambda s: (sizes[s], s)) * _scale(text, inked[0])
    boxes = [_box(text, index) for index in {inked[0], inked[len(inked) // 2], inked[-1]}]
    bold = sum(_is_bold(text, index) for index in inked)
    printed = "".join(letter if letter.isprintable() else "-" if ord(letter) == _HYPHEN else " " for letter in letters)
    return Line(
        " ".join(printed.split()),
        number,
        min(box[0] for box in boxes),
        max(box[2] for box in boxes),
        height - max(box[3] for box in boxes),
        height - min(box[1] for box in boxes),
        round(2 * size) / 2,
        bold > 0.6 * len(inked),
    )


def _scale(text: pdfium.PdfTextPage, index: int) -> float:
    """Points per unit of the font size: the matrix of the text may enlarge it."""
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(text, index, matrix)
    return math.sqrt(abs(matrix.a * matrix.d - matrix.b * matrix.c)) or 1.0


def _box(text: pdfium.PdfTextPage, index: int) -> tuple[float, float, float, float]:
    """(left, bottom, right, top) with the font's own ascent and descent, so that lines of one type are equally high."""
    return text.get_charbox(index, loose=True)


def _is_bold(text: pdfium.PdfTextPage, index: int) -> bool:
    name, flags = ctypes.create_string_buffer(128), ctypes.c_int()
    raw.FPDFText_GetFontInfo(text, index, name, 128, flags)
    return bool(flags.value & _FORCE_BOLD) or _bold_name(name.value)


@lru_cache(maxsize=1024)
def _bold_name(name: bytes) -> bool:
    return _BOLD.search(name) is not None


def _pictures(page: pdfium.PdfPage, number: int, has_text: bool, skipped: Counter[str]) -> Iterator[Placed]:
    width, height = page.get_size()
    for image in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE]):
        x0, bottom, x1, top = image.get_bounds()
        if min(image.get_px_size()) < SMALLEST:
            skipped["pictures too small for a figure"] += 1
        elif has_text and (x1 - x0) * (top - bottom) > BACKGROUND * width * height:
            skipped["page scans under the text"] += 1
        else:
            yield Placed(_picture(image), number, x0, x1, height - top, height - bottom)


def _picture(image: pdfium.PdfImage) -> Picture:
    """The embedded JPEG as it is; other encodings as PNG."""
    if image.get_filters() and image.get_filters()[-1] == "DCTDecode":
        return Picture(bytes(image.get_data(decode_simple=True)), ".jpg")
    buffer = io.BytesIO()
    image.get_bitmap().to_pil().save(buffer, "PNG")
    return Picture(buffer.getvalue(), ".png")
