"""Pictures as data addresses: upright, small, without the metadata of the original file."""

import base64
import io
from pathlib import Path

from PIL import Image

from skinr1.errors import UserError
from skinr1.images import load_image

MAX_SIDE = 320


def data_address(path: Path, max_side: int = MAX_SIDE) -> str | None:
    """``data:image/jpeg;base64,…`` of at most ``max_side`` pixels a side; None when the file shows nothing.

    Re-encoding leaves EXIF (position, names) behind.
    """
    try:
        upright = load_image(path)
    except UserError:  # the page counts the pictures it could not show
        return None
    upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    upright.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def find(image: str, folders: tuple[Path, ...]) -> Path | None:
    """The picture's file, below the first folder that has it. A row may not point outside: a page is for sharing."""
    inside = ((folder, (folder / image).resolve()) for folder in folders)
    return next((path for folder, path in inside if path.is_relative_to(folder.resolve()) and path.is_file()), None)
