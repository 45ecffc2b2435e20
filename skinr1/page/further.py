"""Sections that only some runs have: truth that readers disagree on, morphology, rationale, sample size."""

from collections.abc import Mapping, Sequence
from typing import Any

from skinr1.page.content import Plot, Section, Table, cell, metric_name
from skinr1.page.plots import Line, lines
from skinr1.page.results import Run


def further(runs: Sequence[Run]) -> list[Section]:
    """Those of the last run, as far as its scores hold them."""
    run = runs[-1]
    made = (_uncertain(run), _morphology(run), _rationale(run), _sample_size(run))
    return [section for section in made if section]


def _uncertain(run: Run) -> Section | None:
    found = run.scores.get("uncertain")
    if not found:
        return None
    plots = _by_trust(
        "uncertain", "Score by reliability", found["reliability"], "readers", "readers’ reliability assumed"
    )
    told = [
        f"{name.replace('_', ' ')}: {_shown(found[name])}"
        for name in ("certainty", "reader_agreement")
        if found.get(name)
    ]
    text = [
        f"Of {found['cases']} cases whose readers gave a differential: the truth itself is drawn from what the "
        "readers said, the more freely the less they are trusted (Stutz et al. 2023)."
    ]
    if ranked := found.get("plackett_luce"):
        text.append(
            f"Plackett-Luce: the same, but the truth is drawn from the rankings of the readers of {ranked['cases']} "
            f"cases and not from weights; left out for too many tied labels or none: {ranked['left_out']} cases."
        )
        title, trust = "Score by reliability, Plackett-Luce", "times each reader is counted"
        plots += _by_trust("plackett-luce", title, ranked["reliability"], "repeats", trust)
    return Section("uncertain", f"Where readers disagree: {run.name}", tuple(text), tuple(told), plots=plots)


def _by_trust(id_: str, title: str, rows: Sequence[Mapping[str, Any]], trust: str, axis: str) -> tuple[Plot, ...]:
    """A line a score over how far readers are trusted; nothing where no score is known."""
    series = {}
    for key in [key for key in rows[0] if key != trust] if rows else []:
        known = [(row[trust], _value(row[key])) for row in rows if _value(row[key]) is not None]
        if known:
            series[metric_name(key)] = Line([float(x) for x, _ in known], [y or 0.0 for _, y in known])
    return (lines(id_, title, series, (axis, "score")),) if series else ()


def _morphology(run: Run) -> Section | None:
    found = run.scores.get("morphology")
    if not found:
        return None
    rows = tuple(
        (name.replace("_", " "), str(field["n"]), f"{field['correct'] / field['n']:.2f}" if field["n"] else "n/a")
        for name, field in (found.get("fields") or {}).items()
    )
    tables = (Table("Criteria of the 7-point checklist", ("criterion", "n", "right"), rows),) if rows else ()
    score = found["seven_point"]
    points = (f"7-point score, agreement on what is suspicious: {cell(score)} of {score['n']} cases.",)
    return Section(
        "morphology", f"Signs: {run.name}", (f"{found['cases']} cases with annotated signs.",), points, tables
    )


def _rationale(run: Run) -> Section | None:
    found = run.scores.get("rationale")
    if not found:
        return None
    points = tuple(f"{reason}: {count}" for reason, count in sorted(found["faults"].items()))
    text = (f"{found['sentences']} sentences were checked against annotations and cited passages; faults by reason:",)
    return Section("rationale", f"Reasoning: {run.name}", text, points)


def judge(found: Mapping[str, Any] | None) -> list[Section]:
    """The judge of the reasoning beside the checker, from ``judge.json``; nothing where none was asked."""
    if not found:
        return []
    findings = list(found["confusion"])
    verdicts = list(found["confusion"][findings[0]])
    rows = tuple(
        (verdict, *(str(found["confusion"][finding][verdict]) for finding in findings)) for verdict in verdicts
    )
    table = Table("Sentences: judge by checker", ("judge", *findings), rows)
    text = (f"{found['judge']} as a judge of text, {found['votes']} votes a sentence. {found['words']}",)
    return [Section("judge", f"A model judges the reasoning: {found['model']}", text, tables=(table,))]


def _sample_size(run: Run) -> Section | None:
    rows = run.scores.get("sample_size")
    if not rows:
        return None
    body = tuple((f"{row['difference']:.2f}", _shown(row.get("discordant", "–")), str(row["cases"])) for row in rows)
    table = Table("Cases needed", ("difference to show", "cases that only one run has right", "cases"), body)
    text = ("To show a difference between two runs with 80 % power at 5 %, by McNemar’s test on independent cases.",)
    return Section("sample-size", "How many cases it takes", text, tables=(table,))


def _value(found: Any) -> float | None:
    return found["value"] if isinstance(found, Mapping) else found


def _shown(found: Any) -> str:
    if isinstance(found, Mapping):
        return (
            cell(found)
            if "value" in found
            else ", ".join(f"{k.replace('_', ' ')} {_shown(v)}" for k, v in found.items())
        )
    return f"{found:.2f}" if isinstance(found, float) else str(found)
