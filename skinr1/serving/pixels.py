"""The pixel budget a model was trained with, read from its saved processor: serving must show it the same image."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skinr1.errors import UserError

PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")


def saved_budget(folder: Path) -> tuple[int, int] | None:
    """(least, most) pixels an image is resized to, as saved; None when the folder holds no processor or no budget."""
    for name in PROCESSOR_FILES:
        if (folder / name).is_file():
            settings = json.loads((folder / name).read_text(encoding="utf-8"))
            if budget := _budget(settings.get("image_processor", settings)):
                return budget
    return None


def _budget(settings: Mapping[str, Any]) -> tuple[int, int] | None:
    size = settings.get("size") or {}
    least = settings.get("min_pixels") or size.get("shortest_edge")
    most = settings.get("max_pixels") or size.get("longest_edge")
    return (int(least), int(most)) if least and most else None


def pixel_budget(model: str, adapters: Mapping[str, Path]) -> tuple[int, int] | None:
    """The budget to serve with: the adapters', which is what they were trained with, else the model's own.

    Raises:
        UserError: two adapters were trained with different budgets; one server has one.
    """
    found = {name: budget for name, folder in adapters.items() if (budget := saved_budget(folder))}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name} {least}-{most}" for name, (least, most) in found.items())
        raise UserError("adapters were trained with different pixel budgets", told, "Serve them from separate servers.")
    return next(iter(found.values()), None) or saved_budget(Path(model))
