"""What a build costs as it grows: seconds and memory of the cases and trajectories stages, one table.

    nice python benchmarks/scale.py --sizes 1000 100000          (1,000,000 as a third size: some minutes more)

Every case has a row of its own in a CSV. The prepared pictures are there before (links to one file): the cost of
pictures is per picture and is measured by benchmarks/hashing.py. Each build is a process of its own, whose peak memory
the system tells.
"""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

from skinr1 import config
from skinr1.knowledge import Knowledge
from skinr1.stage import file_hash, read_manifest
from skinr1.taxonomy import Taxonomy

ROWS = ("papule; brown colour; sharp border", "macule; brown colour; no scale")
HEADINGS = ("stage", "cases", "seconds", "CPU seconds", "CPU µs a case", "trajectories a CPU second", "peak GiB")
LINKS = 10_000  # names of one file: file systems have a limit


@dataclass
class Arguments:
    """How large."""

    sizes: list[int] = field(default_factory=lambda: [1000, 100_000], metadata={"help": "Cases of each build."})
    trajectories: int = field(default=100_000, metadata={"help": "Largest size of which trajectories are built too."})


def lay_out(folder: Path, count: int) -> None:
    """A CSV of cases that share one picture, and what the cases stage would have made of the pictures."""
    images = folder / "cases" / "images"
    images.mkdir(parents=True)
    Image.new("RGB", (112, 112), (200, 150, 130)).save(folder / "shared.png")
    mark = file_hash(folder / "shared.png")[:8]
    with open(folder / "cases.csv", "w", encoding="utf-8", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(("image", "label", "patient_id", "age", "findings"))
        for number in range(count):
            name = f"{number:07d}.png"
            if number % LINKS == 0:
                first = folder / name
                shutil.copyfile(folder / "shared.png", first)
            else:
                os.link(first, folder / name)
            os.link(first, images / f"{name}-{mark}.png")
            table.writerow((name, "common nevus", f"p{number // 2}", number % 90, ROWS[number % 2]))


def measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds of wall clock, seconds of processor time, and peak memory in GiB of a program."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command[0]} ended with {status}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def rate(stage: str, folder: Path, seconds: float) -> str:
    """Trajectories made and checked in a second; a stage that makes none has no such figure."""
    return f"{read_manifest(folder)['counts']['checked'] / seconds:,.0f}" if stage == "trajectories" else ""


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "scale")
    table = Table(*HEADINGS, title="build time and memory")
    for count in args.sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            lay_out(folder, count)
            Knowledge.primer(Taxonomy.load()).save(folder / "knowledge")
            cases = ["--source", "folder", "--path", str(folder / "cases.csv"), "--workers", "1"]
            commands = [["data_builders.cases", *cases, "--output", str(folder / "cases")]]
            if count <= args.trajectories:
                inputs = ["--cases", str(folder / "cases"), "--knowledge", str(folder / "knowledge")]
                commands.append(["data_builders.trajectories", *inputs, "--output", str(folder / "trajectories")])
            for command in commands:
                seconds, busy, memory = measured(command)
                stage = command[0].rpartition(".")[2]
                made = rate(stage, folder / stage, busy)
                times = f"{seconds:.1f}", f"{busy:.1f}", f"{busy / count * 1e6:.0f}"
                table.add_row(stage, f"{count:,}", *times, made, f"{memory:.2f}")
    Console().print(table)


if __name__ == "__main__":
    config.run(main)
