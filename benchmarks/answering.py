"""Answers of a model to the cases of a folder, greedily and in this process: for the embedded model.

It takes a minute where starting vLLM for every model of a benchmark takes longer than their answers. The prompts, the
barred tokens and the file are those of eval/predict.py, so that eval/score.py reads it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from skinr1 import prompts
from skinr1.cases import Case, read_cases
from skinr1.errors import UserError
from skinr1.in_process import LocalModel
from skinr1.metrics.outcomes import PREDICTIONS
from skinr1.predictions import Asker, prediction_row
from skinr1.progress import progress_bar
from skinr1.scale import case_files
from skinr1.serving.client import Completion, Sampling
from skinr1.stage import write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy
from skinr1.training.grpo import forbidden_tokens

BATCH = 64


def chosen_cases(folder: Path, split: str, limit: int | None) -> list[Case]:
    """The sparse cases of a split, by id, the first ``limit``. Raises UserError when there is none."""
    found = [case for case in read_cases(folder) if case.split == split and case.role == "sparse" and case.diagnoses]
    if not found:
        raise UserError(f"no labelled sparse case in split {split!r}", str(folder), "Build it with test patients.")
    return sorted(found, key=lambda case: case.case_id)[:limit]


def write_answers(
    model: Path, cases_folder: Path, cases: Sequence[Case], output: Path, max_tokens: int, taxonomy: Taxonomy
) -> None:
    """Has the model answer the cases; writes predictions.jsonl, then the manifest.

    Args:
        model: folder of a full model, or of an adapter (merged in memory).
        max_tokens: longest answer.
    """
    rows = []
    with progress_bar() as progress:
        bar = progress.add_task(f"answers of {output.name}", total=len(cases))
        for case, answer in zip(cases, _answers(model, cases_folder, cases, max_tokens, taxonomy), strict=True):
            rows.append(prediction_row(case, answer, taxonomy))
            progress.advance(bar)
    write_jsonl(output / PREDICTIONS, rows)
    write_manifest(
        output,
        "predict",
        config={"max_tokens": max_tokens, "temperature": 0.0, "prompt_version": prompts.PROMPT_VERSION},
        inputs=[*case_files(cases_folder), *sorted(model.glob("*.safetensors"))],
        counts={"cases": len(rows), "cut": sum(row["finish_reason"] == "length" for row in rows)},
        taxonomy_hash=taxonomy.hash,
    )


def _answers(
    model: Path, folder: Path, cases: Sequence[Case], max_tokens: int, taxonomy: Taxonomy
) -> Iterator[Completion]:
    local = LocalModel(model)
    sampling = Sampling(structured=False, max_tokens=max_tokens, banned=tuple(forbidden_tokens(local.processor)))
    asker = Asker(folder, model.name, sampling, taxonomy)
    for start in range(0, len(cases), BATCH):
        yield from local.complete([asker.body(case) for case in cases[start : start + BATCH]])
