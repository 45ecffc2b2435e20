"""lmms-eval's side of the task: pictures, question, and scores of one answer by skinr1's own parser and metrics.

The harness' log of samples (--log_samples) becomes a predictions folder with eval/import_predictions.py.
"""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from skinr1.metrics import columns_of
from skinr1.metrics.hierarchy import Placed, top1
from skinr1.metrics.outcomes import Prediction, outcome
from skinr1.metrics.tree import Tree
from skinr1.taxonomy import Taxonomy

HERE = Path(__file__).resolve().parent
TAXONOMY = Taxonomy.load()
TREE = Tree(TAXONOMY)


def doc_to_visual(doc: dict[str, Any]) -> list[Image.Image]:
    return [Image.open(HERE / name).convert("RGB") for name in doc["images"]]


def doc_to_text(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, Any] | None = None) -> str:
    return f"{doc['system']}\n{doc['question']}"


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """An invalid answer scores 0 everywhere and stays in the mean."""
    found = outcome(Prediction.model_validate(json.loads(doc["row"]) | {"text": results[0]}), TAXONOMY)
    return {
        "valid_report": float(found.answer is not None),
        "top1": top1(found, TAXONOMY),
        "hierarchical_f_by_case": float(Placed(columns_of([found], TAXONOMY), TREE).case_f()[0]),
    }
