"""Numbers, curves and answers -> sections -> HTML and Markdown. Model text reaches HTML through autoescape only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skinr1.page import confidence, fairness, further, groups, looking, results
from skinr1.page.content import Plot, Section
from skinr1.page.environment import environment, node_name
from skinr1.page.gallery import INVALID, NEAR, RIGHT, WRONG, Exhibit, choose, exhibits
from skinr1.page.markdown import markdown
from skinr1.page.results import Run
from skinr1.page.task import task
from skinr1.page.worst import worst
from skinr1.taxonomy import Taxonomy

LEGEND = {"right": RIGHT, "near": NEAR, "wrong": WRONG, "invalid": INVALID}


@dataclass(frozen=True)
class Material:
    """All that a page is made of.

    Attributes:
        runs: in the order of the table's rows; the worst errors shown are those of the last.
        curves: stage name -> drawings; an empty list says so in the page.
        folders: where relative image paths may lie.
        controls: content of ``controls.json`` of the last run, None where no control was run.
        judge: content of ``judge.json`` of the last run, None where no judge was asked.
        interpreted: model -> content of its ``skinr1 interpret`` folder; ``places`` has the folders.
    """

    runs: Sequence[Run]
    curves: Mapping[str, Sequence[Plot]]
    folders: tuple[Path, ...]
    controls: Mapping[str, Any] | None = None
    judge: Mapping[str, Any] | None = None
    interpreted: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    places: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """Both forms of one page, and how many pictures could not be shown in it."""

    html: str
    markdown: str
    missing: int


def render(
    material: Material, taxonomy: Taxonomy, gallery: int = 24, errors: int = 12, title: str = "skinr1: one run"
) -> Page:
    """The page.

    Args:
        gallery: cases drawn without a look at the answers.
        errors: worst errors of the last run.
    """
    runs = {run.name: run.outcomes for run in material.runs}
    last = material.runs[-1]
    shown = exhibits(runs, material.folders, taxonomy, choose(material.runs[0].outcomes, gallery))
    bad = exhibits({last.name: last.outcomes}, material.folders, taxonomy, worst(last.outcomes, taxonomy, errors))
    content = {
        "title": title,
        "runs": material.runs,
        "sections": sections(material, taxonomy),
        "errors": bad,
        "exhibits": shown,
        "legend": LEGEND,
        "rendered": sum(o.row.source.startswith("rendered") for o in material.runs[0].outcomes),
        "taxonomy": taxonomy,
    }
    html = environment(taxonomy).get_template("page.html").render(content)
    return Page(html, markdown(content), missing_pictures([*shown, *bad]))


def sections(material: Material, taxonomy: Taxonomy) -> list[Section]:
    """All sections but the galleries, in the order of reading."""

    def named(node: str) -> str:
        return node_name(node, taxonomy)

    runs = material.runs
    return [
        *task(runs),
        results.in_short(runs[-1]),
        results.results(runs, named(runs[0].scores["majority_class"]["diagnosis"])),
        results.levels(runs),
        results.differential(runs),
        confidence.risk(runs),
        confidence.confidence(runs),
        groups.tones(runs),
        groups.tone_from_pixels(runs[-1]),
        fairness.fairness(runs),
        groups.diagnoses(runs, named),
        groups.confusion(runs, named),
        looking.controls(material.controls),
        looking.interpretation(material.interpreted, material.places),
        *further.further(runs),
        *further.judge(material.judge),
        training(material.curves),
    ]


def training(curves: Mapping[str, Sequence[Plot]]) -> Section:
    """The curves of every stage."""
    parts = []
    for stage, drawings in curves.items():
        absent = "" if drawings else "No training curves: this stage has no metrics.jsonl with known numbers."
        parts.append(Section(f"training-{stage}", stage, plots=tuple(drawings), absent=absent))
    absent = "" if curves else "No training stage was given to this page."
    return Section("training", "Training", absent=absent, parts=tuple(parts))


def missing_pictures(shown: Sequence[Exhibit]) -> int:
    """Exhibits without a picture."""
    return sum(exhibit.picture is None for exhibit in shown)
