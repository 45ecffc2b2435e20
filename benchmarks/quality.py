"""Whom the image quality gate lets pass: photographs, spoilt copies of them, things that are no skin; one table.

    python benchmarks/quality.py --photographs ../shared/data/pad_ufes_20/images ../shared/data/isic_uda1/images

Rows of what should pass say how often it is refused; rows of what should not, how often it passes. Rendered skin is
drawn by the project's own renderer, one row a Fitzpatrick tone: a gate that refuses dark skin more often shows here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from rich.console import Console
from rich.table import Table

from data_builders.rendered import Clinic, sample_case
from skinr1 import config
from skinr1.images import load_image
from skinr1.progress import progress_bar
from skinr1.serving.quality import QualitySettings, judge, measure
from skinr1.stage import canonical_json, write_atomic

SUFFIXES = {".png", ".jpg", ".jpeg"}
SPOIL = {
    "defocused": lambda image: image.filter(ImageFilter.GaussianBlur(max(image.size) / 60)),
    "underexposed": lambda image: image.point(lambda value: value * 0.12),
    "overexposed": lambda image: image.point(lambda value: min(255, value * 2.5 + 60)),
    "thumbnail": lambda image: image.resize((20, 20)),
    "grey": lambda image: image.convert("L").convert("RGB"),
}


@dataclass
class Arguments:
    """What is measured."""

    photographs: list[Path] = field(default_factory=list, metadata={"help": "Folders of photographs of skin."})
    rendered: int = field(default=60, metadata={"help": "Rendered pictures of each tone."})
    output: Path = field(default=Path("runs/bench-quality"), metadata={"help": "Folder for quality.json."})


def rendered(tone: int, count: int) -> Iterator[Image.Image]:
    """Pictures of one tone, of random diagnoses."""
    clinic = Clinic.load()
    nodes = [disease.node for disease in clinic.diseases]
    for number in range(count):
        draw = np.random.default_rng([tone, number])
        visit = sample_case(draw, [nodes[number % len(nodes)]], clinic=clinic, tones=(tone,))
        yield visit.cases[0].spec.image()


def no_skin(count: int) -> Mapping[str, list[Image.Image]]:
    """Noise, plain colours, and a screen of text-like bars."""
    draw = np.random.default_rng(0)

    def plain() -> Image.Image:
        return Image.new("RGB", (300, 300), tuple(int(v) for v in draw.integers(0, 256, 3)))

    def bars() -> Image.Image:
        pixels = np.full((300, 300, 3), 250, np.uint8)
        for row in range(10, 290, 12):
            ends = np.cumsum(draw.integers(3, 22, 40))
            for start, end in zip(ends[::2], ends[1::2], strict=True):
                pixels[row : row + 6, start:end] = 30
        return Image.fromarray(pixels)

    def noise() -> Image.Image:
        return Image.fromarray(draw.integers(0, 256, (300, 300, 3), dtype=np.uint8))

    makers = {"noise": noise, "one plain colour": plain, "dark bars on white": bars}
    return {name: [make() for _ in range(count)] for name, make in makers.items()}


def row(name: str, images: Iterator[Image.Image] | list[Image.Image]) -> dict[str, object]:
    """Counts of one kind of picture."""
    judged = [judge(measure(image), QualitySettings()) for image in images]
    return {
        "what": name,
        "n": len(judged),
        "refused": sum(reason is not None for _, reason in judged),
        "warned": sum(bool(found) and reason is None for found, reason in judged),
    }


def photographs(folder: Path) -> list[Image.Image]:
    return [load_image(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]


def rows(args: Arguments) -> Iterator[dict[str, object]]:
    for folder in args.photographs:
        shown = photographs(folder)
        yield row(f"{folder.parent.name}, as it is", shown)
        for name, spoil in SPOIL.items():
            yield row(f"{folder.parent.name}, {name}", [spoil(image) for image in shown])
    for tone in range(1, 7):
        yield row(f"rendered, Fitzpatrick {tone}", list(rendered(tone, args.rendered)))
    for name, images in no_skin(30).items():
        yield row(name, images)


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "quality")
    table = Table("pictures", "n", "refused", "limited", title="Image quality gate")
    found = []
    with progress_bar() as progress:
        bar = progress.add_task("quality", total=len(args.photographs) * (1 + len(SPOIL)) + 9)
        for one in rows(args):
            found.append(one)
            progress.advance(bar)
            table.add_row(str(one["what"]), str(one["n"]), str(one["refused"]), str(one["warned"]))
    write_atomic(args.output / "quality.json", "".join(canonical_json(one) + "\n" for one in found))
    Console().print(table)


if __name__ == "__main__":
    config.run(main)
