"""Sections of the page, one by one: what is there is drawn with its numbers, what is missing is said."""

import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from skinr1.metrics import read_outcomes
from skinr1.page import Material, Run, render
from skinr1.page.build import sections
from skinr1.page.content import Section, cell
from skinr1.page.looking import controls, interpretation
from skinr1.page.plots import Line, bars, lines
from skinr1.page.svg import COLOURS
from skinr1.page.worst import error_in_words, levels, severity, worst
from skinr1.report import parse
from skinr1.stage import write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy
from tests.eval.score_blocks import blocks, estimate, with_ranks

NAMES = ("sft", "grpo")


@pytest.fixture
def material(scored) -> Material:
    """Two runs whose scores hold every block."""
    tree, runs = Taxonomy.load(scored / "taxonomy.yaml"), []
    for name, skill in zip(NAMES, (0.5, 0.9), strict=True):
        scores = json.loads((scored / "scores" / name / "scores.json").read_text())
        scores |= blocks(skill) | {"metrics": with_ranks(scores["metrics"])}
        runs.append(Run(name, scores, read_outcomes(scored / "predictions" / name, tree)))
    rows = [{"name": "no_image", "top1": estimate(0.2)}, {"name": "shuffled", "top1": estimate(0.1)}]
    return Material(runs, {}, (scored / "cases",), {"rows": rows, "words": "The model uses the picture."})


@pytest.fixture
def tree(scored) -> Taxonomy:
    return Taxonomy.load(scored / "taxonomy.yaml")


def walk(found: list[Section]) -> list[Section]:
    return [inner for section in found for inner in (section, *walk(list(section.parts)))]


def test_every_plot_has_words_and_a_table_of_its_numbers(material, tree) -> None:
    everything = walk(sections(material, tree))
    plots = [plot for section in everything for plot in section.plots]
    assert {plot.title for plot in plots} >= {
        "Accuracy by level of the tree", "Truth among the first k", "Reliability", "Risk and coverage", "ROC curve",
        "Top-1 by skin tone (cases)", "Negative controls", "Score by reliability",
        "Score by reliability, Plackett-Luce",
    }  # fmt: skip
    for plot in plots:
        assert plot.words and plot.table.rows and plot.svg.startswith("<svg"), plot.title
        assert all(len(row) == len(plot.table.head) for row in plot.table.rows), plot.title
    ids = [section.id for section in everything]
    assert len(set(ids)) == len(ids)


def test_what_the_blocks_say_is_in_both_forms(material, tree) -> None:
    page = render(material, tree)
    for words in (
        "calibration says nothing",
        "temperature 1.40, fitted on 60 validation cases",
        "male, small",
        "Gap in top-1: 0.20 [0.12, 0.28]; lowest: 1.",
        "Gap in top-1: not computable, fewer than two groups of 20 cases.",
        "groups count from 20 cases",
        "One group only (unknown): not computable.",
        "in sensitivity not computable",
        "With the same mix of diagnoses in every group: 1 0.61, 6 0.55; gap 0.06.",
        "no such passage: 4",
        "7-point score, agreement on what is suspicious: 0.70 [0.62, 0.78] of 12 cases.",
        "from the rankings of the readers of 20 cases",
        "80 pictures (2 could not be read)",
        "32° (12° to 48°)",
        "0.60, 0.40 (n 70)",
        "The model uses the picture.",
        "First wrong at level",
    ):
        assert words in page.html, words
        assert words in page.markdown.replace("\\", ""), words
    assert "invalid answers" in page.markdown
    tags = re.findall(r"<(script|iframe|link)\b", page.html)
    assert tags == []


def test_missing_blocks_are_said_and_never_an_error(scored, tree) -> None:
    scores = json.loads((scored / "scores" / "sft" / "scores.json").read_text())
    for name in (
        "calibration",
        "fairness",
        "operating_point",
        "uncertain",
        "morphology",
        "rationale",
        "tone_from_pixels",
    ):
        scores.pop(name, None)
    runs = [Run("sft", scores, read_outcomes(scored / "predictions" / "sft", tree))]
    found = {section.id: section for section in sections(Material(runs, {}, ()), tree)}
    assert found["confidence"].absent and found["groups"].absent and found["risk"].absent
    assert "No negative control was run" in found["controls"].absent
    assert "skinr1 interpret was not run" in found["interpretation"].absent
    assert "eval/score.py --images" in found["pixels"].absent


def test_nulls_inside_the_blocks_are_said(material, tree) -> None:
    scores = {**material.runs[0].scores, "uncertain": None, "morphology": None, "rationale": None}
    scores["calibration"] = {**scores["calibration"], "temperature": None, "conformal": None, "bins": [], "backoff": []}
    runs = [Run("sft", scores, material.runs[0].outcomes)]
    titles = [plot.title for section in walk(sections(Material(runs, {}, ()), tree)) for plot in section.plots]
    assert "Risk and coverage" in titles and "Reliability" not in titles


def test_worst_errors_begin_with_missed_malignancy(material, tree) -> None:
    outcomes = {o.case_id: o for o in material.runs[0].outcomes}
    ranked = [outcomes[case_id] for case_id in worst(list(outcomes.values()), tree, 1000)]
    keys = [severity(outcome, tree) for outcome in ranked]
    assert keys == sorted(keys, reverse=True) and keys[0][0] and not keys[-1][0]
    assert all(outcome.predicted is not None for outcome in ranked)
    for outcome in ranked:
        path = levels(outcome, tree)
        assert [level.right for level in path] == [True] * (len(path) - 1) + [False]
        assert f"First wrong at level {path[-1].number}: said {path[-1].said}" in error_in_words(outcome, tree)


def test_a_group_instead_of_its_member_is_wrong_at_the_level_not_said(run, tree) -> None:
    row = json.loads((run / "predictions/grpo/predictions.jsonl").read_text().splitlines()[0])
    text = row["text"].replace('"diagnosis": "' + row["diagnoses"][0], '"diagnosis": "neoplasm/benign', 1)
    parse(text, tree)
    folder = run / "coarse"
    write_jsonl(
        folder / "predictions.jsonl", [row | {"text": text, "diagnoses": ["neoplasm/benign/melanocytic/common_nevus"]}]
    )
    write_manifest(folder, "predict", config={})
    (outcome,) = read_outcomes(folder, tree)
    assert outcome.predicted == "neoplasm/benign"
    assert [(level.said, level.right) for level in levels(outcome, tree)][-1] == ("not said", False)


def test_interpretation_shows_verdicts_and_numbers(tmp_path) -> None:
    sign = {
        "name": "scale",
        "examples": 9,
        "auroc": [0.8, 0.6, 0.9],
        "score": [0.9, 0.7, 1.0],
        "control": 0.5,
        "p": 0.001,
        "alignment": [0.3, 0.2, 0.4],
        "p_alignment": 0.01,
    }
    signs = [
        sign | {"p_adjusted": 0.004, "verdict": "raises"},
        sign | {"name": "crust", "p_adjusted": 1, "verdict": "no direction"},
    ]
    tcav = {"layer": 1, "rounds": 30, "tests": 2, "pool": 50, "too_few": {"wheal": 1},
            "classes": [{"node": "a", "name": "psoriasis", "pictures": 7, "concepts": signs,
                         "false_alarms": [1, 20]}]}  # fmt: skip
    heat = {"rows": [{"case_id": "c1", "word": "scale", "verdict": "faithful", "p_deletion": 0.03, "p_insertion": 0.03,
                      "heat": [[0.1, 1.2]], "picture": "maps/none.png", "shares": [0, 1], "deletion": [-1, -4],
                      "random_deletion": [-1, -3],
                      "insertion": [-4, -1], "random_insertion": [-4, -1], "log_probability": -1}],
            "not_said": [{"case_id": "c2", "word": "scale"}], "words": "Of 1 map, faithful: 1"}  # fmt: skip
    row = heat["rows"][0]
    row["rollout"] = row | {"heat": [[0.5, 1.5]], "verdict": "not faithful, do not read it"}
    found = interpretation({"m": {"tcav": tcav, "heat": heat}}, {"m": tmp_path})
    concepts, maps = found.parts
    assert "called a finding 1 times of 20" in " ".join(concepts.text)
    assert concepts.plots[0].words == "scale: more probable with it; 1 sign: not told apart by the vision tower."
    assert [row[0] for row in concepts.plots[0].table.rows] == ["scale", "crust"]
    assert maps.pictures[0].address is None and "c2 does not say" in maps.points[0]
    assert (
        "not faithful, do not read it" in maps.pictures[1].words and "1.5 times an even share" in maps.pictures[1].words
    )
    assert "most attended first" in str(maps.plots[0].table)
    del row["rollout"]  # a map of an earlier version
    (_, maps) = interpretation({"m": {"tcav": tcav, "heat": heat}}, {"m": tmp_path}).parts
    assert len(maps.pictures) == 1 and "most attended first" not in str(maps.plots[0].table)


def test_controls_show_the_verdict_first_then_differences_places_and_sources() -> None:
    minus = {"top1": estimate(0.3)}
    rows = [{"name": "model", "top1": estimate(0.5)}, {"name": "no image", "top1": estimate(0.2), "model_minus": minus}]
    places = {f"{kind}_in_place_{at}": estimate(at / 10) for kind in ("named", "right") for at in (1, 2)}
    names = ("robustness_index", "index_by_chance", "kappa_of_diagnosis", "kappa_of_centre")
    source = {"attribute": "source", "values": ["here", "there"], **{name: estimate(0.4) for name in names}}
    found = {
        "rows": rows,
        "sentences": ["The model uses it.", "Not run: x."],
        "options": {"size": 2, "cases": 9, **places},
    }
    section = controls({**found, "centres": [source, {"attribute": "modality", "why": "one"}]})
    assert section.text == ("The model uses it.",) and section.points == ("Not run: x.",)
    differences, order, centres = section.parts[0].tables
    assert differences.rows == (("no image", str(estimate(0.3)["n"]), cell(estimate(0.3), "+.2f")),)
    assert [row[0] for row in order.rows] == ["1", "2"] and order.rows[1][-1].startswith("0.20")
    assert centres.rows[0][0] == "source (here, there)" and len(centres.rows) == 1


def test_a_judge_is_shown_beside_the_checker_where_one_was_asked(material, tree) -> None:
    table = {finding: {"supported": n, "no verdict": 0} for n, finding in enumerate(("grounded", "not grounded"), 5)}
    found = {"judge": "big", "model": "grpo", "votes": 3, "words": "They agree.", "confusion": table}
    page = render(replace(material, judge=found), tree)
    for text in (page.html, page.markdown):
        assert "A model judges the reasoning: grpo" in text and "They agree." in text and "not grounded" in text
    assert "A model judges" not in render(material, tree).html


def test_controls_beyond_one_have_room() -> None:
    rows = [{"name": "robustness", "index": estimate(1.7)}, {"name": "other"}]
    assert "robustness" in controls({"rows": rows, "words": ""}).plots[0].table.rows[0]
    assert controls({"rows": []}).absent


# Machado, Oliveira and Fernandes 2009: what dichromats see of linear RGB.
SEEN = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> np.ndarray:
    part = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    x, y, z = np.cbrt(np.clip(TO_XYZ @ rgb / np.array([0.9505, 1, 1.089]), 1e-3, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_a_model_looks_the_same_whatever_others_are_drawn() -> None:
    one = {"value": 0.5, "low": 0.4, "high": 0.6}
    drawn = (
        bars("b", "title", "row", ["row"], {"grpo": [one]}, "unit", looks=("base", "sft", "grpo")),
        lines("l", "title", {"grpo": Line([0, 1], [0, 1])}, ("x", "y"), looks=("base", "sft", "grpo")),
    )
    for plot in drawn:
        assert COLOURS[2] in plot.svg and COLOURS[0] not in plot.svg


@pytest.mark.parametrize("eyes", SEEN)
def test_colours_stay_apart_for_colour_blind_eyes(eyes: str) -> None:
    seen = [lab(np.clip(np.array(SEEN[eyes]) @ linear(colour), 0, 1)) for colour in COLOURS]
    apart = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a, b in itertools.combinations(range(len(COLOURS)), 2)}
    assert min(apart.values()) >= 14
    assert min(distance for (a, b), distance in apart.items() if b < 4) >= 25


def test_colours_can_be_seen_on_white_and_on_black() -> None:
    for colour in COLOURS:
        luminance = float((TO_XYZ @ linear(colour))[1])
        assert min(1.05 / (luminance + 0.05), (luminance + 0.05) / 0.0586) >= 2.99, colour
