"""Blocks of scores.json as docs/evaluation.md lays them out, with made-up numbers, for pages that draw them."""

import math
from typing import Any


def estimate(value: float | None, n: int = 80, half: float = 0.08) -> dict[str, Any]:
    if value is None:
        return {"value": None, "low": None, "high": None, "n": n, "method": "none"}
    return {"value": value, "low": value - half, "high": value + half, "n": n, "method": "bootstrap"}


def group(name: str, n: int, top1: float | None, **flags: bool) -> dict[str, Any]:
    return {
        "group": name,
        "n": n,
        "patients": n // 2,
        "small": flags.get("small", False),
        "unknown": flags.get("unknown", False),
        "wilson": [0.1, 0.9],
        "metrics": {"top1": estimate(top1, n), "malignancy_sensitivity": estimate(None, 0)},
    }


def attribute(name: str, groups: list[dict[str, Any]], computable: bool = True) -> dict[str, Any]:
    return {
        "attribute": name,
        "groups": groups,
        "worst": {"top1": {"group": groups[0]["group"], "value": 0.5} if computable else None},
        "gaps": {"top1": estimate(0.2) if computable else None},
        "equalised_odds": {"tpr": estimate(0.15) if computable else None, "fpr": None},
        "standardised": {"diagnoses": 4, "groups": {"1": 0.61, "6": 0.55}, "gap": 0.06} if computable else None,
        "minimum": 20,
        "notes": [] if computable else ["one group only"],
    }


def blocks(skill: float = 0.7) -> dict[str, Any]:
    """Everything that eval/score.py adds beside the headline."""
    bins = [
        {
            "low": at / 10,
            "high": at / 10 + 0.1,
            "n": 10 + at,
            "confidence": at / 10 + 0.05,
            "accuracy": min(1.0, skill * (at / 10 + 0.05) + 0.1),
            "accuracy_low": max(0.0, skill * (at / 10 + 0.05)),
            "accuracy_high": min(1.0, skill * (at / 10 + 0.05) + 0.2),
        }
        for at in range(2, 10)
    ]
    invalid = {"low": None, "high": None, "n": 3, "confidence": None, "accuracy": 0.0}
    curve = [
        {"confidence": 1 - at / 50, "coverage": at / 50, "risk": (1 - skill) * math.sqrt(at / 50)}
        for at in range(1, 51)
    ]
    tones = [group("1", 40, 0.5), group("6", 30, 0.7), group("unknown", 14, 0.6, unknown=True)]
    sexes = [group("female", 30, 0.6), group("male", 4, 0.5, small=True)]
    return {
        "levels": [{"level": 1, "classes": 2, "accuracy": estimate(0.9), "balanced_accuracy": estimate(0.8),
                    "macro_f1": estimate(0.7)}],
        "operating_point": {
            "positive": "malignant",
            "decision": "stated condition",
            "sensitivity": estimate(0.8),
            "specificity": estimate(0.9),
            "auroc": estimate(0.92),
            "roc": [[1.0, 0.0, 0.0], [0.5, 0.1, 0.8], [0.0, 1.0, 1.0]],
        },
        "calibration": {
            "bins": [*bins, invalid],
            "risk_coverage": curve,
            "backoff": [{"threshold": 0.5, "answered": 0.9, "correct": 0.8, "mean_depth": 3.1}],
            "temperature": {"temperature": 1.4, "cases": 60, "ece_before": 0.12, "ece_after": 0.05,
                            "brier_before": 0.3, "brier_after": 0.27},
            "conformal": [{"method": "split", "alpha": 0.1, "threshold": 0.2, "coverage": estimate(0.91), "size": 2.3,
                           "empty": 1}],
        },
        "fairness": [
            attribute("skin tone (fitzpatrick, rendered)", tones),
            attribute("sex", sexes, computable=False),
            attribute("site", [group("unknown", 84, 0.6, unknown=True)], computable=False),
        ],
        "uncertain": {
            "cases": 30,
            "reliability": [{"readers": k, "top1": estimate(0.4 + k / 100)} for k in (1, 10, 30)],
            "plackett_luce": {
                "cases": 20,
                "left_out": 1,
                "reliability": [{"repeats": k, "top1": estimate(0.5 + k / 100)} for k in (1, 3, 10)],
            },
            "certainty": estimate(0.7),
            "reader_agreement": estimate(0.6),
        },
        "tone_from_pixels": {
            "images": 80,
            "unreadable": 2,
            "edges": [55.0, 41.0, 28.0, 19.0, 10.0],
            "methods": {
                name: {"n": n, "quartiles": [12.0, 31.5, 48.0] if n else None, "bins": [10, 20, 30, 10, 5, 5]}
                for name, n in (("rp", 80), ("rp2", 80), ("groh", 0))
            },
            "agreement": [
                {"methods": ["rp", "rp2"], "n": 80, "left_out": 0, "exact": 0.9, "within_one": 1.0, "kappa": 0.95},
                {"methods": ["rp", "groh"], "n": 0, "left_out": 80, "exact": None, "within_one": None, "kappa": None},
                {"methods": ["rp2", "groh"], "n": 70, "left_out": 10, "exact": 0.4, "within_one": 0.8, "kappa": 0.6},
            ],
        },
        "morphology": {"cases": 12, "fields": {"streaks": {"n": 12, "correct": 9}}, "seven_point": estimate(0.7, 12)},
        "rationale": {"sentences": 200, "faults": {"no such passage": 4}},
        "sample_size": [{"difference": 0.05, "discordant": 0.2, "cases": 612}],
        "notes": ["12 answers came without probabilities: calibration says nothing"],
    }  # fmt: skip


def with_ranks(metrics: dict[str, Any]) -> dict[str, Any]:
    """Top-2 to top-6 beside top-1."""
    top = metrics["top1"]["value"]
    return metrics | {f"top{k}": estimate(min(1.0, top + (1 - top) * (1 - 0.6 ** (k - 1)))) for k in range(2, 7)}
