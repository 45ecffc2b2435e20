"""The three parts of a study of one model: linear probe, concept directions, heat maps; each as a JSON object."""

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skinr1 import prompts
from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.external import answer_text
from skinr1.interpret import occlusion, tcav
from skinr1.interpret.probe import probe
from skinr1.interpret.rollout import rollout_map
from skinr1.interpret.scorer import Phrase, Scorer
from skinr1.interpret.setting import Setting, one_node, read_setting
from skinr1.metrics import Outcome, columns_of, estimates, paired_differences
from skinr1.metrics.catalogue import HEADLINE, Seen, catalogue
from skinr1.metrics.outcomes import outcomes
from skinr1.metrics.tree import Tree
from skinr1.page.gallery import choose
from skinr1.predictions import PREDICTIONS, prediction_row
from skinr1.progress import Watch
from skinr1.serving.client import Completion
from skinr1.stage import write_atomic, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy

__all__ = ["CONCEPTS", "HEAT", "PROBE", "Setting", "Study", "read_setting"]

PROBE, CONCEPTS, HEAT = "probe.json", "tcav.json", "heat.json"
CLASSES = 3
HARDLY, FAITHFUL, UNFAITHFUL = "hardly depends on the picture", "faithful", "not faithful, do not read it"


class Study:
    """One model on one setting; activations of a case are computed once."""

    def __init__(self, scorer: Scorer, setting: Setting, taxonomy: Taxonomy, layer: int, seed: int, output: Path):
        self.scorer, self.setting, self.taxonomy = scorer, setting, taxonomy
        self.layer, self.seed, self.output = layer, seed, output
        self._known: dict[str, NDArray[np.float64]] = {}

    def activations(self, cases: Sequence[Case], watch: Watch, name: str) -> NDArray[np.float64]:
        """(cases, width of the layer) mean activations; ``name`` is what the progress bar says."""
        new = [case for case in cases if case.case_id not in self._known]
        for case in watch(new, description=name) if new else ():
            self._known[case.case_id] = self.scorer.embedding(self.setting.pictures(case), self.layer)
        return np.stack([self._known[case.case_id] for case in cases])

    def probe(self, watch: Watch) -> dict[str, Any]:
        """Trains on the pool, answers the answered cases, and is scored like any other model.

        Writes ``probe/predictions.jsonl``, so that eval/score.py and eval/compare.py take it as one.
        """
        train = one_node(self.setting.pool)
        if not train:
            raise UserError("no labelled case to train a probe on", str(self.setting.folder), "Leave out the probe.")
        tested = [case for case, _ in self.setting.answered]
        seen = self.activations(train, watch, "probe: activations of the pool")
        held = self.activations(tested, watch, "probe: activations of answered cases")
        found = probe(seen, [c.diagnoses[0] for c in train], [c.group for c in train], held, self.seed)
        rows = []
        for case, chances in zip(tested, found.probabilities, strict=True):
            ranked = [(found.classes[at], float(chances[at])) for at in np.argsort(-chances, kind="stable")[:5]]
            text = answer_text(ranked, self.taxonomy, "Read from the vision tower by a linear classifier.")
            rows.append(prediction_row(case, Completion(text, "stop"), self.taxonomy))
        folder = self.output / "probe"
        write_jsonl(folder / PREDICTIONS, rows)
        notes = ["a linear probe of the vision tower, not the model's own answers"]
        write_manifest(
            folder, "probe", config={"layer": self.layer}, seed=self.seed, taxonomy_hash=self.taxonomy.hash, notes=notes
        )
        return self._beside(outcomes(rows, self.taxonomy), len(train), found.classes, found.strength)

    def _beside(self, probed: Sequence[Outcome], trained_on: int, classes: Sequence[str], strength: float) -> dict:
        tree = Tree(self.taxonomy)
        metrics = [metric for metric in catalogue(tree) if metric.name in (*HEADLINE, "level_2_accuracy")]
        own = [outcome for _, outcome in self.setting.answered]
        sides = {
            "probe": Seen(columns_of(list(probed), self.taxonomy), tree),
            "model": Seen(columns_of(own, self.taxonomy), tree),
        }
        numbers = {
            side: {name: asdict(e) for name, e in estimates(metrics, run, seed=self.seed).items()}
            for side, run in sides.items()
        }
        differences = paired_differences(metrics, sides["model"], sides["probe"], seed=self.seed)
        top = differences["top1"]
        if top.low is None or top.high is None:
            words = "too few patients to compare the probe with the model"
        elif top.high < 0:
            words = "the vision tower holds more than the model says: a linear probe names the diagnosis more often"
        elif top.low > 0:
            words = "the model names the diagnosis more often than a linear probe of its vision tower"
        else:
            words = "no difference shown between the model and a linear probe of its vision tower"
        return {
            "layer": self.layer,
            "trained_on": trained_on,
            "classes": len(classes),
            "strength": strength,
            **numbers,
            "model_minus_probe": {name: asdict(estimate) for name, estimate in differences.items()},
            "words": words,
        }

    def concepts(
        self, names: Sequence[str], classes: Sequence[str], size: int, prefix: str, rounds: int, watch: Watch
    ) -> dict[str, Any]:
        """TCAV of every sign for every class; directions come from the pool, gradients from answered cases of all
        diagnoses in turn."""
        cases = [case for case in self.setting.pool if case.findings]
        groups = np.array([case.group for case in cases], dtype=str)
        present = {name: np.array([name in case.present() for case in cases]) for name in self._names(names, cases)}
        flags = {name: found for name, found in present.items() if tcav.enough(found, groups)}
        few = {name: int(found.sum()) for name, found in present.items() if name not in flags}
        if not flags:
            where = f"{len(cases)} case(s) with annotated signs outside the test split"
            raise UserError("no sign has enough patients", where, f"Needs {tcav.FEWEST} with and without it.")
        pool = tcav.Pool(self.activations(cases, watch, "concepts: activations of the pool"), groups)
        learned = tcav.learn(flags, pool, rounds, self.seed)
        usual = int(np.median([found.sum() for found in flags.values()]))
        chance = tcav.dealt_out(usual, pool, rounds, self.seed)
        chosen = list(classes) or self._frequent()
        by_id = {case.case_id: case for case, _ in self.setting.answered}
        shown = [by_id[case_id] for case_id in choose([outcome for _, outcome in self.setting.answered], size)]
        tests, made = len(flags) * len(chosen), list[dict[str, Any]]()
        for node in chosen:
            name = self.taxonomy.node(node).name
            phrase = Phrase(f"{prefix}{name}", len(prefix), len(prefix) + len(name))
            slopes = [
                self.scorer.gradient(prompts.question(case), self.setting.pictures(case), phrase, self.layer)[1]
                for case in watch(shown, description=f"concepts: {name}")
            ]
            gradients = np.stack(slopes)
            rows = tcav.concept_scores(learned, gradients, tests)
            alarms = tcav.false_alarms(chance, gradients, tests)
            signs = [asdict(row) | {"verdict": row.verdict} for row in rows]
            made.append({"node": node, "name": name, "pictures": len(shown), "concepts": signs, "false_alarms": alarms})
        verdicts = Counter(row["verdict"] for part in made for row in part["concepts"])
        return {
            "layer": self.layer,
            "rounds": rounds,
            "tests": tests,
            "pool": len(cases),
            "prefix": prefix,
            "classes": made,
            "too_few": few,
            "words": ", ".join(f"{verdict} {count}" for verdict, count in sorted(verdicts.items()))
            + f" of {tests} pairs of sign and diagnosis",
        }

    def _names(self, names: Sequence[str], cases: Sequence[Case]) -> list[str]:
        known = sorted({name for case in cases for name in case.present()})
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise UserError("no case outside the test split has this sign", unknown[0], "Leave it out of --concepts.")
        return list(names) or known

    def _frequent(self) -> list[str]:
        counts = Counter(node for case, _ in self.setting.answered for node in case.diagnoses)
        return sorted(counts, key=lambda node: (-counts[node], node))[:CLASSES]

    def heat(
        self, words: Sequence[str], case_ids: Sequence[str], count: int, window: int, watch: Watch
    ) -> dict[str, Any]:
        """A map of every chosen word on every chosen case whose answer says it."""
        by_id = {case.case_id: (case, outcome) for case, outcome in self.setting.answered}
        unknown = sorted(set(case_ids) - by_id.keys())
        if unknown:
            raise UserError("case was not answered", unknown[0], "Choose among the predictions.")
        valid = [outcome for _, outcome in self.setting.answered if outcome.answer]
        chosen = list(case_ids) or choose(valid, count)
        rows, unsaid = [], []
        for case_id in watch(chosen, description="heat: cases"):
            case, outcome = by_id[case_id]
            report = outcome.answer.report if outcome.answer else None
            for word in words or (report.findings[:1] if report else ()):
                if word.lower() in outcome.row.text.lower():
                    rows.append(self._map(case, outcome, word, window))
                else:
                    unsaid.append({"case_id": case_id, "word": word})
        told = "No map was made"
        if rows:
            told = f"Of {len(rows)} map{'s' if len(rows) != 1 else ''}, {_counted(rows)}"
            told += f"; of as many by attention rollout, {_counted([row['rollout'] for row in rows])}"
        return {"window": window, "rows": rows, "not_said": unsaid, "words": told}

    def _map(self, case: Case, outcome: Outcome, word: str, window: int) -> dict[str, Any]:
        """The map of the first mention, on the first picture; the other pictures stay as they are."""
        first, *others = self.setting.pictures(case)
        rows, columns, side = self.scorer.grid(first)
        seen = first.resize((columns * side, rows * side), Image.Resampling.LANCZOS)
        phrase = Phrase.first(outcome.row.text, word)

        def score(masks: Sequence[occlusion.Mask]) -> NDArray[np.float64]:
            variants = [[occlusion.hide(seen, mask, side), *others] for mask in masks]
            return self.scorer.log_probabilities(prompts.question(case), variants, phrase)

        base, heat = occlusion.heat_map(score, (rows, columns), window)
        random = occlusion.by_chance(score, (rows, columns), seed=self.seed)
        attended = rollout_map(self.scorer, prompts.question(case), [seen, *others], phrase)
        hardly = bool(heat.max() < occlusion.LEAST)
        name = hashlib.sha256(f"{case.case_id}\0{word}".encode()).hexdigest()[:16]
        return {
            "case_id": case.case_id,
            "word": word,
            "log_probability": round(base, 4),
            **self._tested(score, heat, random, hardly, overlay(seen, heat), f"maps/{name}.png"),
            "rollout": self._tested(
                score, attended, random, hardly, overlay(seen, attended, least=0), f"maps/{name}-rollout.png"
            ),
        }

    def _tested(
        self,
        score: occlusion.Score,
        heat: NDArray[np.float64],
        random: occlusion.Curves,
        hardly: bool,
        picture: bytes,
        file: str,
    ) -> dict[str, Any]:
        """A map with its test, and its picture written. ``hardly``: no part of the picture moves the word."""
        test = occlusion.faithfulness(score, heat, random)
        write_atomic(self.output / file, picture)
        curves = {key: np.round(value, 4).tolist() for key, value in asdict(test).items() if not key.startswith("p_")}
        return {
            "heat": np.round(heat, 4).tolist(),
            "verdict": HARDLY if hardly else FAITHFUL if test.faithful else UNFAITHFUL,
            "p_deletion": test.p_deletion,
            "p_insertion": test.p_insertion,
            **curves,
            "picture": file,
        }


def _counted(rows: Sequence[Mapping[str, Any]]) -> str:
    verdicts = Counter(row["verdict"] for row in rows)
    return ", ".join(f"{verdict}: {count}" for verdict, count in sorted(verdicts.items()))


def overlay(picture: Image.Image, heat: NDArray[np.float64], least: float = occlusion.LEAST) -> bytes:
    """PNG: the picture, and beside it in grey, brighter where the map is hotter.

    Negative heat is left out; full brightness is the hottest cell, and no less than ``least``.

    The colours (inferno) rise in brightness too, so that they read the same to colour-blind eyes and in print.
    """
    from matplotlib import colormaps

    share = np.clip(heat, 0, None) / max(heat.max(), least)
    smooth = Image.fromarray(share.astype(np.float32)).resize(picture.size, Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(smooth), 0, 1)
    grey = np.asarray(picture.convert("L"), dtype=np.float64)[..., None] * 0.8
    colour = colormaps["inferno"](0.25 + 0.75 * strength)[..., :3] * 255
    weight = 0.8 * strength[..., None]
    marked = np.round(grey * (1 - weight) + colour * weight).astype(np.uint8)
    gap = np.full((picture.height, max(2, picture.width // 28), 3), 255, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate([np.asarray(picture), gap, marked], axis=1)).save(buffer, "PNG")
    return buffer.getvalue()
