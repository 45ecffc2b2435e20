"""Rows of one case after the other: its trajectories, checked, and what was refused, and why."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from skinr1.cases import Case, Role
from skinr1.knowledge import Knowledge
from skinr1.scale import LICENCE
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.findings import Findings
from skinr1.trajectories.free_text import check_text
from skinr1.trajectories.grounding import check
from skinr1.trajectories.kinds import KINDS, UNDIAGNOSED, trajectories
from skinr1.trajectories.model import Trajectory
from skinr1.trajectories.rewriting import Rewriter, reword
from skinr1.trajectories.rows import MissingImage, relative_images, sentence_rows, trajectory_row

Row = tuple[str, dict[str, Any]]  # the stream it belongs to, and the row


def kinds_for(case: Case, kinds: Sequence[str]) -> list[str]:
    """The kinds that a case is for: none outside train and validation.

    Dense cases are for all of them, cases of captions for those without a diagnosis. A refusal is only for images that
    are annotated as beyond assessment, and then for every role.
    """
    if case.split not in ("train", "validation"):
        return []
    refusable = bool(Findings.of(case).quality)
    allowed = KINDS if case.role is Role.DENSE else UNDIAGNOSED if case.role is Role.CAPTION else ("refusal",)
    return [kind for kind in kinds if kind in allowed and (refusable or kind != "refusal")]


@dataclass
class Maker:
    """Makes the rows of cases and counts.

    Attributes:
        cases: what image paths are relative to; ``output``: what they shall be relative to.
        per_case: trajectories of one case at most; None for all.
    """

    knowledge: Knowledge
    taxonomy: Taxonomy
    rewriter: Rewriter
    cases: Path
    output: Path
    kinds: Sequence[str]
    per_case: int | None = None
    seed: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def rows(self, case: Case) -> Iterator[Row]:
        """Rows of the streams ``train``, ``validation``, ``sentences`` and ``rejected``."""
        kinds = kinds_for(case, self.kinds)
        if not kinds:
            return
        self.counts[f"{LICENCE}{case.licence}"] += 1
        try:
            images = relative_images(case, self.cases, self.output)
        except MissingImage as error:
            yield self._rejected({"case_id": case.case_id, "reason": str(error)})
            return
        made, refused = trajectories(case, self.knowledge, self.taxonomy, kinds)
        for refusal in refused:
            yield self._rejected(asdict(refusal))
        for trajectory in self._chosen(made):
            worded = reword(trajectory, self.rewriter, case, self.knowledge, self.taxonomy)
            yield from self._checked(worded, case, images)

    def _chosen(self, made: list[Trajectory]) -> list[Trajectory]:
        """At most ``per_case`` of them; which, the hash of seed and case decides, so that kinds stay balanced."""
        if self.per_case is None or len(made) <= self.per_case:
            return made
        digest = hashlib.sha256(f"{self.seed}\t{made[0].case_id}".encode()).digest()
        start = int.from_bytes(digest[:8], "big") % len(made)
        return [*made[start:], *made[:start]][: self.per_case]

    def _checked(self, trajectory: Trajectory, case: Case, images: list[str]) -> Iterator[Row]:
        faults = check(trajectory, case, self.knowledge, self.taxonomy)
        self.counts["checked"] += 1
        if faults:
            yield self._unsupported(trajectory, case, faults)
            return
        assert case.split is not None  # only cases of train and validation come here
        yield case.split, trajectory_row(trajectory, case, images)
        read = sentence_rows(trajectory, self.taxonomy)
        yield (
            "sentences",
            {"case_id": case.case_id, "kind": trajectory.kind, "split": case.split, "sentences": read},
        )
        self.counts["grounded"] += 1
        self.counts[f"kind:{trajectory.kind}"] += 1
        for sentence in read:
            self.counts[f"sentences:{sentence['type']}"] += 1
        for step in trajectory.steps:
            if step.wording != "template":
                self.counts[f"steps:{step.wording}"] += 1

    def _unsupported(self, trajectory: Trajectory, case: Case, faults: list[str]) -> Row:
        """A trajectory is rejected whole, with the sentences that nothing supports."""
        unsupported = check_text(trajectory.text, case, self.knowledge, self.taxonomy)
        self.counts["sentences:unsupported"] += len({fault.start for fault in unsupported})
        self.counts.update(f"unsupported:{fault.reason}" for fault in unsupported)
        return self._rejected(
            {
                "case_id": case.case_id,
                "kind": trajectory.kind,
                "reason": f"not grounded: {'; '.join(faults)}",
                "sentences": [asdict(fault) for fault in unsupported],
            }
        )

    def _rejected(self, row: dict[str, Any]) -> Row:
        self.counts[f"rejected:{str(row['reason']).partition(':')[0]}"] += 1
        return "rejected", row
