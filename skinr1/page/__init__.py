"""One self-contained HTML page about a run: numbers with intervals, curves, pictures, answers."""

from skinr1.page.build import Material, Page, render
from skinr1.page.results import Run

__all__ = ["Material", "Page", "Run", "render"]
