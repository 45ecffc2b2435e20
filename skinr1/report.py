"""Report: the one contract between model, reward, server and evaluation, with its schema and its parser.

A model's answer is ``<think>reasoning</think>``, a newline, and one JSON object. Nothing else in the project
reads model text. What :func:`json_schema` and :func:`structural_tag` can force, :func:`parse` accepts, and a little
more: longer reasoning (:data:`MAX_THINKING`), ``<`` in it, and other spellings of a number.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

import jiter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from skinr1.concepts import concept, concepts
from skinr1.grammar import json_ebnf, longest_json
from skinr1.taxonomy import Bucket, Taxonomy

SCHEMA_VERSION: Final = "v1"
DISCLAIMER: Final = "Research software, not a medical device."
OPEN, CLOSE = "<think>", "</think>"
_BRACKETED = re.compile(r"\[[^\[\]]*\]")
MAX_THINKING = 4000
MAX_FORCED_THINKING = 1200
MAX_ANSWER = 20_000
# Advice of a report without a diagnosis: take another image, or none, where signs are only described.
WITHOUT_DIAGNOSIS: Final = ("new_image", "none")


def _known_concept(name: str) -> str:
    return name if name in concepts() else concept(name).name


def _two_decimals(value: float) -> float:
    if round(value, 2) != value:
        raise ValueError("probability has more than two decimals")
    return value


ConceptName = Annotated[str, AfterValidator(_known_concept)]
Probability = Annotated[float, Field(ge=0.0, le=1.0), AfterValidator(_two_decimals)]
PassageId = Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,40}:[a-z0-9_./-]{1,80}(#[a-z0-9_-]{1,40})?$")]
Signs = Annotated[tuple[ConceptName, ...], Field(max_length=8)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DifferentialEntry(_Strict):
    """One rival: a taxonomy path, its probability, and the signs that speak for and against it."""

    diagnosis: str
    probability: Probability
    evidence_for: Signs
    evidence_against: Signs


class Report(_Strict):
    """A structured report, version 1.

    ``differential`` is ranked, most probable first. ``diagnosis`` is a full taxonomy path and may be an inner
    node when the leaf is not known. A report may decline to diagnose, whole or not at all: diagnosis and condition are
    null, the differential is empty, and the advice is of :data:`WITHOUT_DIAGNOSIS`. Other fields that contradict each
    other (a condition that is not the diagnosis's bucket, say) are valid here and counted by evaluation: a grammar
    cannot forbid them.
    """

    schema_version: Literal["v1"]
    findings: Signs
    diagnosis: str | None
    condition: Bucket | None
    differential: Annotated[tuple[DifferentialEntry, ...], Field(max_length=5)]
    confidence: Literal["low", "moderate", "high"]
    advice: Literal["self_care", "routine_visit", "prompt_visit", "urgent_visit", "new_image", "none"]
    citations: Annotated[tuple[PassageId, ...], Field(max_length=6)]
    disclaimer: Literal["Research software, not a medical device."]

    @model_validator(mode="after")
    def _diagnoses_or_declines(self) -> Self:
        parts = {
            self.diagnosis is None,
            self.condition is None,
            not self.differential,
            self.advice in WITHOUT_DIAGNOSIS,
        }
        if len(parts) > 1:
            raise ValueError("diagnosis, condition, differential and advice do not decline together")
        return self

    def nodes(self) -> tuple[str, ...]:
        """Every diagnosis it names, the leading one first; empty when it declines."""
        return (
            *([] if self.diagnosis is None else [self.diagnosis]),
            *(entry.diagnosis for entry in self.differential),
        )


@dataclass(frozen=True)
class Answer:
    """A whole answer: the reasoning and the report."""

    thinking: str
    report: Report

    @cached_property  # several rewards read it
    def spoken(self) -> str:
        """The reasoning without what stands in square brackets: the id of a passage may name a disease or a sign."""
        return _BRACKETED.sub(" ", self.thinking)


# Keys of the JSON objects, and the values that are always strings.
_OWN_STRINGS = len(Report.model_fields) + len(("schema_version", "confidence", "advice", "disclaimer"))
_ENTRY_STRINGS = len(DifferentialEntry.model_fields) + len(("diagnosis",))


class InvalidAnswer(ValueError):
    """Text outside the contract. ``reason`` is a short machine-readable word, ``detail`` is for people."""

    def __init__(self, reason: str, detail: str = ""):
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}" if detail else reason)


def render(answer: Answer) -> str:
    """The text a model should have written; ``parse(render(a)) == a``."""
    body = json.dumps(answer.report.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))
    return f"{OPEN}{answer.thinking}{CLOSE}\n{body}"


def parse(text: str, taxonomy: Taxonomy) -> Answer:
    """Reads a model's answer, strictly.

    Raises:
        InvalidAnswer: with reason ``length``, ``think``, ``json``, ``schema`` or ``diagnosis``.
    """
    if len(text) > MAX_ANSWER:
        raise InvalidAnswer("length", f"{len(text)} characters; at most {MAX_ANSWER}")
    stripped = text.strip()
    if not stripped.startswith(OPEN) or stripped.count(OPEN) != 1 or stripped.count(CLOSE) != 1:
        raise InvalidAnswer("think", "needs exactly one <think>…</think>, first")
    thinking, _, body = stripped[len(OPEN) :].partition(CLOSE)
    if not thinking.strip() or len(thinking) > MAX_THINKING:
        raise InvalidAnswer("think", f"reasoning is empty or longer than {MAX_THINKING} characters")
    body = body.strip()
    report = _report(body)
    for node in report.nodes():
        if node not in taxonomy.nodes:
            raise InvalidAnswer("diagnosis", f"{node!r} is no taxonomy path")
    return Answer(thinking, report)


def reasoning_so_far(text: str) -> str:
    """The reasoning of an answer that is still being written; grows as the text grows, and never shrinks."""
    thinking, closed, _ = text.lstrip().removeprefix(OPEN).partition(CLOSE)
    if not text.lstrip().startswith(OPEN):
        return ""
    held = 0 if closed else next((n for n in range(len(CLOSE) - 1, 0, -1) if thinking.endswith(CLOSE[:n])), 0)
    return thinking[: len(thinking) - held]


def report_from_json(data: Any, taxonomy: Taxonomy) -> Report:
    """A stored report, checked like a model's. Raises InvalidAnswer."""
    return parse(f"{OPEN}stored{CLOSE}{json.dumps(data)}", taxonomy).report


def check_json(body: str) -> None:
    """What pydantic's reader lets pass: a key twice, NaN. Raises InvalidAnswer."""
    try:
        jiter.from_json(body.encode(), allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:  # also UnicodeEncodeError: half of a surrogate pair
        raise InvalidAnswer("json", str(error)) from None


def _report(body: str) -> Report:
    """Reads the text once where it holds no quotation marks but those a report needs: then no key occurs twice."""
    try:
        report = Report.model_validate_json(body, strict=True)
    except ValidationError as error:
        check_json(body)  # first what is wrong with the text
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidAnswer("schema", f"{where}: {first['msg']}") from None
    if body.count('"') != 2 * _strings(report):
        check_json(body)
    return report


def _strings(report: Report) -> int:
    """Strings in a report's JSON, keys included."""
    named = 0 if report.diagnosis is None else 2  # the diagnosis and its condition
    found = _OWN_STRINGS + named + len(report.findings) + len(report.citations)
    for entry in report.differential:
        found += _ENTRY_STRINGS + len(entry.evidence_for) + len(entry.evidence_against)
    return found


def json_schema(taxonomy: Taxonomy) -> dict[str, Any]:
    """JSON Schema of the report, with diagnoses and signs as closed enumerations.

    Bounded everywhere, so that constrained decoding ends: array lengths, string patterns, two-decimal
    probabilities listed one by one. Two alternatives: a report with a diagnosis, and one that declines.
    """
    schema = Report.model_json_schema()
    definitions = schema.pop("$defs")
    entry = definitions["DifferentialEntry"]["properties"]
    definitions["Diagnosis"] = {"type": "string", "enum": list(taxonomy.nodes)}
    definitions["Sign"] = {"type": "string", "enum": list(concepts())}
    entry["diagnosis"] = {"$ref": "#/$defs/Diagnosis"}
    for signs in (schema["properties"]["findings"], entry["evidence_for"], entry["evidence_against"]):
        signs["items"] = {"$ref": "#/$defs/Sign"}
    entry["probability"] = {"enum": [step / 100 for step in range(101)]}
    own = schema["properties"]
    levels = own["advice"]["enum"]
    given = {
        "diagnosis": {"$ref": "#/$defs/Diagnosis"},
        "condition": {"$ref": "#/$defs/Bucket"},
        "differential": {**own["differential"], "minItems": 1},
        "advice": {"enum": [level for level in levels if level not in WITHOUT_DIAGNOSIS]},
    }
    declined = {
        "diagnosis": {"const": None},
        "condition": {"const": None},
        "differential": {"const": []},
        "advice": {"enum": list(WITHOUT_DIAGNOSIS)},
    }
    variants = [{**schema, "properties": {**own, **changed}} for changed in (given, declined)]
    return {"$defs": definitions, "anyOf": variants}


def structural_tag(taxonomy: Taxonomy, max_thinking: int = MAX_FORCED_THINKING) -> dict[str, Any]:
    """vLLM ``response_format`` that forces a whole answer: bounded reasoning, then a report of the schema.

    Reasoning starts with a printable ASCII character, so that it is never blank. The report comes as a grammar
    and not as its schema, because only so is every byte decided (see :mod:`skinr1.grammar`).
    """
    thinking = {"type": "regex", "pattern": f"[!-;=-~][^<]{{0,{max_thinking - 1}}}"}
    return {
        "type": "structural_tag",
        "format": {
            "type": "sequence",
            "elements": [
                {"type": "tag", "begin": OPEN, "content": thinking, "end": CLOSE},
                {"type": "const_string", "value": "\n"},
                {"type": "grammar", "grammar": json_ebnf(json_schema(taxonomy))},
            ],
        },
    }


def longest_forced_answer(taxonomy: Taxonomy, max_thinking: int = MAX_FORCED_THINKING) -> int:
    """UTF-8 bytes of the longest answer :func:`structural_tag` admits, so also its largest number of tokens."""
    return len(f"{OPEN}{CLOSE}\n") + 4 * max_thinking + longest_json(json_schema(taxonomy))


def inconsistencies(report: Report, taxonomy: Taxonomy) -> list[str]:
    """Contradictions inside a valid report, one line each; evaluation counts them."""

    def faults() -> Iterable[str]:
        if report.diagnosis is None:
            return
        bucket = taxonomy.bucket(report.diagnosis)
        if bucket is not None and bucket is not report.condition:
            yield f"condition {report.condition} but the diagnosis is {bucket}"
        if report.differential[0].diagnosis != report.diagnosis:
            yield "first of the differential is not the diagnosis"
        names = [entry.diagnosis for entry in report.differential]
        if len(set(names)) != len(names):
            yield "a diagnosis occurs twice in the differential"
        probabilities = [entry.probability for entry in report.differential]
        if probabilities != sorted(probabilities, reverse=True):
            yield "differential is not ranked by probability"
        if sum(probabilities) > 1.005:
            yield "probabilities add up to more than 1"

    return list(faults())
