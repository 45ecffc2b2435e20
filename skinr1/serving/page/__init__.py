"""The page people look at: images in, reasoning as it is written, then the report."""

from skinr1.serving.page.mounting import mount

__all__ = ["mount"]
