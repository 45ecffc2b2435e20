"""MedQuAD's JSON lines -> book (Ben Abacha and Demner-Fushman 2019): a question and its answer a line."""

from pathlib import Path
from typing import Any

from skinr1.errors import UserError
from skinr1.knowledge.book import Book
from skinr1.knowledge.sections import Section
from skinr1.stage import read_jsonl

_FIELDS = {"focus": str, "qtype": str, "question": str, "answer": str}
LEVEL = 2  # of Section.path: the source's name, the focus, the question's type


def read_records(path: Path, source: str) -> Book:
    """One section a record: ``focus`` is the diagnosis, ``qtype`` the heading, ``synonyms`` its other names.

    Records without an answer are noted. The source text is the questions and answers in the order of the file.

    Raises:
        UserError: the file is missing, no JSON lines, or a line lacks one of the fields.
    """
    pieces: list[str] = []
    sections: list[Section] = []
    notes: list[tuple[str, str]] = []
    size = 0
    for number, row in enumerate(read_jsonl(path), 1):
        _check(row, f"{path}:{number}")
        answer = row["answer"].strip()
        if not answer:
            notes.append((f"{source}, line {number}", "record without an answer"))
            continue
        text = f"{' '.join(row['question'].split())}\n\n{answer}"
        names = (source, row["focus"].strip(), row["qtype"].strip())
        others = tuple(str(name) for name in row.get("synonyms") or ())
        sections.append(Section(names, text, size, size + len(text), None, others))
        pieces.append(f"{text}\n\n")
        size += len(pieces[-1])
    return Book(source, "".join(pieces), tuple(sections), level=LEVEL, notes=tuple(notes))


def _check(row: dict[str, Any], where: str) -> None:
    for name, kind in _FIELDS.items():
        if not isinstance(row.get(name), kind):
            raise UserError(f"record without a text {name!r}", where, f"Give {', '.join(_FIELDS)} on every line.")
