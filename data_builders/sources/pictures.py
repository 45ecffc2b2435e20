"""One picture of a case, made ready on disk. Kept free of heavy imports: worker processes start from it."""

from dataclasses import dataclass
from pathlib import Path

from data_builders.rendered.render import SCHEME, RenderSpec
from skinr1.errors import UserError
from skinr1.images import fit, png_bytes, prepare
from skinr1.stage import write_atomic


@dataclass(frozen=True)
class Job:
    """Make ``target`` from ``source`` (a file path or a RenderSpec URI) within a budget of visual tokens."""

    source: str
    target: str
    max_tokens: int


def make(job: Job) -> str | None:
    """Does the job unless it is done already; returns why it could not be done, or None."""
    target = Path(job.target)
    if target.is_file():
        return None
    try:
        if job.source.startswith(SCHEME):
            write_atomic(target, png_bytes(fit(RenderSpec.from_uri(job.source).image(), job.max_tokens)))
        else:
            prepare(Path(job.source), target, job.max_tokens)
    except UserError as error:
        return str(error).replace(job.source, Path(job.source).name)  # no path of this machine in a record
    return None
