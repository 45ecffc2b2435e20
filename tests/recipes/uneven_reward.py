"""A reward of one's own, as a recipe names it by its dotted path."""

from skinr1.report import Answer
from skinr1.rewards import Context, Truth


def uneven(answer: Answer | None, truth: Truth, context: Context) -> float:
    """Pays whatever is answered, for a malignant case more."""
    return 0.7 if "malignant" in truth.diagnoses[0] else 0.1
