"""One answer of the model to one prompt: vLLM under the report's grammar, the one parser, a second try."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from skinr1.report import Answer, InvalidAnswer, parse, reasoning_so_far
from skinr1.serving.gateway.faults import Refused
from skinr1.serving.gateway.settings import GatewaySettings
from skinr1.serving.gateway.upstreams import Upstream, Upstreams
from skinr1.taxonomy import Taxonomy


@dataclass(frozen=True)
class Question:
    """What a replica is asked: the model's served name and the chat, images included."""

    upstream: Upstream
    model: str
    messages: list[dict[str, Any]]


async def ask(
    question: Question,
    upstreams: Upstreams,
    taxonomy: Taxonomy,
    settings: GatewaySettings,
    *,
    seed: int,
    temperature: float = 0.0,
    streamed: bool = False,
) -> AsyncGenerator[str | Answer]:
    """The reasoning in pieces as it is written (when ``streamed``), and last the answer.

    Raises:
        Refused: vLLM is away or refuses, or twice its answer is no report.
    """
    answer: Answer | str = ""
    # a greedy answer that cannot be read would come again as it was: the second one is drawn
    for heat, drawn in ((temperature, seed), (1.0, seed + 1)):
        sampling = {"temperature": heat, "seed": drawn, "max_tokens": settings.answer_tokens}
        body = upstreams.request(question.upstream, question.model, question.messages, stream=streamed, **sampling)
        text, finish, told = "", "", ""
        async with aclosing(_pieces(upstreams, question.upstream, body, streamed)) as pieces:
            async for piece, reason in pieces:
                text, finish = text + piece, reason or finish
                reasoning = reasoning_so_far(text)
                if streamed and len(reasoning) > len(told):
                    yield reasoning[len(told) :]
                    told = reasoning
        answer = _read(text, finish, taxonomy)
        if isinstance(answer, Answer):
            yield answer
            return
    raise Refused(502, "answer", f"the model's answer is no report ({answer})")


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
