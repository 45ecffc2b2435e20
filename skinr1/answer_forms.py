"""Answers to questions shorter than a report: each form with its parser, as :mod:`skinr1.report` has.

An answer is one JSON object, and reasoning in ``<think>…</think>`` may stand before it. What it says becomes a
:class:`ShortReport`, so that the metrics of reports score it. Anything else is a
:class:`~skinr1.report.InvalidAnswer`, which counts against the model everywhere. The two letter forms are those of the
published Skin-R1 benchmarks (:mod:`skinr1.letters`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator

from skinr1.concepts import concepts
from skinr1.errors import UserError
from skinr1.letters import CONDITION_LETTERS, CONDITION_WORDS, LETTERS, final_letter
from skinr1.report import (
    CLOSE,
    DISCLAIMER,
    MAX_ANSWER,
    MAX_THINKING,
    OPEN,
    SCHEMA_VERSION,
    Answer,
    ConceptName,
    DifferentialEntry,
    InvalidAnswer,
    Probability,
    Report,
    check_json,
    parse,
)
from skinr1.seven_point import ABSENT, CRITERIA, seven_point_score
from skinr1.taxonomy import Bucket, Taxonomy

Form = Literal[
    "report", "choice", "descent", "condition", "differential", "signs", "checklist", "letter", "condition_letter"
]
Options = Sequence[Sequence[str]]  # an option is the nodes that a label denotes
LISTS: tuple[Form, ...] = ("differential", "signs")  # whose names are the model's own
RANKS = 6
MAX_SIGNS = 24


class ShortReport(Report):
    """What a shorter answer says, in a report's fields.

    No model writes one: it may state a condition without a diagnosis, rank six, and list more signs than a report may.
    ``condition`` is the diagnosis's own bucket where the form does not ask for one.
    """

    findings: Annotated[tuple[ConceptName, ...], Field(max_length=MAX_SIGNS)]
    differential: Annotated[tuple[DifferentialEntry, ...], Field(max_length=RANKS)]

    @model_validator(mode="after")
    def _diagnoses_or_declines(self) -> Self:
        return self


class Step(BaseModel):
    """One round of a descent, as stored: the options that were shown, and the raw answer."""

    model_config = ConfigDict(frozen=True)

    options: tuple[tuple[str, ...], ...]
    text: str
    finish_reason: str = ""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Choice(_Strict):
    choice: int


class _Condition(_Strict):
    condition: Bucket


class _Ranked(_Strict):
    diagnosis: str
    probability: Probability


class _Differential(_Strict):
    differential: Annotated[tuple[_Ranked, ...], Field(min_length=1, max_length=RANKS)]


class _Signs(_Strict):
    signs: Annotated[tuple[str, ...], Field(max_length=MAX_SIGNS)]


class _Checklist(RootModel[dict[str, str]]):
    """Criterion -> value; which there are is for :mod:`skinr1.seven_point` to say."""


class UnknownNames(NamedTuple):
    """What a list names that nobody knows.

    Attributes:
        names: as written, in their order.
        lost: known names of the same list that do not count because of them.
    """

    names: tuple[str, ...] = ()
    lost: int = 0


class _Said(NamedTuple):
    """What an answer names. ``ranked``: (node, probability), most probable first."""

    ranked: tuple[tuple[str, float], ...] = ()
    findings: tuple[str, ...] = ()
    condition: Bucket | None = None


M = TypeVar("M", bound=BaseModel)


def read_answer(form: Form, text: str, taxonomy: Taxonomy, options: Options = (), steps: Sequence[Step] = ()) -> Answer:
    """Reads a model's answer in its form, strictly; ``report`` is :func:`skinr1.report.parse`.

    Args:
        options: of a choice, in the order shown.
        steps: of a descent, whose ``text`` is that of the last one.

    Raises:
        InvalidAnswer: reason ``length``, ``think``, ``json``, ``schema``, ``diagnosis`` (no name the taxonomy knows),
            ``sign`` (one the vocabulary does not know), ``option`` (none of those shown) or ``letter``. One invalid
            step makes a descent invalid.
    """
    if form == "report":
        return parse(text, taxonomy)
    if form == "descent":
        for step in steps[:-1]:
            read_answer("choice", step.text, taxonomy, step.options)
        return read_answer("choice", text, taxonomy, steps[-1].options if steps else ())
    thinking, body = _split(text)
    said = _READERS[form](body, options, taxonomy)
    return Answer(thinking, _short(said, taxonomy))


def unknown_names(form: Form, text: str, taxonomy: Taxonomy) -> UnknownNames:
    """The names for which :func:`read_answer` cuts a ranked list, or refuses an answer, and what is lost with them.

    None where the form is no list, or the text is not one: that is invalid for another reason, and counted there.
    """
    if form not in LISTS:
        return UnknownNames()
    try:
        names = _listed(form, _split(text)[1])
    except InvalidAnswer:
        return UnknownNames()
    known = [name in concepts() if form == "signs" else _named(name, taxonomy) is not None for name in names]
    if all(known):
        return UnknownNames()
    kept = 0 if form == "signs" else known.index(False)
    return UnknownNames(tuple(n for n, k in zip(names, known, strict=True) if not k), sum(known[kept:]))


def _listed(form: Form, body: str) -> list[str]:
    if form == "signs":
        return [*_json(_Signs, body).signs]
    return [entry.diagnosis for entry in _json(_Differential, body).differential]


def _split(text: str) -> tuple[str, str]:
    """Reasoning, empty if there is none, and what follows it."""
    if len(text) > MAX_ANSWER:
        raise InvalidAnswer("length", f"{len(text)} characters; at most {MAX_ANSWER}")
    stripped = text.strip()
    if not stripped.startswith(OPEN):
        return "", stripped
    thinking, closed, body = stripped[len(OPEN) :].partition(CLOSE)
    if not closed or stripped.count(OPEN) != 1 or stripped.count(CLOSE) != 1 or len(thinking) > MAX_THINKING:
        raise InvalidAnswer("think", f"reasoning is not closed once, or longer than {MAX_THINKING} characters")
    return thinking, body.strip()


def _json(model: type[M], body: str) -> M:
    check_json(body)
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidAnswer("schema", f"{where}: {first['msg']}") from None


def _choice(body: str, options: Options, taxonomy: Taxonomy) -> _Said:
    return _option(_json(_Choice, body).choice, options, taxonomy)


def _option(number: int, options: Options, taxonomy: Taxonomy) -> _Said:
    """The option of a number, counted from 1. Of several nodes the first stands for all."""
    if not 1 <= number <= len(options):
        raise InvalidAnswer("option", f"{number} of {len(options)}")
    nodes = options[number - 1]
    buckets = {taxonomy.bucket(node) for node in nodes}
    return _Said(((nodes[0], 1.0),), condition=buckets.pop() if len(buckets) == 1 else None)


def _condition(body: str, options: Options, taxonomy: Taxonomy) -> _Said:
    return _Said(condition=_json(_Condition, body).condition)


def _differential(body: str, options: Options, taxonomy: Taxonomy) -> _Said:
    """A name may be a path, a name or an alias of the taxonomy; several nodes of one name are their common group.

    The list ends before a name nobody knows: leaving that one out would lift what stands behind it. How often it does
    is for :func:`unknown_names` to say.
    """
    ranked: dict[str, float] = {}
    for entry in _json(_Differential, body).differential:
        node = _named(entry.diagnosis, taxonomy)
        if node is None:
            break
        ranked.setdefault(node, entry.probability)
    if not ranked:
        raise InvalidAnswer("diagnosis", "the first is no path or name of the taxonomy")
    return _Said(tuple(ranked.items()), condition=taxonomy.bucket(next(iter(ranked))))


def _named(name: str, taxonomy: Taxonomy) -> str | None:
    found = sorted(taxonomy.labelled(name))
    node = found[0] if found else None
    for other in found[1:]:
        node = taxonomy.lca(node, other) if node else None
    return node


def _signs(body: str, options: Options, taxonomy: Taxonomy) -> _Said:
    signs = tuple(dict.fromkeys(_json(_Signs, body).signs))
    if unknown := [name for name in signs if name not in concepts()]:
        raise InvalidAnswer("sign", f"{unknown[0][:40]!r} is not in the vocabulary")
    return _Said(findings=signs)


def _checklist(body: str, options: Options, taxonomy: Taxonomy) -> _Said:
    values = _json(_Checklist, body).root
    try:
        seven_point_score(values)
    except UserError as error:
        raise InvalidAnswer("schema", f"{error.what}: {error.where}") from None
    named = ((criterion, value) for criterion, value in values.items() if value != ABSENT)
    return _Said(findings=tuple(CRITERIA[criterion][value][1] for criterion, value in named))


def _letter(body: str, options: Options, taxonomy: Taxonomy) -> _Said:
    return _option(1 + LETTERS.index(final_letter(body, names_of(options, taxonomy))), options, taxonomy)


def _condition_letter(body: str, options: Options, taxonomy: Taxonomy) -> _Said:
    return _Said(condition=CONDITION_LETTERS[final_letter(body, [*CONDITION_WORDS.values()])])


_READERS: Mapping[Form, Callable[[str, Options, Taxonomy], _Said]] = {
    "choice": _choice,
    "condition": _condition,
    "differential": _differential,
    "signs": _signs,
    "checklist": _checklist,
    "letter": _letter,
    "condition_letter": _condition_letter,
}


def _short(said: _Said, taxonomy: Taxonomy) -> ShortReport:
    entries = tuple(
        DifferentialEntry(diagnosis=node, probability=probability, evidence_for=(), evidence_against=())
        for node, probability in said.ranked
    )
    return ShortReport(
        schema_version=SCHEMA_VERSION,
        findings=said.findings,
        diagnosis=entries[0].diagnosis if entries else None,
        condition=said.condition,
        differential=entries,
        confidence="low",
        advice="none",
        citations=(),
        disclaimer=DISCLAIMER,
    )


def names_of(options: Options, taxonomy: Taxonomy) -> list[str]:
    """Options in words; where two would read alike, with the groups that they lie in."""

    def worded(words: Callable[[str], str]) -> list[str]:
        return [" or ".join(map(words, nodes)) for nodes in options]

    names = worded(lambda node: taxonomy.node(node).name)
    full = worded(lambda node: ": ".join(taxonomy.node(part).name for part in taxonomy.path(node)))
    return [long if names.count(name) > 1 else name for name, long in zip(names, full, strict=True)]
