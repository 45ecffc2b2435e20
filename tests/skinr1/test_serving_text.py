"""A report as a person reads it."""

from pathlib import Path

from skinr1.serving.text import passage_titles, render_text
from skinr1.stage import write_jsonl
from tests.skinr1.sample_report import REPORT, TREE

EXPECTED = """\
Diagnosis:   neoplasm > benign > common nevus
Condition:   benign
Confidence:  high
Advice:      routine visit to a dermatologist

Findings:    papule, brown colour, sharp border

Differential
   70 %  common nevus
         for:     sharp border
   25 %  nodular melanoma
         against: sharp border, smooth surface

Citations
  - Common nevus, morphology (primer, p. 3) [primer:common-nevus#morphology]
  - primer:melanoma

Reasoning
  Seen: papule.

Research software, not a medical device."""


def test_report_reads_like_a_letter(tmp_path: Path) -> None:
    passage = {
        "id": "primer:common-nevus#morphology",
        "source": "primer",
        "section": "Common nevus",
        "kind": "morphology",
        "page": 3,
    }
    write_jsonl(tmp_path / "passages.jsonl", [passage])
    assert render_text(REPORT, TREE, passage_titles(tmp_path), "Seen: papule.") == EXPECTED


def test_report_text_without_titles_or_reasoning() -> None:
    text = render_text(REPORT.model_copy(update={"findings": (), "citations": ()}), TREE)
    assert "Findings:    none" in text
    assert "Citations\n  none" in text
    assert "Reasoning" not in text
