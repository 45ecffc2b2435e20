"""Cases -> raw model answers through a server; every finished answer is kept, whatever happens to the process.

Answers go to a journal keyed by a hash of the request, so a killed run asks nothing twice and a changed prompt,
image or setting asks anew. Only a machine that loses its power may lose the answers of the last seconds: to wait for
the disk after each would keep the server waiting as well.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from skinr1 import prompts
from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.images import read_png
from skinr1.llm.cache import Cache, request_key
from skinr1.llm.cache import Completion as KeptCompletion
from skinr1.serving.client import AsyncClient, Completion, Sampling, request_body
from skinr1.stage import canonical_json
from skinr1.taxonomy import Taxonomy

JOURNAL = "journal.jsonl"
PREDICTIONS = "predictions.jsonl"


class Journal:
    """An append-only file of finished answers. A line cut by a kill is dropped when the file is next opened.

    Args:
        identity: of the model, where its served name does not tell it: part of every key.
        cache: answers of other runs as well; needs an identity.
        budget: tokens that may be paid for, those of earlier starts of this run included; None is no limit.
    """

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, str] | None = None,
        cache: Cache | None = None,
        budget: int | None = None,
    ):
        self.path, self.answers = path, dict[str, Completion]()
        self.identity, self.cache, self.budget = identity, cache, budget
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        complete, newline, cut = path.read_bytes().rpartition(b"\n")
        for number, line in enumerate(complete.splitlines(), 1):
            try:
                row = json.loads(line)
                self.answers[row["key"]] = Completion(row["text"], row["finish_reason"], row.get("tokens"))
            except (ValueError, KeyError, TypeError):
                advice = "Delete the file to ask everything anew."
                raise UserError("not a journal line", f"{path}:{number}", advice) from None
        if cut:
            os.truncate(path, len(complete) + len(newline))
        self.spent = sum(answer.tokens or 0 for answer in self.answers.values())

    def key(self, body: Mapping[str, Any]) -> str:
        """Content hash of a request, of the model's identity too where there is one."""
        return request_key(body if self.identity is None else {"model": dict(self.identity), "request": body})

    def find(self, key: str) -> Completion | None:
        """The answer if it is known, here or in the cache; the cache's is written down here and cost nothing."""
        if key not in self.answers and self.cache and (found := self.cache.get(key)):
            self._write(key, Completion(found.text, found.finish_reason, 0))
        return self.answers.get(key)

    @property
    def may_ask(self) -> bool:
        """Whether there is budget left."""
        return self.budget is None or self.spent < self.budget

    def check_budget(self) -> None:
        """Raises UserError once the budget is spent."""
        if not self.may_ask:
            spent = f"{self.spent} of {self.budget} tokens, {len(self.answers)} answers kept"
            raise UserError("token budget is spent", spent, "Raise --budget_tokens to go on from here.")

    def add(self, key: str, body: Mapping[str, Any], completion: Completion) -> None:
        """Writes one answer down. Raises UserError for one that a budget cannot count; it is kept."""
        if self.cache:
            kept = KeptCompletion(text=completion.text, finish_reason=completion.finish_reason)
            self.cache.put(key, {"model": dict(self.identity or {}), "request": body}, kept)
        self._write(key, completion)
        self.spent += completion.tokens or 0
        if self.budget is not None and completion.tokens is None:
            raise UserError("server does not count tokens", str(self.path), "Leave out --budget_tokens.")

    def _write(self, key: str, completion: Completion) -> None:
        self.answers[key] = completion
        with open(self.path, "ab") as handle:
            handle.write(f"{canonical_json({'key': key, **asdict(completion)})}\n".encode())


class Question(Protocol):
    """What is asked about: a case, or a question of a task."""

    @property
    def case_id(self) -> str: ...


Q = TypeVar("Q", bound=Question)
Q_contra = TypeVar("Q_contra", bound=Question, contravariant=True)


class Asks(Protocol[Q_contra]):
    """What makes a request of it."""

    def body(self, question: Q_contra, /) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Asker:
    """What is asked of every case, of whom, and how."""

    cases_folder: Path
    model: str
    sampling: Sampling
    taxonomy: Taxonomy
    question: Callable[[Case], str] = prompts.question

    def body(self, case: Case) -> dict[str, Any]:
        """The request for one case: all its images, its context, the question."""
        return self.request(case, self.question(case))

    def request(
        self,
        case: Case,
        text: str,
        system: str = prompts.SYSTEM,
        response_format: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The request with all images of a case and a text of one's own; for the format see :func:`request_body`."""
        images = [read_png(self.cases_folder / name) for name in case.images]
        messages = prompts.messages(text, len(images), system)
        return request_body(self.model, messages, images, self.sampling, self.taxonomy, response_format)


async def ask_all(
    asker: Asks[Q],
    questions: Sequence[Q],
    client: AsyncClient,
    journal: Journal,
    workers: int,
    done: Callable[[bool], None],
) -> dict[str, Completion]:
    """Asks everything that the journal does not answer yet.

    Args:
        workers: requests in flight. As many more are made ready, so that none waits for an image when a place falls
            free; memory stays bounded.
        done: called after each question with whether it came from the journal.

    Returns:
        Case id -> answer.

    Raises:
        UserError: the first failure of an image or of the server, or a budget that is spent; what was answered before
            is kept.
    """
    answers: dict[str, Completion] = {}
    queue: Iterator[Q] = iter(questions)
    places = asyncio.Semaphore(workers)

    async def work() -> None:
        for question in queue:
            body = await asyncio.to_thread(asker.body, question)
            key = journal.key(body)
            answer = journal.find(key)
            known = answer is not None
            if answer is None:
                async with places:
                    if not journal.may_ask:  # what is under way is paid for and comes in
                        return
                    answer = await client.complete(body)
                    journal.add(key, body, answer)
            answers[question.case_id] = answer
            done(known)

    tasks = [asyncio.create_task(work()) for _ in range(min(2 * workers, max(1, len(questions))))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if len(answers) < len(questions):
        journal.check_budget()
    return answers


def ask_in_batches(
    asker: Asks[Q],
    questions: Sequence[Q],
    complete: Callable[[Sequence[dict[str, Any]]], list[Completion]],
    journal: Journal,
    size: int,
    done: Callable[[bool], None],
) -> dict[str, Completion]:
    """:func:`ask_all` with a model in this process, ``size`` questions at a time.

    A batch of which any answer is unknown is answered whole: what stands beside a question may change the last bit of
    its logits, so batches are the same whatever an earlier start has left.
    """
    answers: dict[str, Completion] = {}
    for start in range(0, len(questions), size):
        batch = questions[start : start + size]
        bodies = [asker.body(question) for question in batch]
        keys = [journal.key(body) for body in bodies]
        found = [journal.find(key) for key in keys]
        made: Sequence[Completion | None] = found
        if None in found:
            journal.check_budget()
            made = complete(bodies)
        for question, key, body, before, answer in zip(batch, keys, bodies, found, made, strict=True):
            kept = before or answer
            assert kept is not None  # found, or made
            if before is None:
                journal.add(key, body, kept)
            answers[question.case_id] = kept
            done(before is not None)
    return answers


def prediction_row(case: Case, answer: Completion, taxonomy: Taxonomy) -> dict[str, Any]:
    """A row of predictions.jsonl: the case's truth, the model's raw text; ``image`` is relative to the cases.

    Its fields are those of :class:`skinr1.metrics.Prediction`.
    """
    buckets = {taxonomy.bucket(node) for node in case.diagnoses}
    return {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "group": case.group,
        "source": case.source,
        "modality": case.modality,
        "site": case.site,
        "sex": case.sex,
        "age": case.age,
        "skin_tone": case.tone_group,
        "tone_provenance": case.skin_tone.provenance if case.skin_tone else None,
        "diagnoses": list(case.diagnoses),
        "label": case.label,
        "condition": buckets.pop() if len(buckets) == 1 else None,
        "differential": [list(pair) for pair in case.differential],
        "findings": list(case.present()),
        "findings_absent": list(case.absent()),
        "image": case.images[0],
        "text": answer.text,
        "finish_reason": answer.finish_reason,
    }
