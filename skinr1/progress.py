"""The one progress bar: name, share done, count, time spent, time left; on stderr, so that stdout stays for results."""

from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Watch = Callable[..., Iterable[Any]]  # (things, description=…) -> the things, as rich's Progress.track


def progress_bar(*further: ProgressColumn) -> Progress:
    """A bar with the given columns behind the usual ones; twice a second is often enough and costs training nothing."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        *further,
        console=Console(stderr=True),
        refresh_per_second=2,
    )
