"""An envelope as Markdown, for notes and chats. Every word that is not ours is escaped."""

import re
from collections.abc import Iterator, Mapping

from skinr1.knowledge.passages import Passage
from skinr1.page.environment import node_path
from skinr1.report import DifferentialEntry
from skinr1.serving.envelope import ReportEnvelope
from skinr1.serving.text import ADVICE
from skinr1.taxonomy import Taxonomy

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:$@=^])")


def escape(text: str) -> str:
    """One line whose every sign of CommonMark, and of its usual extensions, stands for itself."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def to_markdown(envelope: ReportEnvelope, taxonomy: Taxonomy, passages: Mapping[str, Passage]) -> str:
    """The report in the order of the page: disclaimer, red flags, advice, diagnosis, why, from where, how good."""
    return "\n".join(_lines(envelope, taxonomy, passages)) + "\n"


def _lines(envelope: ReportEnvelope, taxonomy: Taxonomy, passages: Mapping[str, Passage]) -> Iterator[str]:
    report, stamps = envelope.report, envelope.stamps
    yield f"# Report on skin images\n\n> **{report.disclaimer}** No medical advice; it may be wrong.\n"
    if envelope.red_flags:
        yield "## Red flags\n"
        yield from (
            f"- **{flag.kind.capitalize()}**, {flag.probability:.0%}. {escape(flag.text)}"
            for flag in envelope.red_flags
        )
        yield ""
    if envelope.refused:
        yield f"**No diagnosis is given.** {escape(envelope.refused)}\n"
    yield f"**Advice:** {escape(ADVICE[report.advice])}\n"
    path = node_path(report.diagnosis, taxonomy) if report.diagnosis else "none"
    yield f"## Diagnosis\n\n{escape(path)}\n"
    condition = (report.condition or "not judged").replace("_", " ")
    yield f"Condition: {escape(condition)}. Confidence: {report.confidence}.\n"
    if report.differential:
        yield "| differential | probability | for | against |\n| --- | --- | --- | --- |"
        yield from (_rival(entry, taxonomy) for entry in report.differential)
        yield ""
    yield f"Findings: {escape(', '.join(report.findings)) or 'none'}\n"
    if report.citations:
        yield "## Cited passages\n"
        yield from (_citation(key, passages.get(key)) for key in report.citations)
        yield ""
    if envelope.citations_removed:
        yield f"Citations removed, because no book here has them: {len(envelope.citations_removed)}\n"
    if envelope.agreement and envelope.agreement.samples > 1:
        a = envelope.agreement
        yield f"Agreement: {a.share:.0%} of {a.samples} answers, entropy {a.entropy:.2f} bits\n"
    yield "## Quality of the images\n"
    yield from [f"- {escape(line.text)}" for line in envelope.limitations] or ["Nothing found that limits the report."]
    yield f"\nModel {escape(f'{stamps.model} ({stamps.model_hash})')}, taxonomy {escape(stamps.taxonomy)}, " + (
        f"prompt {escape(stamps.prompt_version)}, schema {escape(stamps.schema_version)}"
    )


def _rival(entry: DifferentialEntry, taxonomy: Taxonomy) -> str:
    signs = [escape(", ".join(names)) or "none" for names in (entry.evidence_for, entry.evidence_against)]
    return f"| {escape(taxonomy.node(entry.diagnosis).name)} | {entry.probability:.0%} | {' | '.join(signs)} |"


def _citation(key: str, passage: Passage | None) -> str:
    if passage is None:
        return f"- {escape(key)}"
    page = f", p. {passage.page}" if passage.page else ""
    return f"- {escape(f'{passage.section}, {passage.kind} ({passage.source}{page}): {passage.text}')}"
