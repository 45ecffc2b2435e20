"""From a request to a report: clean images, prompt, vLLM under the report's grammar, the one parser, the envelope."""

import hashlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from skinr1 import prompts
from skinr1.cases import Case, Role
from skinr1.report import SCHEMA_VERSION, Answer, InvalidAnswer, parse, reasoning_so_far
from skinr1.serving.client import with_images
from skinr1.serving.envelope import ReportEnvelope, ReportRequest, Stamps
from skinr1.serving.gateway.faults import Refused
from skinr1.serving.gateway.pictures import clean_all
from skinr1.serving.gateway.settings import GatewaySettings
from skinr1.serving.gateway.upstreams import Upstream, Upstreams
from skinr1.serving.rules import apply_rules, resolve_citations
from skinr1.taxonomy import Taxonomy


@dataclass(frozen=True)
class Reporting:
    """What reports are made with.

    Attributes:
        model_hashes: served name -> hash of its weights, of the models that were started here.
        passages: ids of the passages that may be cited.
        max_pixels: what an image is fitted to, which is what the model was trained with; None leaves it to vLLM.
    """

    upstreams: Upstreams
    taxonomy: Taxonomy
    settings: GatewaySettings
    model_hashes: Mapping[str, str]
    passages: frozenset[str] = frozenset()
    max_pixels: int | None = None

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

    Raises:
        Refused: as :func:`make_report`.
    """
    upstreams, settings = reporting.upstreams, reporting.settings
    if request.model is not None and upstreams.ready and request.model not in upstreams.models:
        raise Refused(404, "model", "this model is not served; /v1/models lists those that are")
    images = await clean_all([image.data for image in request.images], settings.decode_seconds, reporting.max_pixels)
    upstream = upstreams.choose(hashlib.sha256(images[0]).hexdigest(), request.model)
    model = request.model or upstream.models[-1]
    messages = with_images(prompts.messages(prompts.question(case_of(request)), len(images)), images)
    # a greedy answer that cannot be read would come again as it was: the second one is drawn
    for temperature, seed in ((0.0, request.seed), (1.0, request.seed + 1)):
        sampling = {"temperature": temperature, "seed": seed, "max_tokens": settings.answer_tokens}
        body = upstreams.request(upstream, model, messages, stream=streamed, **sampling)
        text, finish, told = "", "", ""
        async with aclosing(_pieces(upstreams, upstream, body, streamed)) as pieces:
            async for piece, reason in pieces:
                text, finish = text + piece, reason or finish
                reasoning = reasoning_so_far(text)
                if streamed and len(reasoning) > len(told):
                    yield reasoning[len(told) :]
                    told = reasoning
        answer = _read(text, finish, reporting.taxonomy)
        if isinstance(answer, Answer):
            yield judged(answer, reporting, model)
            return
    raise Refused(502, "answer", f"the model's answer is no report ({answer})")


def judged(answer: Answer, reporting: Reporting, model: str) -> ReportEnvelope:
    """The answer with what the rules make of it. They see the report and the tree, neither the image nor the words."""
    report, flags = apply_rules(answer.report, reporting.taxonomy)
    report, removed = resolve_citations(report, reporting.passages)
    return ReportEnvelope(
        report=report,
        reasoning=answer.thinking,
        red_flags=flags,
        citations_removed=removed,
        stamps=reporting.stamps(model),
    )


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


def _read(text: str, finish: str, taxonomy: Taxonomy) -> Answer | str:
    """The answer, or why it is none."""
    if finish != "stop":
        return f"it was cut at the token limit, finish reason {finish or 'missing'}"
    try:
        return parse(text, taxonomy)
    except InvalidAnswer as error:
        return error.reason


async def _pieces(
    upstreams: Upstreams, upstream: Upstream, body: dict[str, object], streamed: bool
) -> AsyncGenerator[tuple[str, str | None]]:
    """Text and finish reason as they come; whole at once when not streamed."""
    async with upstreams.stream(upstream, "/v1/chat/completions", json.dumps(body).encode()) as response:
        if response.status_code != 200:
            raise _refusal(response.status_code, await response.aread())
        if streamed:
            async for event in upstreams.lines(response):
                for choice in event["choices"]:
                    yield choice["delta"].get("content") or "", choice["finish_reason"]
        else:
            choice = json.loads(await response.aread())["choices"][0]
            yield choice["message"]["content"] or "", choice["finish_reason"]


def _refusal(status: int, content: bytes) -> Refused:
    """vLLM's refusal in our form: what the request asks of it is too much (4xx), or it failed (5xx)."""
    try:
        message = str(json.loads(content)["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError):
        message = "without a reason"
    if 400 <= status < 500:
        return Refused(400, "model_refused", f"the model's server refuses: {message}")
    return Refused(502, "model_failed", f"the model's server failed ({status})")
