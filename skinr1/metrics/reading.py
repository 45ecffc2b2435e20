"""A predictions file -> columns, line by line and on all cores: texts are parsed, turned into numbers and let go."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from skinr1.errors import UserError
from skinr1.metrics.columns import Columns, columns, joined
from skinr1.metrics.outcomes import PREDICTIONS, Outcome, outcome, prediction_of
from skinr1.metrics.tree import Tree
from skinr1.progress import progress_bar
from skinr1.stage import parse_line, read_manifest
from skinr1.taxonomy import Taxonomy

PIECE = 4_000  # rows parsed at a time
ALONE = 5 * PIECE  # rows that one process reads sooner than others start

_Lines = list[tuple[int, bytes]]
_Fault = tuple[str, str, str]


def read_columns(folder: Path, taxonomy: Taxonomy, processes: int | None = None) -> Columns:
    """The columns of a finished predictions folder.

    Args:
        processes: at most so many parse at once; default: one a core.

    Raises:
        UserError: the folder is not finished, a row is malformed, or a case is there twice.
    """
    read_manifest(folder)
    return read_file(folder / PREDICTIONS, taxonomy, processes)


def read_file(path: Path, taxonomy: Taxonomy, processes: int | None = None) -> Columns:
    """:func:`read_columns` of a file."""
    if not path.is_file():
        raise UserError("file not found", str(path), "Run eval/predict.py, or correct the path.")
    with open(path, "rb") as handle:
        rows = sum(1 for _ in handle)
    if not rows:
        raise UserError("no predictions", str(path), "Run eval/predict.py on a split that has cases.")
    workers = 1 if rows <= ALONE else min(processes or os.cpu_count() or 1, rows // PIECE)
    found: list[Columns] = []
    with progress_bar() as progress:
        bar = progress.add_task("read answers", total=rows, visible=rows > PIECE)
        for part in _parts(path, taxonomy, workers):
            if not isinstance(part, Columns):
                raise UserError(*part)
            found.append(part)
            progress.advance(bar, len(part))
    return joined(found, str(path))


def check_one_task(folders: Iterable[Path]) -> None:
    """Before numbers are compared: right answers to one question say nothing about another.

    Raises:
        UserError: a folder is not finished, or answers another task, or another version of it, than the first.
    """
    asked = [(folder, _task(folder)) for folder in folders]
    for folder, task in asked[1:]:
        if task != asked[0][1]:
            where = f"{folder} ({task}), {asked[0][0]} ({asked[0][1]})"
            raise UserError("runs answer different tasks", where, "Give runs of one task and version.")


def _task(folder: Path) -> str:
    task = read_manifest(folder)["config"].get("task")
    return f"{task['name']}, version {task['version']}" if task else "no task"


def columns_of(outcomes: list[Outcome], taxonomy: Taxonomy) -> Columns:
    """The columns of answers at hand."""
    return joined([columns(outcomes, Tree(taxonomy), taxonomy)])


def _parts(path: Path, taxonomy: Taxonomy, workers: int) -> Iterator[Columns | _Fault]:
    if workers == 1:
        _start(taxonomy)
        yield from (_part((str(path), lines)) for lines in _pieces(path))
        return
    jobs = ((str(path), lines) for lines in _pieces(path))
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (taxonomy,)) as pool:
        waiting = [pool.submit(_part, job) for job in islice(jobs, 2 * workers)]  # few, so that lines do not pile up
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(_part, job) for job in islice(jobs, 1)]


def _pieces(path: Path) -> Iterator[_Lines]:
    with open(path, "rb") as handle:
        numbered = enumerate(handle, 1)
        while lines := list(islice(numbered, PIECE)):
            yield lines


_shared: list[tuple[Taxonomy, Tree]] = []  # of this process, set once by _start


def _start(taxonomy: Taxonomy) -> None:
    _shared[:] = [(taxonomy, Tree(taxonomy))]


def _part(job: tuple[str, _Lines]) -> Columns | _Fault:
    """The columns of some lines, or what is wrong with one (an exception of ours does not travel)."""
    path, lines = job
    taxonomy, tree = _shared[0]

    def parsed() -> Iterator[Outcome]:
        for number, line in lines:
            where = f"{path}:{number}"
            yield outcome(prediction_of(parse_line(line, where), where), taxonomy)

    try:
        return columns(parsed(), tree, taxonomy)
    except UserError as error:
        return error.what, error.where, error.do
