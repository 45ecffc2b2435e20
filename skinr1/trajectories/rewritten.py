"""Training rows of what a model helped to write: one case, or one finished trajectory, at a time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.images import fit, load_image, png_bytes
from skinr1.stage import canonical_json
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.model import Trajectory
from skinr1.trajectories.rewording import Reworder
from skinr1.trajectories.rows import MissingImage, relative_images, sentence_rows, trajectory_row
from skinr1.trajectories.writing import Writer, counts_of


@dataclass(frozen=True)
class Made:
    """Rows, their sentences, rejections and counts of one case or trajectory."""

    case: Case
    rows: list[dict[str, Any]] = field(default_factory=list)
    sentences: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Maker:
    """Turns cases and trajectories into rows.

    Attributes:
        cases: folder that holds the cases' images.
        output: folder of the file that will name them.
        image_tokens: visual tokens of an image, see :func:`skinr1.images.fit`.
    """

    writer: Writer
    reworder: Reworder
    cases: Path
    output: Path
    image_tokens: int
    taxonomy: Taxonomy

    async def write(self, case: Case) -> Made:
        """Description and rationale of a case."""
        try:
            images = relative_images(case, self.cases, self.output)
            pictures = [await asyncio.to_thread(self._picture, name) for name in case.images]
        except MissingImage as error:
            return _rejected(case, None, str(error), [])
        written = await self.writer.write(case, pictures)
        record = list(written.record)
        rows, sentences = self._rows(written.made, case, images, record)
        rejected = [row for kind, why in written.rejected for row in _rejected(case, kind, why, record).rejected]
        return Made(case, rows, sentences, rejected, counts_of(written))

    async def word(self, draft: tuple[Case, Trajectory]) -> Made:
        """A trajectory of a case in other words."""
        case, old = draft
        try:
            images = relative_images(case, self.cases, self.output)
        except MissingImage as error:
            return _rejected(case, old.kind, str(error), [])
        new = await self.reworder.reword(old, case)
        if new.faults:
            return _rejected(case, old.kind, f"not grounded: {'; '.join(new.faults)}", [new.record])
        rows, sentences = self._rows([new.trajectory], case, images, [new.record])
        return Made(case, rows, sentences, counts=new.counts)

    def _rows(
        self, made: Sequence[Trajectory], case: Case, images: list[str], record: list[dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Training rows and, as the trajectories stage writes them, what each of their sentences is."""
        rows = [{**trajectory_row(one, case, images), "record": canonical_json(record)} for one in made]
        about = {"case_id": case.case_id, "split": case.split}
        read = [{**about, "kind": one.kind, "sentences": sentence_rows(one, self.taxonomy)} for one in made]
        return rows, read

    def _picture(self, name: str) -> bytes:
        """The pixels as a model sees them; what a file says beside them (EXIF, comments) stays behind.

        Raises:
            MissingImage: the file cannot be used.
        """
        try:
            return png_bytes(fit(load_image(self.cases / name), self.image_tokens))
        except UserError as error:
            raise MissingImage(f"{error.what}: {name}") from None


def _rejected(case: Case, kind: str | None, reason: str, record: list[dict[str, Any]]) -> Made:
    row = {"case_id": case.case_id, "reason": reason}
    row |= {} if kind is None else {"kind": kind}
    return Made(case, rejected=[{**row, "record": record} if record else row])
