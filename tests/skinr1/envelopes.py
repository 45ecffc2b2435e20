"""Envelopes for the tests of what shows them, one of them as hostile as its schema lets it be."""

from skinr1.knowledge import Knowledge
from skinr1.report import Report
from skinr1.serving.envelope import Agreement, Limitation, RedFlag, ReportEnvelope, Stamps
from skinr1.serving.quality import declining_report
from skinr1.serving.rules import apply_rules
from skinr1.taxonomy import Taxonomy
from tests.skinr1.test_serving_rules import BCC, MELANOMA, NEVUS, report

TAXONOMY = Taxonomy.load()
PASSAGES = Knowledge.primer(TAXONOMY).passages
STAMPS = Stamps(
    model="tiny",
    model_hash="0123456789abcdef",
    taxonomy="2026.2 5ac584eeeebefc7e",
    prompt_version="2",
    schema_version="v1",
)
ATTACK = "<script>alert(1)</script><img src=x onerror=alert(1)>[x](javascript:alert(1)) | **bold** `code`"
HISTORY = "my name is Jane Doe"


def _cited(node: str) -> str:
    return next(key for key, passage in PASSAGES.items() if node in passage.diagnoses)


def full() -> ReportEnvelope:
    """Every field filled: a melanoma among the rivals, several answers, a removed citation."""
    differential = [
        {"diagnosis": NEVUS, "probability": 0.62, "evidence_for": ("sharp border",), "evidence_against": ("papule",)},
        {"diagnosis": MELANOMA, "probability": 0.28, "evidence_for": ("brown colour",), "evidence_against": ()},
        {"diagnosis": BCC, "probability": 0.1, "evidence_for": (), "evidence_against": ("brown colour",)},
    ]
    raw: Report = report((NEVUS, 0.62), citations=(_cited(NEVUS), _cited(MELANOMA)), differential=tuple(differential))
    checked, flags = apply_rules(raw, TAXONOMY)
    return ReportEnvelope(
        report=checked,
        reasoning=f"Seen: papule. The patient says: {HISTORY}. Conclusion: nevus.",
        limitations=(Limitation(code="soft", text="Image 1 is not sharp: fine structures are lost.", image=0),),
        red_flags=flags,
        agreement=Agreement(samples=8, share=0.75, entropy=0.81, voted={NEVUS: 6, MELANOMA: 2}),
        citations_removed=("primer:no-such#passage",),
        stamps=STAMPS,
    )


def refused() -> ReportEnvelope:
    why = "Image 1 shows no skin in colour; please give a colour photograph of skin."
    return ReportEnvelope(
        report=declining_report(),
        refused=why,
        limitations=(Limitation(code="no_skin", text=why, image=0),),
        stamps=STAMPS,
    )


def hostile() -> ReportEnvelope:
    """Wherever a string may stand that is not from the tree, it is an attack."""
    return full().model_copy(
        update={
            "reasoning": ATTACK,
            "refused": ATTACK,
            "limitations": (Limitation(code="soft", text=ATTACK, image=0),),
            "red_flags": (RedFlag(diagnosis=MELANOMA, kind="malignant", probability=0.3, text=ATTACK),),
            "stamps": STAMPS.model_copy(update={"model": ATTACK}),
        }
    )
