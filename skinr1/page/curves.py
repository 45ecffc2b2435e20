"""Training curves as inline SVG: text stays text, colours follow the page, the same rows give the same bytes."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinr1.page.content import Plot, Table
from skinr1.page.svg import COLOURS, drawing
from skinr1.stage import read_jsonl

STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))
SMOOTH_FROM = 60
ROWS = 20
FEW = 3  # lines whose legend fits among them


@dataclass(frozen=True)
class Panel:
    """One drawing: a title, an axis name, and which logged keys it shows under which label."""

    title: str
    unit: str
    label: Callable[[str], str | None]


def _exactly(**labels: str) -> Callable[[str], str | None]:
    return lambda key: labels.get(key)


def _reward_part(key: str) -> str | None:
    found = re.fullmatch(r"rewards/(.+)/mean", key)
    return found.group(1) if found else None


def _length(key: str) -> str | None:
    return {"completions/mean_length": "mean", "completions/max_length": "longest"}.get(key)


PANELS = (
    Panel("Reward", "weighted sum", _exactly(reward="reward")),
    Panel("Parts of the reward", "before weighting", _reward_part),
    Panel("Loss", "nats per token", _exactly(loss="training", eval_loss="held out")),
    Panel("Token accuracy", "share", _exactly(mean_token_accuracy="training", eval_mean_token_accuracy="held out")),
    Panel("KL to the reference", "nats per token", _exactly(kl="KL")),
    Panel("Entropy", "nats per token", _exactly(entropy="entropy")),
    Panel("Completion length", "tokens", _length),
)


@dataclass(frozen=True)
class Curve:
    """A drawing and the words for those who do not see it."""

    title: str
    svg: str
    words: str


def stage_curves(name: str, path: Path) -> list[Plot]:
    """The panels that ``path`` has numbers for; empty when the file is missing or holds none.

    Raises:
        UserError: a line of the file is not a JSON object.
    """
    if not path.is_file():
        return []
    rows = [row for row in read_jsonl(path) if isinstance(row.get("step"), int | float)]
    # GRPO's surrogate loss is near 0 by construction and says nothing about progress.
    rewarded = any("reward" in row for row in rows)
    return [
        _curve(f"{name}-{number}", panel, lines)
        for number, panel in enumerate(PANELS)
        if not (rewarded and panel.title == "Loss") and (lines := _lines(panel, rows))
    ]


Line = tuple[list[float], list[float]]


def _lines(panel: Panel, rows: Sequence[dict[str, Any]]) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    for row in rows:
        for key in sorted(row):
            label, number = panel.label(key), row[key]
            if label is not None and isinstance(number, int | float) and math.isfinite(number):
                steps, numbers = lines.setdefault(label, ([], []))
                steps.append(row["step"])
                numbers.append(number)
    return lines


def _curve(prefix: str, panel: Panel, lines: dict[str, Line]) -> Plot:
    words = "; ".join(_in_words(panel, label, *line) for label, line in lines.items())
    keys = math.ceil(len(lines) / 2) if len(lines) > FEW else 0  # rows of a legend below the axes
    svg = drawing(prefix, (4.2, 2.5 + 0.2 * keys), lambda axes: _draw(axes, panel, lines))
    return Plot(panel.title, svg, f"{panel.title}: {words}.", _numbers(panel, lines))


def _numbers(panel: Panel, lines: dict[str, Line]) -> Table:
    """The lines at up to :data:`ROWS` steps, evenly picked; ``metrics.jsonl`` has the others."""
    found = {label: dict(zip(*line, strict=True)) for label, line in lines.items()}
    steps = sorted({step for numbers in found.values() for step in numbers})
    picked = sorted({round(at * (len(steps) - 1) / max(1, ROWS - 1)) for at in range(ROWS)})
    rows = []
    for step in (steps[at] for at in picked if at < len(steps)):
        values = (numbers.get(step) for numbers in found.values())
        rows.append((f"{step:g}", *("–" if value is None else f"{value:.4g}" for value in values)))
    caption = f"{panel.title}, {panel.unit}: {len(rows)} of {len(steps)} logged steps"
    return Table(caption, ("step", *found), tuple(rows), folded=True)


def _in_words(panel: Panel, label: str, steps: Sequence[float], numbers: Sequence[float]) -> str:
    name = "" if label.lower() in panel.title.lower() else f"{label} "
    return f"{name}from {numbers[0]:.3g} at step {steps[0]:g} to {numbers[-1]:.3g} at step {steps[-1]:g}"


def _draw(axes: Any, panel: Panel, lines: dict[str, Line]) -> None:
    from matplotlib.ticker import MaxNLocator

    for number, (label, (steps, numbers)) in enumerate(lines.items()):
        # each round through the styles begins at another colour, so that no pair comes twice
        colour = COLOURS[(number + number // len(STYLES)) % len(COLOURS)]
        style = STYLES[number % len(STYLES)]
        smooth = moving_average(numbers)
        if smooth != numbers:
            axes.plot(steps, numbers, color=colour, linewidth=0.6, alpha=0.35)
        marker = "o" if len(steps) == 1 else None
        axes.plot(steps, smooth, color=colour, linestyle=style, linewidth=1.8, label=label, marker=marker)
    axes.set_xlabel("step")
    axes.set_ylabel(panel.unit)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.grid(color="#888888", alpha=0.25, linewidth=0.6)
    if len(lines) > FEW:  # would hide the lines
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.22), "ncol": 2}
        axes.legend(frameon=False, fontsize=8, handlelength=3, **below)
    elif len(lines) > 1:
        axes.legend(frameon=False, fontsize=8, handlelength=3)


def moving_average(numbers: Sequence[float]) -> list[float]:
    """Centred mean over about a twentieth of a long series; a short series comes back as it is."""
    if len(numbers) < SMOOTH_FROM:
        return list(numbers)
    half = len(numbers) // 40
    windows = (numbers[max(0, i - half) : i + half + 1] for i in range(len(numbers)))
    return [sum(window) / len(window) for window in windows]
