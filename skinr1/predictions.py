"""Cases -> raw model answers through a server; every finished answer is kept, whatever happens to the process.

Answers go to a journal keyed by a hash of the request, so a killed run asks nothing twice and a changed prompt,
image or setting asks anew.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skinr1 import prompts
from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.images import load_image, png_bytes
from skinr1.serving.client import AsyncClient, Completion, Sampling, request_body
from skinr1.stage import canonical_json
from skinr1.taxonomy import Taxonomy

JOURNAL = "journal.jsonl"
PREDICTIONS = "predictions.jsonl"


class Journal:
    """An append-only file of finished answers. A line cut by a kill is dropped when the file is next opened."""

    def __init__(self, path: Path):
        self.path, self.answers = path, dict[str, Completion]()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        complete, newline, cut = path.read_bytes().rpartition(b"\n")
        for number, line in enumerate(complete.splitlines(), 1):
            try:
                row = json.loads(line)
                self.answers[row["key"]] = Completion(row["text"], row["finish_reason"])
            except (ValueError, KeyError, TypeError):
                advice = "Delete the file to ask everything anew."
                raise UserError("not a journal line", f"{path}:{number}", advice) from None
        if cut:
            os.truncate(path, len(complete) + len(newline))

    def add(self, key: str, completion: Completion) -> None:
        """Writes one answer through to the disk."""
        self.answers[key] = completion
        with open(self.path, "ab") as handle:
            handle.write(f"{canonical_json({'key': key, **asdict(completion)})}\n".encode())
            handle.flush()
            os.fsync(handle.fileno())


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
        images = [png_bytes(load_image(self.cases_folder / name)) for name in case.images]
        messages = prompts.messages(self.question(case), len(images))
        return request_body(self.model, messages, images, self.sampling, self.taxonomy)


def request_key(body: dict[str, Any]) -> str:
    """Content hash of a request."""
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()


async def ask_all(
    asker: Asker,
    cases: Sequence[Case],
    client: AsyncClient,
    journal: Journal,
    workers: int,
    done: Callable[[bool], None],
) -> dict[str, Completion]:
    """Asks every case that the journal does not answer yet.

    Args:
        workers: cases in flight; images are read only when their turn comes, so memory stays bounded.
        done: called after each case with whether it came from the journal.

    Returns:
        Case id -> answer.

    Raises:
        UserError: the first failure of an image or of the server; what was answered before is kept.
    """
    answers: dict[str, Completion] = {}
    queue: Iterator[Case] = iter(cases)

    async def work() -> None:
        for case in queue:
            body = await asyncio.to_thread(asker.body, case)
            key = request_key(body)
            known = key in journal.answers
            if not known:
                journal.add(key, await client.complete(body))
            answers[case.case_id] = journal.answers[key]
            done(known)

    tasks = [asyncio.create_task(work()) for _ in range(min(workers, max(1, len(cases))))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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
