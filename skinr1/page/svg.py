"""Drawings as inline SVG: text stays text, colours follow the page, the same numbers give the same bytes."""

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

# Stand-in for the page's ink, replaced by currentColor so that one drawing serves light and dark.
INK = "#010203"
# Three to one against white and near-black; under simulated protanopia, deuteranopia and tritanopia every two stay
# apart (CIE 1976 difference of 14, the first four of 25). Markers, hatches and line styles differ too.
COLOURS = ("#3b7dd8", "#d2691e", "#aa00ff", "#996b54", "#cc708f", "#8e9954", "#775499", "#b23674")


def drawing(prefix: str, size: tuple[float, float], draw: Callable[[Any], None], name: str | None = None) -> str:
    """The bare ``<svg>`` of what ``draw`` does to matplotlib's axes.

    Args:
        prefix: put before every id, which must be unique in the page.
        size: inches.
        name: accessible name; None hides the drawing from screen readers, for words beside it say the same.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    look: Any = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
        "svg.hashsalt": "skinr1",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(look):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), re.sub(r"\W", "-", prefix), name)


def _inline(document: str, prefix: str, name: str | None) -> str:
    """The bare <svg>, ids unique in the page, ink left to the page."""
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r"(font(?:-family)?: [^;\"]*?)'[^\"]*?sans-serif", r"\1sans-serif", svg)
    heard = 'aria-hidden="true"' if name is None else f'role="img" aria-label="{escape(name)}"'
    return svg.replace(INK, "currentColor").replace("<svg ", f"<svg {heard} ", 1).strip()
