"""Every prompt, versioned. A change of wording is a change of ``PROMPT_VERSION``; a snapshot test sees to it."""

from typing import Any

from skinr1.cases import Case

PROMPT_VERSION = "2"

SYSTEM = (
    "You examine skin images for research. Reason between <think> and </think> from visible signs to a diagnosis, "
    "citing textbook passages. Then write one JSON report."
)
REPORT_QUESTION = "Write the report for this case."
CAPTION_QUESTION = "Describe the visible signs."
DESCRIPTION_QUESTION = "Describe the signs. Name no disease; write the report without a diagnosis."


def context(case: Case) -> str:
    """What the patient told: age, sex, site, complaints. Empty when nothing is known; never the label."""
    parts = [
        f"age {case.age}" if case.age is not None else "",
        case.sex or "",
        f"site {case.site}" if case.site else "",
        f"complains of {', '.join(case.history)}" if case.history else "",
    ]
    told = "; ".join(part for part in parts if part)
    return f"Patient: {told}. " if told else ""


def question(case: Case) -> str:
    """The report question with the case's context in front."""
    return f"{context(case)}{REPORT_QUESTION}"


def description_question(case: Case) -> str:
    """Asks for signs only, with the case's context in front."""
    return f"{context(case)}{DESCRIPTION_QUESTION}"


def messages(text: str, images: int, system: str | None = SYSTEM) -> list[dict[str, Any]]:
    """Chat messages with image placeholders before the text, in TRL's and transformers' conversational form."""
    content: list[dict[str, Any]] = [{"type": "image"} for _ in range(images)]
    user = {"role": "user", "content": [*content, {"type": "text", "text": text}]}
    return [user] if system is None else [{"role": "system", "content": [{"type": "text", "text": system}]}, user]
