"""The model asked again: as its own answers were, but about other pictures, or with another question."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from skinr1 import prompts
from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.predictions import JOURNAL, Asker, Journal, ask_all
from skinr1.serving.client import AsyncClient, Completion, Sampling
from skinr1.stage import read_manifest
from skinr1.taxonomy import Taxonomy

_SETTINGS = ("model", "structured", "max_tokens", "temperature", "ban_image_tokens", "prompt_version")


@dataclass(frozen=True)
class Asked:
    """How a model's own answers were asked for: what a control has to repeat.

    Attributes:
        model: served name.
    """

    model: str
    structured: bool
    max_tokens: int
    temperature: float
    seed: int
    ban_image_tokens: bool

    @classmethod
    def of(cls, predictions: Path) -> "Asked":
        """As the manifest of the predictions says.

        Raises:
            UserError: the answers were imported, so that nobody knows how they were asked for, or the prompt has
                changed since.
        """
        manifest = read_manifest(predictions)
        found = manifest["config"]
        if any(name not in found for name in _SETTINGS):
            raise UserError("answers were not asked for by eval/predict.py", str(predictions), "Leave out --url.")
        if "task" in found:
            raise UserError(f"answers are to the task {found['task']['name']}", str(predictions), "Give reports.")
        if found["prompt_version"] != prompts.PROMPT_VERSION:
            versions = f"{predictions}: version {found['prompt_version']}, now {prompts.PROMPT_VERSION}"
            raise UserError("answers are to an older prompt", versions, "Predict again, then run the controls.")
        return cls(seed=manifest["seed"], **{name: found[name] for name in _SETTINGS[:-1]})

    def sampling(self, banned: tuple[int, ...]) -> Sampling:
        """``banned`` are the ids of the model's image tokens; used only where the own answers were."""
        used = banned if self.ban_image_tokens else ()
        return Sampling(self.structured, self.max_tokens, self.temperature, self.seed, used)


@dataclass(frozen=True)
class Round:
    """Cases, and what is asked about each."""

    cases: Sequence[Case]
    question: Callable[[Case], str] = prompts.question

    @cached_property
    def firsts(self) -> dict[str, Case]:
        """Case id -> the first case with the same pictures and words. Without pictures many are equal; one is asked."""
        first: dict[tuple[tuple[str, ...], str], Case] = {}
        return {case.case_id: first.setdefault((case.images, self.question(case)), case) for case in self.cases}

    @property
    def requests(self) -> list[Case]:
        """One case for each different request."""
        return list({case.case_id: case for case in self.firsts.values()}.values())


@dataclass(frozen=True)
class Interview:
    """One model that is asked in several rounds.

    Attributes:
        cases_folder: image paths of cases start there.
        output: receives the journal, so that nothing is asked twice.
        workers: cases in flight.
    """

    asked: Asked
    cases_folder: Path
    output: Path
    taxonomy: Taxonomy
    workers: int

    async def ask(
        self, url: str, rounds: Mapping[str, Round], done: Callable[[str], None]
    ) -> dict[str, dict[str, Completion]]:
        """Name of a round -> case id -> answer.

        Args:
            done: called with the round's name after each request.

        Raises:
            UserError: the server does not serve the model or fails; what was answered before is kept.
        """
        journal, found = Journal(self.output / JOURNAL), {}
        async with AsyncClient(url, self.workers) as client:
            await client.check_model(self.asked.model)
            banned = await client.image_tokens(self.asked.model) if self.asked.ban_image_tokens else ()
            common = (self.cases_folder, self.asked.model, self.asked.sampling(banned), self.taxonomy)
            for name, one in rounds.items():
                asker, tell = Asker(*common, one.question), partial(_tell, done, name)
                answers = await ask_all(asker, one.requests, client, journal, self.workers, tell)
                found[name] = {case_id: answers[first.case_id] for case_id, first in one.firsts.items()}
        return found


def _tell(done: Callable[[str], None], name: str, known: bool) -> None:
    done(name)
