"""What the controls of one model work on, and the folder that they leave their answers in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from skinr1.cases import Case
from skinr1.controls import blind
from skinr1.controls.words import DRAWN, MAJORITY, METADATA
from skinr1.external import answer_text
from skinr1.interpret.setting import Setting, one_node
from skinr1.metrics import columns_of
from skinr1.metrics.catalogue import Seen
from skinr1.metrics.outcomes import outcomes
from skinr1.metrics.tree import Tree
from skinr1.predictions import PREDICTIONS, prediction_row
from skinr1.progress import Watch
from skinr1.serving.client import Completion
from skinr1.stage import write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy


@dataclass(frozen=True)
class Subject:
    """A model's answered cases, and training cases of other patients.

    Attributes:
        setting: as :func:`skinr1.interpret.setting.read_setting` reads it, with the whole pool.
        output: receives one folder a control, each of which eval/score.py takes as a model's predictions.
    """

    setting: Setting
    taxonomy: Taxonomy
    tree: Tree
    seed: int
    output: Path

    @cached_property
    def answered(self) -> list[Case]:
        return [case for case, _ in self.setting.answered]

    @cached_property
    def train(self) -> list[Case]:
        """Cases of the training split whose label is one diagnosis."""
        return [case for case in one_node(self.setting.pool) if case.split == "train" and not case.evaluation_only]

    @cached_property
    def own(self) -> Seen:
        """The model's own answers."""
        return Seen(columns_of([outcome for _, outcome in self.setting.answered], self.taxonomy), self.tree)

    def keep(
        self, name: str, answers: Mapping[str, Completion], note: str, cases: Sequence[Case] | None = None
    ) -> Seen:
        """Writes answers to the answered cases, or to those given, as predictions of a control.

        Returns:
            What the metrics see of them.
        """
        asked = self.answered if cases is None else cases
        rows = [prediction_row(case, answers[case.case_id], self.taxonomy) for case in asked]
        folder = self.output / name.replace(" ", "_")
        write_jsonl(folder / PREDICTIONS, rows)
        write_manifest(
            folder,
            "control",
            config={"control": name},
            seed=self.seed,
            counts={"cases": len(rows)},
            taxonomy_hash=self.taxonomy.hash,
            notes=[note],
        )
        return Seen(columns_of(outcomes(rows, self.taxonomy), self.taxonomy), self.tree)

    def unseeing(self, watch: Watch) -> dict[str, Seen]:
        """The controls that need neither a model nor a picture.

        Raises:
            UserError: too few training cases for a classifier.
        """
        given = (self.train, self.answered)
        makers: dict[str, Callable[[], list[blind.Ranked]]] = {
            MAJORITY: partial(blind.majority, *given),
            DRAWN: partial(blind.drawn, *given, self.seed),
            METADATA: partial(blind.metadata, *given, self.seed),
        }
        making = watch(makers.items(), description="answers without a picture")
        return {name: self._keep_ranked(name, make()) for name, make in making}

    def _keep_ranked(self, name: str, ranked: Sequence[blind.Ranked]) -> Seen:
        note = f"{name}: a negative control, not the model's own answers"
        texts = [answer_text(found, self.taxonomy, f"Negative control: {name}.") for found in ranked]
        answers = {case.case_id: Completion(text, "stop") for case, text in zip(self.answered, texts, strict=True)}
        return self.keep(name, answers, note)
