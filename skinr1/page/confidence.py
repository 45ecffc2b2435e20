"""Section about how sure: reliability, what abstaining would buy, sets and back-off, the risk of malignancy."""

from collections.abc import Mapping, Sequence
from typing import Any

from skinr1.page.content import Plot, Section, Table, cell
from skinr1.page.plots import Line, lines
from skinr1.page.results import Run

SHARES = ((0.0, 1.0), (0.0, 1.0))  # limits of both axes
ABSENT = "These scores hold no calibration: score again with this version of eval/score.py."


def confidence(runs: Sequence[Run]) -> Section:
    """Reliability and risk-coverage curves, of the runs whose scores hold them."""
    known = {run.name: run.scores["calibration"] for run in runs if run.scores.get("calibration")}
    if not known:
        return Section("confidence", "Confidence", absent=ABSENT)
    looks = [run.name for run in runs]
    reliable = _reliability(known, looks)
    abstaining = _risk_coverage(known, looks)
    text = (
        "Reliability: of the answers stated with about the same probability, how many are right; on the dotted "
        "line the two agree, below it the model is too sure.",
        "Risk and coverage: the share of errors when only the surest answers are given.",
    )
    points = [sentence for name, found in known.items() for sentence in _sentences(name, found)]
    plots = tuple(plot for plot in (reliable, abstaining) if plot)
    tables = tuple(table for name, found in known.items() for table in _tables(name, found))
    return Section("confidence", "Confidence", text, tuple(points), tables=tables, plots=plots, wide=True)


def _reliability(known: Mapping[str, Mapping[str, Any]], looks: Sequence[str]) -> Plot | None:
    series, rows = {}, []
    for name, found in known.items():
        bins = [one for one in found.get("bins") or () if one["low"] is not None and one["n"]]
        if bins:
            accuracy = [one["accuracy"] for one in bins]
            low = [_or(one.get("accuracy_low"), one["accuracy"]) for one in bins]
            high = [_or(one.get("accuracy_high"), one["accuracy"]) for one in bins]
            series[name] = Line([one["confidence"] for one in bins], accuracy, low, high)
        for one in (one for one in found.get("bins") or () if one["n"]):
            stated = "invalid answers" if one["low"] is None else f"{one['low']:.2f} to {one['high']:.2f}"
            right = {"value": one["accuracy"], "low": one.get("accuracy_low"), "high": one.get("accuracy_high")}
            rows.append((stated, name, str(one["n"]), _number(one["confidence"]), cell(right)))
    if not series:
        return None
    table = Table(
        "Reliability: the numbers", ("stated", "model", "n", "mean stated", "right"), tuple(rows), folded=True
    )
    names = ("probability that is stated", "share that is right")
    return lines("reliability", "Reliability", series, names, SHARES, diagonal=True, table=table, looks=looks)


def _risk_coverage(known: Mapping[str, Mapping[str, Any]], looks: Sequence[str]) -> Plot | None:
    series, rows = {}, []
    for name, found in known.items():
        curve = sorted(found.get("risk_coverage") or (), key=lambda one: one["coverage"])
        curve = [one for one in curve if one["risk"] is not None]
        if curve:
            series[name] = Line([one["coverage"] for one in curve], [one["risk"] for one in curve])
            rows += [
                (f"{one['coverage']:.2f}", name, _number(one["confidence"]), f"{one['risk']:.2f}")
                for one in _few(curve)
            ]
    if not series:
        return None
    table = Table(
        "Risk and coverage: the numbers", ("answered", "model", "from confidence", "wrong"), tuple(rows), True
    )
    names = ("share of cases answered", "share of these that is wrong")
    return lines("risk-coverage", "Risk and coverage", series, names, SHARES, table=table, looks=looks)


def _few(curve: Sequence[Mapping[str, Any]], most: int = 21) -> list[Mapping[str, Any]]:
    """At most so many points, evenly picked, the last one among them."""
    if len(curve) <= most:
        return list(curve)
    return [curve[round(at * (len(curve) - 1) / (most - 1))] for at in range(most)]


def _sentences(name: str, found: Mapping[str, Any]) -> list[str]:
    told = []
    if fitted := found.get("temperature"):
        told.append(
            f"{name}: temperature {fitted['temperature']:.2f}, fitted on {fitted['cases']} validation cases, moves "
            f"ECE from {fitted['ece_before']:.3f} to {fitted['ece_after']:.3f} and Brier from "
            f"{fitted['brier_before']:.3f} to {fitted['brier_after']:.3f}."
        )
    return told


def _tables(name: str, found: Mapping[str, Any]) -> list[Table]:
    tables: list[Table] = []
    rows: tuple[tuple[str, ...], ...]
    head: tuple[str, ...]
    if sets := found.get("conformal"):
        rows = tuple(
            (
                str(one["method"]).replace("_", " "),
                f"{1 - one['alpha']:.0%}",
                _shown(one["coverage"]),
                _shown(one["size"]),
                _shown(one["empty"]),
            )
            for one in sets
        )
        head = ("method", "promised", "truth in the set", "diagnoses in the set", "empty sets")
        tables.append(Table(f"{name}: conformal sets", head, rows, folded=True))
    if back := found.get("backoff"):
        rows = tuple(
            (f"{one['threshold']:.2f}", _shown(one["answered"]), _shown(one["correct"]), _shown(one["mean_depth"]))
            for one in back
        )
        head = ("surer than", "answered", "right", "mean level of the answer")
        tables.append(Table(f"{name}: backing off to a coarser diagnosis", head, rows, folded=True))
    return tables


def risk(runs: Sequence[Run]) -> Section:
    """Sensitivity and specificity for malignancy at the operating point, and the ROC curve."""
    known = {run.name: run.scores["operating_point"] for run in runs if run.scores.get("operating_point")}
    if not known:
        return Section("risk", "Malignancy", absent="These scores hold no operating point.")
    rows = tuple(
        (name, *(cell(found.get(key)) for key in ("sensitivity", "specificity", "auroc")))
        for name, found in known.items()
    )
    first = next(iter(known.values()))
    caption = f"{str(first['positive']).capitalize()} or not, with 95 % intervals; flagged: {first['decision']}"
    table = Table(caption, ("model", "sensitivity", "specificity", "AUROC"), rows)
    curves = {
        name: sorted((fpr, tpr) for _, fpr, tpr in found["roc"]) for name, found in known.items() if found.get("roc")
    }
    series = {name: Line([x for x, _ in curve], [y for _, y in curve]) for name, curve in curves.items()}
    names = ("share of others flagged (1 − specificity)", "share found (sensitivity)")
    looks = [run.name for run in runs]
    plots = (lines("roc", "ROC curve", series, names, SHARES, diagonal=True, looks=looks),) if series else ()
    return Section("risk", "Malignancy", tables=(table,), plots=plots)


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _shown(value: Any) -> str:
    """An estimate, or a bare number."""
    if isinstance(value, Mapping):
        return cell(value)
    return str(value) if isinstance(value, int) else _number(value)
