"""Scores against readers who disagree: weights of their labels, plausible truths, and answers held against both.

After Stutz et al. 2023, "Evaluating AI systems under uncertain ground truth: a case study in dermatology".
"""
