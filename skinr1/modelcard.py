"""A model card in Hugging Face's form, filled from the folders of a run: nothing in it is typed by hand.

Front matter: as the Hugging Face hub documents model cards (``model-index`` after Papers with Code's schema).
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from skinr1 import __version__
from skinr1.cases import read_cases
from skinr1.licences import TERMS, commercial
from skinr1.metrics.catalogue import HEADLINE
from skinr1.page.content import Table, cell, metric_name
from skinr1.page.markdown import plain, table_lines
from skinr1.stage import canonical_json, read_manifest
from skinr1.taxonomy import Taxonomy

# Hugging Face's names for what these are closest to; others keep our names.
TYPES = {"top1": "accuracy", "malignancy_sensitivity": "recall"}


@dataclass(frozen=True)
class Splits:
    """Who is in which split: a hash of all of it, counts, and the patients that are in more than one."""

    sha256: str
    cases: Mapping[str, int]
    patients: Mapping[str, int]
    straddling: int

    @classmethod
    def of(cls, folder: Path) -> "Splits":
        """Reads a cases folder. The hash covers case id, patient and split of every case, in order of id."""
        rows, groups = [], dict[str, set[str]]()
        for case in read_cases(folder):
            split = case.split or "none"
            rows.append((case.case_id, case.group, split))
            groups.setdefault(case.group, set()).add(split)
        digest = hashlib.sha256("".join(f"{canonical_json(row)}\n" for row in sorted(rows)).encode()).hexdigest()
        return cls(
            sha256=digest,
            cases=dict(sorted(Counter(split for *_, split in rows).items())),
            patients=dict(sorted(Counter(split for splits in groups.values() for split in splits).items())),
            straddling=sum(len(splits) > 1 for splits in groups.values()),
        )


@dataclass(frozen=True)
class Subject:
    """What a card is about.

    Attributes:
        stages: name -> manifest, of all stages that made the model, in order.
        controls: content of ``controls.json``; None where no control was run.
        licence: of the weights, as their owner states it; empty for what the data allow.
    """

    name: str
    base_model: str
    adapter: bool
    stages: Mapping[str, Mapping[str, Any]]
    scores: Mapping[str, Any]
    prediction: Mapping[str, Any]
    splits: Splits
    taxonomy: Taxonomy
    controls: Mapping[str, Any] | None = None
    licence: str = ""
    notes: Sequence[str] = field(default=())

    @property
    def licences(self) -> dict[str, int]:
        """Licence -> cases, the largest count of any stage: stages build on each other and are not added up."""
        found = Counter[str]()
        for manifest in self.stages.values():
            found |= Counter(manifest.get("licences") or {})
        return dict(sorted(found.items()))


def read_stages(folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """The manifests of finished stages, by folder name. Raises UserError where one has none."""
    return {folder.name: read_manifest(folder) for folder in folders}


def obligations(licences: Mapping[str, int]) -> list[str]:
    """What the licences of the training data ask of whoever passes the weights on, in sentences."""
    if not licences:
        return ["No stage recorded a licence: nobody can say what these weights may be used for."]
    barred = [name for name in licences if commercial(name) is False]
    open_ = [name for name in licences if commercial(name) is None]
    alike = [name for name in licences if name in TERMS and TERMS[name].share_alike]
    named = [name for name in licences if name not in TERMS or TERMS[name].attribution]
    told = []
    if barred:
        told.append(f"Non-commercial use only: {', '.join(barred)}.")
    if open_:
        told.append(f"Commercial use not established, which counts as no: {', '.join(open_)}.")
    if not barred and not open_:
        told.append("No licence of the training data forbids commercial use.")
    if alike:
        told.append(f"What is made from it must carry the same licence: {', '.join(alike)}.")
    if named:
        told.append(f"Authors must be named: {', '.join(named)}.")
    return told


def front_matter(subject: Subject) -> dict[str, Any]:
    """The YAML head of the card."""
    dataset = {
        "type": "skinr1-cases",
        "name": f"{subject.prediction['config'].get('split', 'unknown')} split {subject.splits.sha256[:12]}",
        "split": str(subject.prediction["config"].get("split", "unknown")),
        "revision": subject.splits.sha256,
    }
    results = [
        {"type": TYPES.get(name, name), "name": f"{metric_name(name)} {cell(found, '.3f')}", "value": found["value"]}
        for name, found in ((name, subject.scores["metrics"][name]) for name in HEADLINE)
        if found["value"] is not None
    ]
    head: dict[str, Any] = {
        "language": "en",
        "license": "other",
        "license_name": subject.licence or "see-the-card",
        "license_link": "README.md",
        "pipeline_tag": "image-text-to-text",
        "library_name": "peft" if subject.adapter else "transformers",
        "tags": ["dermatology", "medical", "research-only", "skinr1"],
        "model-index": [
            {
                "name": subject.name,
                "results": [
                    {
                        "task": {"type": "image-text-to-text", "name": "structured skin report"},
                        "dataset": dataset,
                        "metrics": results,
                    }
                ],
            }
        ],
    }
    return head | ({"base_model": subject.base_model} if subject.base_model else {})


def model_card(subject: Subject) -> str:
    """The whole card: front matter and Markdown."""
    head = yaml.safe_dump(front_matter(subject), sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n\n" + "\n".join(_lines(subject)) + "\n"


def _lines(subject: Subject) -> Iterator[str]:
    yield from (f"# {plain(subject.name)}", "")
    yield "**Research software, not a medical device.** Nothing that this model writes may guide the care of a patient."
    for note in subject.notes:
        yield from ("", f"**{plain(note)}.**")
    yield from ("", "## What it is", "")
    base = f"of `{subject.base_model}`" if subject.base_model else "(no base model is recorded)"
    kind = "A LoRA adapter" if subject.adapter else "Full weights"
    yield f"{kind} {base}. It looks at skin pictures, reasons in `<think>` and writes one JSON report, whose"
    yield f"diagnoses are paths of the taxonomy {plain(subject.taxonomy.version)} (`{subject.taxonomy.hash}`)."
    yield from _data(subject)
    yield from _results(subject)
    yield from _fairness(subject)
    yield from _controls(subject)
    yield from _limits(subject)
    yield from (
        "",
        "## Made by",
        "",
        f"skinr1 {__version__}; the inputs of every stage, by hash, are in its `manifest.json`:",
        "",
    )
    rows = tuple(
        (name, str(made["stage"]), str(made["skinr1"]), str(made.get("seed")), str(made.get("taxonomy")))
        for name, made in subject.stages.items()
    )
    yield from table_lines(Table("Stages", ("folder", "stage", "skinr1", "seed", "taxonomy"), rows))


def _data(subject: Subject) -> Iterator[str]:
    splits = subject.splits
    yield from ("", "## Data", "")
    yield f"Splits: SHA-256 of case, patient and split `{splits.sha256}`."
    leak = f"**Patients in more than one split: {splits.straddling}. The results below are not to be trusted.**"
    yield leak if splits.straddling else "No patient is in more than one split."
    rows = tuple((name, str(count), str(splits.patients[name])) for name, count in splits.cases.items())
    yield from table_lines(Table("Cases and patients", ("split", "cases", "patients"), rows))
    yield from ("", "### Licences of the training data", "")
    yield from (f"- {plain(line)}" for line in obligations(subject.licences))
    terms = tuple((name, TERMS[name].name if name in TERMS else "–", str(n)) for name, n in subject.licences.items())
    yield from table_lines(Table("Roll-up over the stages", ("licence", "terms", "cases"), terms))
    yield from ("", "This is no legal advice.")


def _results(subject: Subject) -> Iterator[str]:
    scores = subject.scores
    yield from ("", "## Results", "")
    yield f"{scores['n']} cases of {scores['patients']} patients. 95 % intervals resample patients "
    yield f"({scores['resamples']} times); an invalid answer counts as wrong everywhere."
    constant = scores["majority_class"]["metrics"]
    rows = tuple(
        (metric_name(name), str(found["n"]), cell(found, ".3f"), cell(constant.get(name), ".3f"))
        for name, found in scores["metrics"].items()
    )
    yield from table_lines(Table("All metrics", ("metric", "n", "value", "always the most frequent class"), rows))


def _fairness(subject: Subject) -> Iterator[str]:
    yield from ("", "## Differences between groups", "")
    groups = subject.scores["by_tone"]
    if len([name for name in groups if name != "unknown"]) < 2:
        yield "Skin tone: not computable, fewer than two groups of known skin tone."
    rows = tuple(
        (name, str(group["n"]), cell(group["top1"], ".3f"), cell(group["hierarchical_f"], ".3f"))
        for name, group in groups.items()
    )
    tones = Table("By skin tone, not adjusted for diagnoses", ("tone", "n", "top-1", "hierarchical F"), rows)
    yield from table_lines(tones)
    gaps = tuple(
        (part["attribute"], str(len(part["groups"])), *_gap(part, "top1"), *_gap(part, "malignancy_sensitivity"))
        for part in subject.scores.get("fairness") or ()
    )
    if gaps:
        head = ("by", "groups", "gap in top-1", "lowest", "gap in malignancy sensitivity", "lowest")
        yield from table_lines(Table("Largest minus smallest group that counts", head, gaps))


def _gap(part: Mapping[str, Any], metric: str) -> tuple[str, str]:
    gap, worst = part["gaps"].get(metric), part["worst"].get(metric)
    if gap is None or gap["value"] is None:
        return "not computable", "–"
    return cell(gap, ".3f"), str(worst["group"]) if worst else "–"


def _controls(subject: Subject) -> Iterator[str]:
    yield from ("", "## Does it use the picture?", "")
    if subject.controls is None:
        yield "**Not known**: no negative control was run."
    else:
        sentences = subject.controls.get("sentences") or [subject.controls.get("words", "")]
        yield from (f"- {plain(sentence)}" for sentence in sentences)


def _limits(subject: Subject) -> Iterator[str]:
    yield from ("", "## Limits", "")
    invalid = sum(subject.scores["invalid"].values())
    yield f"- {invalid} of {subject.scores['n']} answers were outside the report contract."
    yield f"- {subject.scores['inconsistent']} valid reports contradict themselves."
    yield "- Stated probabilities are what the model writes; they are calibrated only where the results say so."
    yield "- Signs are a closed vocabulary and diagnoses a closed tree. What lies outside cannot be said."
    yield "- Groups that are small or absent above have not been tested. No shown difference is no proof of fairness."
    yield "- Results hold for cases like those of the split above, and for no clinic."
