"""Other words for a step, behind one interface; the grounding check decides whether they are kept."""

import hashlib
from dataclasses import replace
from typing import Protocol

from skinr1.cases import Case
from skinr1.knowledge import Knowledge
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.grounding import check
from skinr1.trajectories.model import Trajectory

# Openings that mean the same; the first of each is the template's own.
_OPENINGS = (
    ("Seen:", "Visible:", "The image shows:"),
    ("Told:", "The patient reports:", "History:"),
    ("Considered ", "Also weighed: ", "A rival is "),
    ("Conclusion:", "Most likely:", "Diagnosis:"),
)


class Rewriter(Protocol):
    """Anything that words a step anew. It never sees the image, the case or the label."""

    def rewrite(self, step_text: str) -> str: ...


class TemplateRewriter:
    """Own phrasings, chosen by seed and text. With one phrasing, the default, the text stays as it is."""

    def __init__(self, phrasings: int = 1, seed: int = 0):
        self.phrasings, self.seed = phrasings, seed

    def rewrite(self, step_text: str) -> str:
        for openings in _OPENINGS:
            if step_text.startswith(openings[0]):
                digest = hashlib.sha256(f"{self.seed}\t{step_text}".encode()).digest()
                choice = int.from_bytes(digest[:8], "big") % max(1, min(self.phrasings, len(openings)))
                return openings[choice] + step_text.removeprefix(openings[0])
        return step_text


def longest(text: str) -> int:
    """Characters that other words for a text may take."""
    return 80 + 2 * len(text)


def reword(
    trajectory: Trajectory, rewriter: Rewriter, case: Case, knowledge: Knowledge, taxonomy: Taxonomy | None = None
) -> Trajectory:
    """The trajectory in the rewriter's words, step by step.

    A step whose new words fail the grounding check, are empty or too long keeps the template's words and is marked
    ``rewrite refused``.
    """
    for index, step in enumerate(trajectory.steps):
        text = rewriter.rewrite(step.text)
        if text == step.text:
            continue
        candidate = trajectory.with_step(index, replace(step, text=text, wording="rewritten"))
        sound = 0 < len(text) <= longest(step.text) and not check(candidate, case, knowledge, taxonomy)
        trajectory = candidate if sound else trajectory.with_step(index, replace(step, wording="rewrite refused"))
    return trajectory
