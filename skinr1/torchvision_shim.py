"""Lets a CUDA build of torchvision import under a CPU build of torch.

Qwen-VL processors import torchvision, whose CUDA wheel expects two operators that only a CUDA torch lets it
declare. Declaring their schemas and importing again is enough; nothing here calls them. Where torchvision
imports by itself, nothing is done. Used by ``import skinr1.torchvision_shim`` before any processor, and through
``skinr1/serving/child_site`` in the processes vLLM starts.
"""

import importlib
import importlib.util
import sys

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None  # operators live as long as their library object


def make_torchvision_importable() -> bool:
    """Declares the missing operators if the import needs them; returns whether it did."""
    global _library
    if _library is not None or importlib.util.find_spec("torchvision") is None:
        return False
    try:
        importlib.import_module("torchvision")
        return False
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        _library.define(schema)
    importlib.import_module("torchvision")
    return True


make_torchvision_importable()
