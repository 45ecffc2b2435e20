"""One self-contained HTML page about a run: numbers with intervals, curves, pictures, answers."""

from skinr1.page.build import Run, render

__all__ = ["Run", "render"]
