"""How good, how fair and how sure: pure functions of prediction rows, with intervals."""

from skinr1.metrics.columns import Columns
from skinr1.metrics.estimate import Estimate, estimates, paired_differences
from skinr1.metrics.outcomes import Outcome, Prediction, outcomes, read_outcomes
from skinr1.metrics.reading import check_one_task, columns_of, read_columns
from skinr1.metrics.scores import score
from skinr1.metrics.table import fairness_table, markdown_table, metrics_table, show, summary_table, tone_table

__all__ = [
    "Columns",
    "Estimate",
    "Outcome",
    "Prediction",
    "check_one_task",
    "columns_of",
    "estimates",
    "fairness_table",
    "markdown_table",
    "metrics_table",
    "outcomes",
    "paired_differences",
    "read_columns",
    "read_outcomes",
    "score",
    "show",
    "summary_table",
    "tone_table",
]
