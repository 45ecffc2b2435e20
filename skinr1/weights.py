"""Weights come as safetensors: a pickle, whoever made it, is not read."""

from pathlib import Path

from skinr1.errors import UserError


def check_safetensors(folder: Path) -> None:
    """Raises UserError when a model's or an adapter's folder holds no safetensors file."""
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            "no safetensors weights here",
            str(folder),
            "Give the folder of a saved model; a pickle (.bin, .pt) must be converted first.",
        )
