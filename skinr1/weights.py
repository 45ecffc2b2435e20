"""Weights come as safetensors: a pickle, whoever made it, is not read."""

from pathlib import Path

from skinr1.errors import UserError

# What is read where it is there; without it transformers, peft and vLLM look for a pickle.
MODEL = ("model.safetensors", "model.safetensors.index.json")
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def check_safetensors(folder: Path) -> None:
    """Raises UserError when the folder of a model or an adapter has no weights in safetensors."""
    names = (ADAPTER_WEIGHTS,) if (folder / ADAPTER_CONFIG).is_file() else MODEL
    if not any((folder / name).is_file() for name in names):
        raise UserError(
            "no safetensors weights here",
            str(folder),
            f"It needs {' or '.join(names)}; a pickle (.bin, .pt) must be converted first.",
        )
