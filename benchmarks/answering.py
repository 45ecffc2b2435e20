"""Answers of a model to the cases of a folder, greedily and in this process: for the embedded model.

It takes a minute where starting vLLM for every model of a benchmark takes longer than their answers. The prompts, the
barred tokens and the file are those of eval/predict.py, so that eval/score.py reads it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from skinr1 import prompts, vlm
from skinr1.cases import Case, read_cases
from skinr1.errors import UserError
from skinr1.images import load_image
from skinr1.metrics.outcomes import PREDICTIONS
from skinr1.predictions import prediction_row
from skinr1.progress import progress_bar
from skinr1.scale import case_files
from skinr1.serving.client import Completion
from skinr1.stage import write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy
from skinr1.training.grpo import forbidden_tokens

import torch  # isort: skip  (after skinr1.vlm, which makes torchvision importable)

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
        for case, answer in zip(cases, _answers(model, cases_folder, cases, max_tokens), strict=True):
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


@torch.no_grad()
def _answers(model: Path, folder: Path, cases: Sequence[Case], max_tokens: int) -> Iterator[Completion]:
    processor: Any = vlm.load_processor(vlm.base_of(model))
    policy: Any = vlm.load_model(model).eval()
    if isinstance(policy, vlm.PeftModel):
        policy = policy.merge_and_unload()
    tokenizer = processor.tokenizer
    ends = set(policy.generation_config.eos_token_id)
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        texts = [
            processor.apply_chat_template(
                prompts.messages(prompts.question(case), len(case.images)), tokenize=False, add_generation_prompt=True
            )
            for case in batch
        ]
        images = [load_image(folder / name) for case in batch for name in case.images]
        inputs = processor(text=texts, images=images, padding=True, return_tensors="pt")
        made = policy.generate(
            **inputs, do_sample=False, max_new_tokens=max_tokens, suppress_tokens=forbidden_tokens(processor)
        )
        for tokens in made[:, inputs["input_ids"].shape[1] :].tolist():
            end = next((place for place, token in enumerate(tokens) if token in ends), None)
            text = tokenizer.decode(tokens[:end], skip_special_tokens=True)
            yield Completion(text, "length" if end is None else "stop")
