"""Sections about whether and where the model looks: negative controls, concept directions, heat maps."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from skinr1.page.content import Picture, Plot, Section, Table, cell, estimate_table, metric_name
from skinr1.page.pictures import data_address, find
from skinr1.page.plots import Line, bars, lines

VERDICTS = {
    "raises": "more probable with it",
    "lowers": "less probable with it",
    "not shown": "no effect shown",
    "no direction": "not told apart by the vision tower",
}


def controls(found: Mapping[str, Any] | None) -> Section:
    """What is left of the score when the picture is taken away or exchanged; from ``controls.json``."""
    section = Section("controls", "Does it use the picture?")
    if not found or not found.get("rows"):
        words = "No negative control was run: eval/controls.py answers whether the model uses the picture."
        return Section(section.id, section.title, absent=words)
    named = {name: None for row in found["rows"] for name in row if _estimated(row[name])}
    metrics = list(named)
    rows = [str(row["name"]).replace("_", " ") for row in found["rows"]]
    series = {metric_name(name): [row.get(name) for row in found["rows"]] for name in metrics}
    limits = (
        (0.0, 1.0)
        if all(0 <= e["value"] <= 1 for es in series.values() for e in es if e and e["value"] is not None)
        else None
    )
    plot = bars("controls", "Negative controls", "control", rows, series, "value", limits=limits)
    sentences = found.get("sentences") or ([str(found["words"])] if found.get("words") else [])
    tables = (
        *_differences(found["rows"], metrics),
        *_order(found.get("options")),
        *_centres(found.get("centres") or ()),
    )
    more = (Section("controls-numbers", "The model against each control", tables=tables),) if tables else ()
    text, points = tuple(sentences[:1]), tuple(sentences[1:])
    return Section(section.id, section.title, text=text, points=points, plots=(plot,), parts=more)


def _differences(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Iterator[Table]:
    """The model minus each control that is paired with it."""
    paired = [row for row in rows if "model_minus" in row]
    if paired:
        series = {metric_name(name): [row["model_minus"].get(name) for row in paired] for name in metrics}
        names = [str(row["name"]) for row in paired]
        yield estimate_table("Model minus control, on the same cases", "control", names, series, form="+.2f")


def _order(found: Mapping[str, Any] | None) -> Iterator[Table]:
    """Choice questions, by the place of an option in the list."""
    if found:
        places = range(1, found["size"] + 1)
        series = {
            "an option there is named": [found[f"named_in_place_{at}"] for at in places],
            "right when the true one is there": [found[f"right_in_place_{at}"] for at in places],
        }
        caption = f"Choice questions by place in the list, {found['cases']} cases, every order of {found['size']}"
        yield estimate_table(caption, "place", [str(at) for at in places], series)


def _centres(found: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """What the vision tower knows of sources against diagnosis groups."""
    rows = [row for row in found if "why" not in row]
    if rows:
        columns = {
            "robustness index": "robustness_index",
            "by chance": "index_by_chance",
            "kappa, diagnosis group": "kappa_of_diagnosis",
            "kappa, source": "kappa_of_centre",
        }
        series = {heading: [row[name] for row in rows] for heading, name in columns.items()}
        names = [f"{row['attribute']} ({', '.join(row['values'])})" for row in rows]
        yield estimate_table("The vision tower: diagnosis group against source", "source", names, series)


def _estimated(value: Any) -> bool:
    return isinstance(value, Mapping) and "value" in value


def interpretation(folders: Mapping[str, Mapping[str, Any]], places: Mapping[str, Path]) -> Section:
    """Probe, concept directions and heat maps of every model that ``skinr1 interpret`` was run on.

    Args:
        folders: model -> ``probe``, ``tcav`` and ``heat`` as far as they exist.
        places: model -> the folder, where the maps lie.
    """
    title = "What it looks at"
    if not folders:
        return Section("interpretation", title, absent="skinr1 interpret was not run on any of these models.")
    parts = []
    for name, found in folders.items():
        parts += [_probe(name, found["probe"])] if "probe" in found else []
        parts += [_concepts(name, found["tcav"])] if "tcav" in found else []
        parts += [_heat(name, found["heat"], places[name])] if "heat" in found else []
    text = (
        "These show what the score of a word depends on in this model. They do not show that the reasoning is "
        "right, nor what causes a disease.",
    )
    return Section("interpretation", title, text=text, parts=tuple(parts))


def _probe(name: str, found: Mapping[str, Any]) -> Section:
    metrics = list(found["model"])
    rows = [metric_name(metric) for metric in metrics]
    series = {
        "linear probe": [found["probe"].get(metric) for metric in metrics],
        name: [found["model"][metric] for metric in metrics],
    }
    plot = bars(f"probe-{name}", f"Linear probe of the vision tower beside {name}", "metric", rows, series, "value")
    text = (
        f"A linear classifier on block {found['layer']} of the vision tower, trained on {found['trained_on']} cases of "
        f"other patients: {found['words']}.",
    )
    return Section(f"probe-part-{name}", f"{name}: linear probe", text=text, plots=(plot,))


def _concepts(name: str, found: Mapping[str, Any]) -> Section:
    plots = [_concept_plot(name, number, part) for number, part in enumerate(found["classes"])]
    few = ", ".join(f"{sign} {count}" for sign, count in sorted(found["too_few"].items()))
    text = [
        f"TCAV at block {found['layer']}: the share of pictures, of all diagnoses, on which more of a sign makes the "
        f"name of the diagnosis more probable; bars span {found['rounds']} random sets. Dashed: 0.5, no preference. "
        f"Bonferroni over {found['tests']} comparisons.",
    ]
    alarms = [part["false_alarms"] for part in found["classes"]]
    text.append(
        f"Signs dealt out by chance were called a finding {sum(false for false, _ in alarms)} times of "
        f"{sum(n for _, n in alarms)}."
    )
    text += [f"Too few cases to test: {few}."] if few else []
    return Section(
        f"tcav-{name}", f"{name}: which signs its diagnoses rest on", text=tuple(text), plots=tuple(plots), wide=True
    )


def _concept_plot(name: str, number: int, part: Mapping[str, Any]) -> Plot:
    signs = sorted(part["concepts"], key=lambda row: -row["score"][0])
    drawn = [row for row in signs if row["verdict"] != "no direction"]
    rows = [f"{row['name']}{' (not shown)' if row['verdict'] == 'not shown' else ''}" for row in drawn]
    scores = [_triple(row["score"], row["examples"]) for row in drawn]
    title = f"{part['name']}, {part['pictures']} pictures"
    plot = bars(f"tcav-{name}-{number}", title, "sign", rows, {"TCAV": scores}, "TCAV score", mark=0.5)
    table = Table(
        f"{title}: the numbers",
        ("sign", "cases with it", "TCAV", "random", "p, adjusted", "cosine", "p of the cosine", "AUROC", "in words"),
        tuple(
            (
                row["name"],
                str(row["examples"]),
                cell(_triple(row["score"])),
                f"{row['control']:.2f}",
                f"{row['p_adjusted']:.2g}",
                cell(_triple(row["alignment"]), ".3f"),
                f"{row['p_alignment']:.2g}",
                cell(_triple(row["auroc"])),
                VERDICTS[row["verdict"]],
            )
            for row in signs
        ),
        folded=True,
    )
    return Plot(plot.title, plot.svg, _told(signs), table)


def _told(signs: Sequence[Mapping[str, Any]]) -> str:
    """Signs with an effect by name, the others by number."""
    told = []
    for verdict, words in VERDICTS.items():
        names = [row["name"] for row in signs if row["verdict"] == verdict]
        if names:
            listed = (
                ", ".join(names) if verdict in ("raises", "lowers") else f"{len(names)} sign{'s'[: len(names) > 1]}"
            )
            told.append(f"{listed}: {words}")
    return f"{'; '.join(told)}."


def _triple(numbers: Sequence[float], n: int | None = None) -> dict[str, Any]:
    return {"value": numbers[0], "low": numbers[1], "high": numbers[2], "n": n}


def _heat(name: str, found: Mapping[str, Any], folder: Path) -> Section:
    pictures = []
    for row in found["rows"]:
        hottest = f"hottest cell costs {max(map(max, row['heat'])):.2f} nats"
        pictures.append(_map(row, f"{row['case_id']}, “{row['word']}”", hottest, folder))
        if "rollout" in row:
            most = f"the brightest part has {max(map(max, row['rollout']['heat'])):.1f} times an even share"
            pictures.append(_map(row["rollout"], f"The same by attention rollout, “{row['word']}”", most, folder))
    moved = [row for row in found["rows"] if not row["verdict"].startswith("hardly")]
    plots = [_curves(name, kind, moved) for kind in ("deletion", "insertion") if moved]
    unsaid = [f"{row['case_id']} does not say “{row['word']}”." for row in found["not_said"]]
    text = (
        "The picture, and beside it in grey with the parts that the word depends on: bright means that hiding it "
        f"costs the word probability, full brightness at least 0.1 nats (10 %). {found['words']}.",
        "Attention rollout, where it is shown: bright parts are those to which the attention of the word’s tokens "
        "leads back through all layers. Where a model attends is not yet what it uses; the test tells the two apart.",
        "Faithful: hiding the bright parts first hurts more than any of 30 random orders, and showing them helps more.",
    )
    title = f"{name}: where it looks for a word"
    return Section(
        f"heat-{name}", title, text=text, points=tuple(unsaid), pictures=tuple(pictures), plots=tuple(plots), wide=True
    )


def _map(found: Mapping[str, Any], what: str, brightest: str, folder: Path) -> Picture:
    """One map with its verdict."""
    file = find(found["picture"], (folder,))
    words = (
        f"{what}: {found['verdict']} (deletion p {found['p_deletion']:.2f}, insertion p {found['p_insertion']:.2f}); "
        f"{brightest}"
    )
    return Picture(data_address(file) if file else None, words)


def _curves(name: str, kind: str, rows: Sequence[Mapping[str, Any]]) -> Plot:
    """Mean change of the word's log-probability over the maps, by share of the picture hidden or shown."""
    shares = rows[0]["shares"]
    same = [row for row in rows if row["shares"] == shares]

    def mean(key: str, maps: Sequence[Mapping[str, Any]]) -> Line:
        changes = [[value - row["log_probability"] for value in of[key]] for row, of in zip(same, maps, strict=True)]
        return Line(shares, [sum(column) / len(same) for column in zip(*changes, strict=True)])

    rolled = [row["rollout"] for row in same if "rollout" in row]
    series = {
        "hottest first": mean(kind, same),
        **({"most attended first": mean(kind, rolled)} if len(rolled) == len(same) else {}),
        "random order": mean(f"random_{kind}", same),
    }
    title = f"{kind.capitalize()}, mean of {len(same)} map{'s' if len(same) > 1 else ''}"
    done = "hidden" if kind == "deletion" else "shown"
    names = (f"share of the picture {done}", "change of log-probability, nats")
    return lines(f"{kind}-{name}", title, series, names, limits=((0, 1), None))
