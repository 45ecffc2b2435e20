"""Training and serving see the same prompt: a model's own processor beside its base's, and beside vLLM's.

vLLM expands an image's placeholder by itself. A prompt that reaches it expanded grows once more (TRL issue 6294),
and a pixel budget it was not told of changes the picture: both are silent.
"""

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers import ProcessorMixin

from skinr1 import prompts, vlm
from skinr1.doctor.versions import Finding
from skinr1.errors import UserError
from skinr1.serving.pixels import pixel_budget, saved_budget
from skinr1.serving.process import ServeConfig, environment
from skinr1.training.vllm_rollouts import collapse_pads

# (height, width): square, oblong both ways, smaller than a visual token, larger than any budget, odd numbers
SIZES = ((112, 112), (56, 84), (140, 56), (28, 28), (100, 100), (99, 301), (33, 57), (1200, 900))
IMAGES = (1, 2, 3)


def parity(folder: Path) -> list[Finding]:
    """What was compared, one line each; state ``ok``, ``differs`` or, for vLLM where it is not installed, ``missing``.

    Args:
        folder: full model or adapter; an adapter's processor is compared with its base's, too.

    Raises:
        UserError: no model there.
    """
    if not folder.is_dir():
        raise UserError("model folder not found", str(folder), "Give the folder of a model or an adapter.")
    base = Path(vlm.base_of(folder))
    own = vlm.load_processor(folder)
    findings = [] if base == folder else list(_beside_base(folder, base, own))
    if importlib.util.find_spec("vllm") is None:
        return [*findings, Finding("prompt tokens", "", "vLLM's", "serve", "missing")]
    adapters = {} if base == folder else {"adapter": folder}
    unequal = [what for what, equal in beside_vllm(base, own, pixel_budget(str(base), adapters)).items() if not equal]
    total = len(SIZES) * len(IMAGES)
    found = f"{total - len(unequal)} of {total} prompts equal" + (f"; first other: {unequal[0]}" if unequal else "")
    return [*findings, Finding("prompt tokens", found, "vLLM's", "serve", "differs" if unequal else "ok")]


def _beside_base(folder: Path, base: Path, own: ProcessorMixin) -> Iterator[Finding]:
    theirs = vlm.load_processor(base)
    pairs = {
        "chat template": (own.chat_template, theirs.chat_template),
        "vocabulary": (own.tokenizer.get_vocab(), theirs.tokenizer.get_vocab()),
    }
    for what, (ours, its) in pairs.items():
        equal = ours == its
        yield Finding(what, "the base's" if equal else "another", "the base's", "serve", "ok" if equal else "differs")
    budget, its_budget = saved_budget(folder), saved_budget(base)
    # it may differ on purpose: it is the adapter's that counts, and skinr1 serve takes it from there
    yield Finding(
        "pixel budget", str(budget), f"any; the base's is {its_budget}", "serve", "ok" if budget else "missing"
    )


def beside_vllm(model: Path, processor: ProcessorMixin, budget: tuple[int, int] | None) -> dict[str, bool]:
    """Whether vLLM's processor makes of a prompt, its pads collapsed, the token ids that training sees.

    Args:
        model: folder of a full model.
        budget: least and most pixels, as ``skinr1 serve`` passes them.

    Returns:
        "height x width, images" -> equal.
    """
    with _child_environment(ServeConfig(model=str(model))):
        from vllm.config import ModelConfig
        from vllm.multimodal import MULTIMODAL_REGISTRY

        pixels = {"min_pixels": budget[0], "max_pixels": budget[1]} if budget else {}
        limits = {"image": max(IMAGES)}
        made = ModelConfig(model=str(model), limit_mm_per_prompt=limits, mm_processor_kwargs=pixels)
        theirs = MULTIMODAL_REGISTRY.create_processor(made)
    pad = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    draw = np.random.default_rng(0)
    found = {}
    for size in SIZES:
        for count in IMAGES:
            pictures = [Image.fromarray(draw.integers(0, 255, (*size, 3), dtype=np.uint8)) for _ in range(count)]
            messages = prompts.messages(prompts.REPORT_QUESTION, count)
            text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            ids = processor(text=[text], images=pictures)["input_ids"][0]
            served = theirs(collapse_pads(ids, pad), theirs.info.parse_mm_data({"image": pictures}))
            found[f"{size[0]} x {size[1]}, {count}"] = served["prompt_token_ids"] == list(ids)
    return found


@contextmanager
def _child_environment(serving: ServeConfig) -> Iterator[None]:
    """vLLM looks at a model's class in a process of its own, which needs what a server's processes need."""
    before: Mapping[str, Any] = dict(os.environ)
    os.environ.update(environment(serving))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
