"""Loading a vision-language model with its processor and adapter; LoRA on the language model only; merging."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import skinr1.torchvision_shim  # noqa: F401  (peft and processors import torchvision)
from skinr1.errors import UserError
from skinr1.serving.pixels import PROCESSOR_FILES
from skinr1.weights import ADAPTER_CONFIG, check_safetensors

from peft import LoraConfig, PeftModel, get_peft_model  # isort: skip
from transformers import (  # isort: skip
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedModel,
    ProcessorMixin,
)

# Without it transformers has a bot convert a hub's model that has no safetensors, and loads that revision instead.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
# The language model's linear layers, per family. The same pattern serves both families today; it is spelled out
# for each because the visual tower has layers of the same names and must never be touched.
LORA_TARGETS = {
    "qwen2_5_vl": r".*language_model\..*\.(q|k|v|o|gate|up|down)_proj",
    "qwen3_vl": r".*language_model\..*\.(q|k|v|o|gate|up|down)_proj",
}
VISUAL = re.compile(r"\bvisual\b")


@dataclass
class LoraArguments:
    """Adapter on the language model. The paper's values: rank 64, alpha 32, dropout 0.1."""

    lora_rank: int = field(default=64, metadata={"help": "Rank of the update; 0 trains all parameters."})
    lora_alpha: int = field(default=32, metadata={"help": "Scale of the update is alpha / rank."})
    lora_dropout: float = field(default=0.1, metadata={"help": "Dropout on the adapter's input."})


def lora_of(folder: str | Path) -> LoraArguments | None:
    """The adapter's own rank, scale and dropout; None where ``folder`` holds no adapter."""
    if not (Path(folder) / ADAPTER_CONFIG).is_file():
        return None
    found = LoraConfig.from_pretrained(str(folder))
    return LoraArguments(found.r, found.lora_alpha, found.lora_dropout)


def existing(model: str | Path) -> str | Path:
    """The model as given: a folder, or a hub name. Raises UserError for a path that does not exist."""
    path = Path(model)
    local = str(model).count("/") != 1 or str(model).startswith(("/", ".", "~")) or path.parent.is_dir()
    if local and not path.is_dir():
        raise UserError("no such model folder", str(model), "Train it first, or correct the path.")
    return model


def family(model_type: str) -> str:
    """Raises UserError for an architecture the project has no adapter pattern for."""
    if model_type not in LORA_TARGETS:
        raise UserError("unsupported model family", model_type, f"Use one of: {', '.join(LORA_TARGETS)}.")
    return model_type


def lora_config(model_type: str, args: LoraArguments) -> LoraConfig:
    """PEFT configuration for the family's language model."""
    return LoraConfig(
        r=args.lora_rank,
        lora_alpha=args.lora_alpha,
        lora_dropout=args.lora_dropout,
        bias="none",
        target_modules=LORA_TARGETS[family(model_type)],
        task_type="CAUSAL_LM",
    )


def assert_language_only(model: torch.nn.Module) -> int:
    """Counts adapted modules.

    Raises:
        UserError: none is adapted, or one belongs to the visual tower (vLLM would silently ignore it).
    """
    adapted = [name for name, module in model.named_modules() if hasattr(module, "lora_A")]
    visual = [name for name in adapted if VISUAL.search(name)]
    if visual or not adapted:
        raise UserError(
            f"adapter touches {len(visual)} visual and {len(adapted)} modules in all",
            visual[0] if visual else "model",
            "Correct LORA_TARGETS for this family.",
        )
    return len(adapted)


def load_processor(folder: str | Path) -> ProcessorMixin:
    """The saved processor, with the pixel budget it was saved with; padding on the left for generation."""
    if Path(existing(folder)).is_dir() and not any((Path(folder) / name).exists() for name in PROCESSOR_FILES):
        raise UserError("no processor here", str(folder), "Give the folder of a saved model.")
    processor = AutoProcessor.from_pretrained(folder)
    processor.tokenizer.padding_side = "left"
    return processor


def processor_of(folder: Path) -> ProcessorMixin:
    """What the folder was trained with: its own processor, whose pixel budget is its own, else its base's."""
    own = any((folder / name).exists() for name in PROCESSOR_FILES)
    return load_processor(folder if own else base_of(folder))


def set_pixel_budget(processor: ProcessorMixin, max_visual_tokens: int) -> None:
    """Bounds every image to a number of visual tokens; saved with the processor, so serving sees the same image."""
    images = processor.image_processor
    pixels = (images.patch_size * images.merge_size) ** 2
    images.size = {"shortest_edge": pixels, "longest_edge": pixels * max_visual_tokens}


def base_of(folder: Path) -> Path | str:
    """The base model an adapter folder was trained on (itself when it is a full model)."""
    if not (folder / ADAPTER_CONFIG).is_file():
        return folder
    recorded = LoraConfig.from_pretrained(str(folder)).base_model_name_or_path
    if recorded is None:
        raise UserError("adapter does not name its base model", str(folder), "Give the base model explicitly.")
    beside = folder.parent / Path(recorded).name  # a run folder may have been moved as a whole
    return beside if beside.is_dir() else recorded


def load_model(folder: str | Path, dtype: str = "float32", trainable: bool = False) -> PreTrainedModel | PeftModel:
    """A full model, or base + adapter when ``folder`` holds an adapter.

    Args:
        folder: model or adapter folder, or a hub name.
        dtype: torch dtype name of the base weights.
        trainable: whether the adapter's weights are to be trained on.

    Raises:
        UserError: no such folder, no safetensors in it, an unknown dtype or an unsupported family.
        OSError: transformers', for a hub name that it cannot find or that has no safetensors.
    """
    path = Path(existing(folder))
    source = existing(base_of(path)) if path.is_dir() else folder
    if not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise UserError("unknown dtype", repr(dtype), "Use float32 or bfloat16.")
    for local in dict.fromkeys((path, Path(source))):
        if local.is_dir():
            check_safetensors(local)
    model = AutoModelForImageTextToText.from_pretrained(source, dtype=getattr(torch, dtype), use_safetensors=True)
    family(model.config.model_type)
    if path.is_dir() and (path / ADAPTER_CONFIG).is_file():
        model = PeftModel.from_pretrained(model, str(path), is_trainable=trainable)
        assert_language_only(model)
    return model


def add_lora(model: PreTrainedModel, args: LoraArguments) -> PeftModel:
    """A fresh adapter on the language model."""
    adapted = get_peft_model(model, lora_config(model.config.model_type, args))
    assert_language_only(adapted)
    return adapted


@torch.no_grad()
def merge(folder: Path, output: Path, probe: dict[str, Any], tolerance: float = 1e-3) -> float:
    """Merges an adapter in float32 and checks that merged and unmerged answer alike.

    Args:
        folder: adapter folder.
        output: folder of the merged model; processor included.
        probe: processor output (tensors) on which the logits are compared.
        tolerance: largest accepted absolute difference of the logits.

    Returns:
        The largest absolute difference.

    Raises:
        UserError: the difference exceeds the tolerance, or the adapter changes nothing.
    """
    model = load_model(folder, "float32").eval()
    if not isinstance(model, PeftModel):
        raise UserError("nothing to merge", str(folder), "Give an adapter folder.")
    with_adapter = model(**probe).logits
    with model.disable_adapter():
        without = model(**probe).logits
    if torch.equal(with_adapter, without):
        raise UserError("adapter changes no logit", str(folder), "It was trained on another base, or not at all.")
    merged = model.merge_and_unload()
    difference = float((merged(**probe).logits - with_adapter).abs().max())
    if difference > tolerance:
        raise UserError(f"merged logits differ by {difference:.2e}", str(folder), f"Accepted: {tolerance:.0e}.")
    merged.save_pretrained(output)
    processor_of(folder).save_pretrained(output)
    return difference
