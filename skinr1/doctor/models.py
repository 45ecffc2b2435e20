"""Numbers of parameters of the real models, counted on transformers' own classes without their weights."""

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

from skinr1.errors import UserError
from skinr1.vlm import LORA_TARGETS, VISUAL  # first: makes torchvision importable

import torch  # isort: skip
from transformers import (  # isort: skip
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

_CLASSES: dict[str, tuple[Any, Any]] = {
    "qwen2_5_vl": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration),
    "qwen3_vl": (Qwen3VLConfig, Qwen3VLForConditionalGeneration),
}


@dataclass(frozen=True)
class Model:
    """What estimates need of a model.

    Attributes:
        parameters: all of them; ``visual`` of these belong to the visual tower.
        adapted: (inputs + outputs) summed over the linear layers that a LoRA touches: its parameters per rank.
        kv_bytes: of one token's keys and values, in 16 bits.
    """

    name: str
    parameters: int
    visual: int
    adapted: int
    layers: int
    hidden: int
    vocabulary: int
    kv_bytes: int

    def trainable(self, rank: int) -> int:
        """Parameters that are trained: of a LoRA of this rank, or all for rank 0."""
        return rank * self.adapted if rank else self.parameters


@lru_cache(maxsize=1)
def _shapes() -> dict[str, Any]:
    return yaml.safe_load(files("skinr1.doctor").joinpath("shapes.yaml").read_text(encoding="utf-8"))


def names() -> tuple[str, ...]:
    """Models whose shapes are known."""
    return tuple(_shapes())


@lru_cache
def model(name: str) -> Model:
    """Raises UserError for a model whose shapes are not known."""
    if name not in _shapes():
        raise UserError("shapes of this model are not known", name, f"Give --model: one of {', '.join(names())}.")
    shape = _shapes()[name]
    configuration, architecture = _CLASSES[shape["family"]]
    tied, text = shape["tied"], shape["text"]
    config = configuration(
        text_config={**text, "tie_word_embeddings": tied}, vision_config=shape["vision"], tie_word_embeddings=tied
    )
    with torch.device("meta"):  # shapes without memory
        made = architecture(config)
    made.tie_weights()
    target = re.compile(LORA_TARGETS[shape["family"]])
    head = text.get("head_dim", text["hidden_size"] // text["num_attention_heads"])
    return Model(
        name,
        parameters=sum(weight.numel() for weight in made.parameters()),
        visual=sum(weight.numel() for name, weight in made.named_parameters() if VISUAL.search(name)),
        adapted=sum(sum(module.weight.shape) for name, module in made.named_modules() if target.fullmatch(name)),
        layers=text["num_hidden_layers"],
        hidden=text["hidden_size"],
        vocabulary=text["vocab_size"],
        kv_bytes=2 * 2 * text["num_hidden_layers"] * text["num_key_value_heads"] * head,
    )
