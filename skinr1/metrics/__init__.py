"""How good, how fair and how sure: pure functions of prediction rows, with intervals."""

from skinr1.metrics.estimate import Estimate, estimates, paired_differences
from skinr1.metrics.outcomes import Outcome, Prediction, outcomes, read_outcomes
from skinr1.metrics.scores import score
from skinr1.metrics.table import markdown_table, metrics_table, show, summary_table

__all__ = [
    "Estimate",
    "Outcome",
    "Prediction",
    "estimates",
    "markdown_table",
    "metrics_table",
    "outcomes",
    "paired_differences",
    "read_outcomes",
    "score",
    "show",
    "summary_table",
]
