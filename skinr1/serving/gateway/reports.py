"""From a request to a report: clean images, quality gate, the model's answer or a vote over several, rules."""

import asyncio
import hashlib
import io
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from PIL import Image

from skinr1 import prompts
from skinr1.cases import Case, Role
from skinr1.images import png_bytes
from skinr1.knowledge.passages import Passage
from skinr1.report import SCHEMA_VERSION, Answer, Report
from skinr1.serving.aggregation import VotingPolicy, aggregate, view
from skinr1.serving.client import with_images
from skinr1.serving.envelope import Agreement, ReportEnvelope, ReportRequest, Stamps
from skinr1.serving.gateway.answering import Question, ask
from skinr1.serving.gateway.faults import Refused
from skinr1.serving.gateway.pictures import Picture, clean_all
from skinr1.serving.gateway.settings import GatewaySettings, named
from skinr1.serving.gateway.upstreams import Upstreams
from skinr1.serving.quality import Gate, QualityPolicy, declining_report, gate
from skinr1.serving.rules import RedFlagPolicy, apply_rules, resolve_citations
from skinr1.taxonomy import Taxonomy


@dataclass(frozen=True)
class Policies:
    """The rules around the model, as `skinr1 serve`'s configuration sets them."""

    quality: QualityPolicy = field(default_factory=QualityPolicy)
    red_flags: RedFlagPolicy = field(default_factory=RedFlagPolicy)
    voting: VotingPolicy = field(default_factory=VotingPolicy)


def policies_of(settings: GatewaySettings) -> Policies:
    """The policies of a configuration. Raises UserError for a bound that does not exist or does not fit."""
    return Policies(
        named(QualityPolicy, settings.quality, "quality"),
        named(RedFlagPolicy, settings.red_flags, "red_flags"),
        named(VotingPolicy, settings.voting, "voting"),
    )


@dataclass(frozen=True)
class Reporting:
    """What reports are made with.

    Attributes:
        model_hashes: served name -> hash of its weights, of the models that were started here.
        passages: what may be cited, by id.
        max_pixels: what an image is fitted to, which is what the model was trained with; None leaves it to vLLM.
    """

    upstreams: Upstreams
    taxonomy: Taxonomy
    settings: GatewaySettings
    model_hashes: Mapping[str, str]
    passages: Mapping[str, Passage] = field(default_factory=dict)
    max_pixels: int | None = None
    policies: Policies = field(default_factory=Policies)

    def stamps(self, model: str) -> Stamps:
        return Stamps(
            model=model,
            model_hash=self.model_hashes.get(model, "unknown"),
            taxonomy=f"{self.taxonomy.version} {self.taxonomy.hash}",
            prompt_version=prompts.PROMPT_VERSION,
            schema_version=SCHEMA_VERSION,
        )


async def make_report(request: ReportRequest, reporting: Reporting) -> ReportEnvelope:
    """One report.

    Raises:
        Refused: an image is refused, vLLM is away or refuses, or its answer is no report.
    """
    events = [event async for event in report_events(request, reporting, streamed=False)]
    envelope = events[-1]
    assert isinstance(envelope, ReportEnvelope)
    return envelope


async def report_events(
    request: ReportRequest, reporting: Reporting, streamed: bool = True
) -> AsyncGenerator[str | ReportEnvelope]:
    """The reasoning in pieces as it is written (when ``streamed``), and last the envelope.

    Of several answers the reasoning comes whole, once it is known which of them is nearest to the vote.

    Raises:
        Refused: as :func:`make_report`.
    """
    upstreams, settings = reporting.upstreams, reporting.settings
    if request.model is not None and upstreams.ready and request.model not in upstreams.models:
        raise Refused(404, "model", "this model is not served; /v1/models lists those that are")
    given = await clean_all([image.data for image in request.images], settings.decode_seconds, reporting.max_pixels)
    upstream = upstreams.choose(hashlib.sha256(given[0].png).hexdigest(), request.model)
    model = request.model or upstream.models[-1]
    checked = gate([picture.statistics for picture in given], reporting.policies.quality)
    if checked.refused:
        yield ReportEnvelope(
            report=declining_report(),
            refused=checked.refused,
            limitations=checked.limitations,
            stamps=reporting.stamps(model),
        )
        return
    pictures = [given[number] for number in checked.usable]
    if request.samples == 1 and not request.views:
        question = Question(upstream, model, _messages(request, [picture.png for picture in pictures]))
        answering = ask(question, upstreams, reporting.taxonomy, settings, seed=request.seed, streamed=streamed)
        async with aclosing(answering) as events:
            async for event in events:
                yield event if isinstance(event, str) else judged(event, reporting, model, checked)
        return
    questions = [
        Question(upstream, model, _messages(request, await asyncio.to_thread(_views, pictures, number, request.views)))
        for number in range(request.samples)
    ]
    answers = await _all(questions, request, reporting)
    made = aggregate([answer.report for answer in answers], reporting.taxonomy, reporting.policies.voting)
    chosen = Answer(answers[made.nearest].thinking, made.report)
    if streamed:
        yield chosen.thinking
    yield judged(chosen, reporting, model, checked, made.agreement, [answer.report for answer in answers])


def judged(
    answer: Answer,
    reporting: Reporting,
    model: str,
    checked: Gate,
    agreement: Agreement | None = None,
    samples: Sequence[Report] = (),
) -> ReportEnvelope:
    """The answer with what the rules make of it. They see the report and the tree, neither the image nor the words.

    Args:
        samples: the answers that it was voted from: what some of them suspect is flagged, whatever the vote.
    """
    report, flags = apply_rules(answer.report, reporting.taxonomy, reporting.policies.red_flags, samples)
    report, removed = resolve_citations(report, reporting.passages)
    return ReportEnvelope(
        report=report,
        reasoning=answer.thinking,
        limitations=checked.limitations,
        red_flags=flags,
        agreement=agreement,
        citations_removed=removed,
        stamps=reporting.stamps(model),
    )


async def _all(questions: Sequence[Question], request: ReportRequest, reporting: Reporting) -> list[Answer]:
    """An answer to each question, at once; the first is greedy, the others are drawn. One that fails fails all."""

    async def one(number: int, question: Question) -> Answer:
        heat, seed = (1.0 if number else 0.0), request.seed + 1000 * number
        asked = ask(question, reporting.upstreams, reporting.taxonomy, reporting.settings, seed=seed, temperature=heat)
        answers = [event async for event in asked if isinstance(event, Answer)]
        return answers[-1]

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(number, question)) for number, question in enumerate(questions)]
    except BaseExceptionGroup as failed:  # the others are cancelled
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _views(pictures: Sequence[Picture], number: int, wanted: bool) -> list[bytes]:
    """The pictures as sample ``number`` sees them; the first one sees them as they are."""
    if not wanted or number == 0:
        return [picture.png for picture in pictures]
    return [png_bytes(view(Image.open(io.BytesIO(picture.png)), number)) for picture in pictures]


def _messages(request: ReportRequest, images: list[bytes]) -> list[dict[str, object]]:
    return with_images(prompts.messages(prompts.question(case_of(request)), len(images)), images)


def case_of(request: ReportRequest) -> Case:
    """The request as the case that prompts are made of; free text stands among the complaints and nowhere else."""
    told = [*request.symptoms, f"since {request.duration}" if request.duration else "", request.history]
    return Case(
        case_id="asked",
        source="gateway",
        images=tuple(f"image {number}" for number in range(1, len(request.images) + 1)),
        role=Role.SPARSE,
        age=request.age,
        sex=request.sex,
        site=request.site,
        history=tuple(words for words in told if words),
        licence="user",
    )
