"""The scores of a task in words: what each metric says, what could not be computed, which names nobody knows.

For people who read a page and not the code; docs/evaluation.md says more.
"""

import re
from collections.abc import Mapping
from typing import Any

LESS = "; less is better"
NAMES_TOLD = 5  # unknown names that are quoted

_MEANINGS = {
    "valid_report_rate": "answers in the form that was asked for",
    "diagnosis_given_rate": "answers that name a diagnosis",
    "mrr": "1 over the place of the first true diagnosis in the list, 0 where it is not there",
    "hierarchical_precision": "nodes on the way to the answer that lie on the way to the truth, over all cases",
    "hierarchical_recall": "nodes on the way to the truth that lie on the way to the answer, over all cases",
    "hierarchical_f": "harmonic mean of hierarchical precision and recall: how much of the way is shared",
    "hierarchical_f_by_case": "how much of the way is shared, for each case alone, then averaged",
    "depth_credit": "share of the way to the truth that the answer goes along",
    "tree_distance": f"edges of the tree between answer and truth{LESS}",
    "malignancy_sensitivity": "malignant lesions whose stated condition is malignant",
    "malignancy_specificity": "other lesions whose stated condition is something else",
    "malignancy_sensitivity_by_diagnosis": "malignant lesions for which a malignant diagnosis is named",
    "malignancy_specificity_by_diagnosis": "other lesions for which no malignant diagnosis is named",
    "malignancy_auroc": "a malignant lesion is given more probability of malignancy than another; 0.5 is chance",
    "condition_accuracy": "the stated condition is the true one",
    "condition_balanced_accuracy": "the stated condition is the true one, averaged over conditions, each counted alike",
    "condition_macro_f1": "F1 of each condition that occurs, averaged",
    "safety_critical_error": f"errors between benign and malignant, or infectious and not{LESS}",
    "malignant_called_benign": f"malignant lesions that are given a benign diagnosis{LESS}",
    "benign_called_malignant": f"benign lesions that are given a malignant diagnosis{LESS}",
    "infectious_called_not": f"infectious diseases that are given another diagnosis{LESS}",
    "not_infectious_called_so": f"other diseases that are given an infectious diagnosis{LESS}",
    "ece": f"gap between stated probability and accuracy, over ten bins{LESS}",
    "brier": f"squared gap between stated probability and whether it was right{LESS}",
    "aurc": f"error rate, averaged over answering only the surest part of the cases{LESS}",
    "average_overlap": "agreement of the ranked list with the readers' ranking, place by place",
    "findings_f1": "F1 of the signs named against the signs annotated, averaged over cases",
    "findings_precision": "signs named that are annotated, over all cases",
    "findings_recall": "signs annotated that are named, over all cases",
    "findings_contradicted": f"signs named that the annotation denies{LESS}",
    "checklist_field_accuracy": "criteria of the checklist with the annotated value",
    "checklist_suspicious_agreement": "the score is suspicious (3 points or more) where the annotated one is",
    "text_consistency": "share of the report that its own reasoning bears out",
    "grounded_sentence_rate": "sentences of the reasoning without a fault, by the deterministic checker",
    "citation_precision": "cited passages in sentences whose citations hold",
    "citation_recall": "sentences in need of a citation whose citations hold",
    "contradiction_rate": f"sentences against the annotation or the label{LESS}",
    "option_given_rate": "answers that name an option",
    "choice_accuracy": "answers that name the right option",
    "chance_level": "what an option drawn at random would reach; no answer is looked at",
    "shortcut_accuracy": "what the names of the options alone would reach; no answer is looked at",
    "rivals_shortcut_accuracy": "what the graph that the options come from would reach; no answer is looked at",
    "released_parser_accuracy": "right as the released evaluation of Skin-R1 reads and keys the answer",
    "step_accuracy": "right rounds over rounds that had a right and a wrong option",
    "whole_walk_rate": "walks down the tree without a wrong or invalid round",
    "seven_point_error": f"points between the 7-point score of the answer and of the annotation{LESS}",
}

_NUMBERED = (
    (r"top(\d+)", "a true diagnosis is among the first {}"),
    (r"aggregated_coverage_top(\d+)", "the readers' weight on diagnoses among the first {}"),
    (r"level_(\d+)_accuracy", "the right group at level {} of the tree"),
    (r"level_(\d+)_balanced_accuracy", "the right group at level {}, averaged over groups, each counted alike"),
    (r"level_(\d+)_macro_f1", "F1 of each group that occurs at level {}, averaged"),
    (r"choice_accuracy_level_(\d+)", "the right option where all options are of level {}"),
)


def meaning(name: str) -> str:
    """The line of a metric.

    Raises:
        KeyError: there is no such metric.
    """
    if name == "top1":
        return "the diagnosis is a true one, or lies below one"
    for pattern, words in _NUMBERED:
        if match := re.fullmatch(pattern, name):
            return words.format(match[1])
    return _MEANINGS[name]


def not_computed(task: Mapping[str, Any]) -> list[str]:
    """A sentence on the metrics that the task names and the scores lack; none where they lack none."""
    if not task["not_computed"]:
        return []
    names = ", ".join(name.replace("_", " ") for name in task["not_computed"])
    return [
        f"Not computed: {names}. No answer concerns them, or they need --cases and --knowledge (the reasoning and the "
        "textbook)."
    ]


def unknown_names(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each form of list on the names that nobody knows, as :func:`skinr1.metrics.forms.unknown` counts.

    They are the model's own words: whoever shows them escapes them.
    """
    return [_unknown(form, counts) for form, counts in found.items()]


def _unknown(form: str, found: Mapping[str, Any]) -> str:
    where = "the vocabulary of signs" if form == "signs" else "the tree"
    told = f"Names not in {where}: {found['names']} in {found['with_unknown']} of {found['answers']} answers"
    if not found["names"]:
        return f"{told}."
    shown = ", ".join(f"“{_short(name)}” {count}" for name, count in found["most_frequent"][:NAMES_TOLD])
    others = found["distinct"] - min(NAMES_TOLD, found["distinct"])
    rest = f" and {others} other{'s' if others > 1 else ''}" if others else ""
    cost = f"{found['invalid']} of these answers are invalid because of them" if found["invalid"] else ""
    kept = f"{found['cut']} lists end before the first of them" if found["cut"] else ""
    lost = f"known names that do not count because of them: {found['lost']}"
    return f"{told} ({shown}{rest}); {'; '.join(part for part in (kept, cost, lost) if part)}."


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"
