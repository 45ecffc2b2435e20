"""Questions for reinforcement learning: choices whose options tell nothing, and how often a model is right.

- :mod:`skinr1.questions.choices` builds the option sets of multiple choice.
- :mod:`skinr1.questions.shortcuts` are solvers that see the options and no image; every build is measured by them.
- :mod:`skinr1.questions.pass_rate` samples a model on each question.
"""

from skinr1.questions.choices import Label, Options, option_name, option_sets
from skinr1.questions.shortcuts import SHORTCUTS, Shortcut, hits

__all__ = ["SHORTCUTS", "Label", "Options", "Shortcut", "hits", "option_name", "option_sets"]
