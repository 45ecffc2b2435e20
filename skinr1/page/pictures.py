"""Pictures as data addresses: upright, small, without the metadata of the original file."""

import base64
import io
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

MAX_SIDE = 320


def data_address(path: Path, max_side: int = MAX_SIDE) -> str | None:
    """``data:image/jpeg;base64,…`` of at most ``max_side`` pixels a side; None when the file shows nothing.

    Re-encoding leaves EXIF (position, names) behind.
    """
    try:
        with Image.open(path) as image:
            image.draft("RGB", (max_side, max_side))
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    upright.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def find(image: str, folders: tuple[Path, ...]) -> Path | None:
    """The picture's file: ``image`` as it stands when absolute, else below the first folder that has it."""
    candidates = [Path(image)] if Path(image).is_absolute() else [folder / image for folder in folders]
    return next((path for path in candidates if path.is_file()), None)
