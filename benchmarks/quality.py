"""How often the image quality gate refuses or flags what it should not, and what it should: one table.

    python benchmarks/quality.py --data ../shared/data

Good: PAD-UFES-20 (smartphone) and ISIC UDA-1 (dermoscopy), whole and by Fitzpatrick type; rendered lesions (not
clinical) by tone. Damaged: copies of every ``every``-th photograph. No skin: noise, blanks, the textbook's pages and
halftones, drawn screens with skin-coloured panels.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter
from rich.console import Console
from rich.table import Table

from data_builders.rendered import Clinic, sample_case
from skinr1 import config
from skinr1.errors import UserError
from skinr1.images import load_image
from skinr1.progress import progress_bar
from skinr1.serving.quality import assess, measure
from skinr1.stage import canonical_json, write_atomic

DAMAGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blurred, sigma 1 % of the side": lambda image: image.filter(ImageFilter.GaussianBlur(0.01 * min(image.size))),
    "blurred, sigma 2 %": lambda image: image.filter(ImageFilter.GaussianBlur(0.02 * min(image.size))),
    "blurred, sigma 4 %": lambda image: image.filter(ImageFilter.GaussianBlur(0.04 * min(image.size))),
    "a quarter of the light": lambda image: ImageEnhance.Brightness(image).enhance(0.25),
    "a tenth of the light": lambda image: ImageEnhance.Brightness(image).enhance(0.1),
    "1.5 times the light": lambda image: ImageEnhance.Brightness(image).enhance(1.5),
    "2.5 times the light": lambda image: ImageEnhance.Brightness(image).enhance(2.5),
    "without colour": lambda image: image.convert("L").convert("RGB"),
    "64 px": lambda image: image.resize((64, 64)),
}


@dataclass
class Arguments:
    """What to look at."""

    data: Path = field(
        default=Path("../shared/data"), metadata={"help": "Folder with pad_ufes_20, isic_uda1, textbook."}
    )
    every: int = field(default=4, metadata={"help": "Every how many photographs one is damaged."})
    rendered: int = field(default=60, metadata={"help": "Rendered lesions a tone."})
    seed: int = field(default=17, metadata={"help": "Seed of rendered lesions, noise and screens."})
    output: Path = field(default=Path("runs/bench-quality"), metadata={"help": "Folder for quality.json."})


@dataclass
class Tally:
    """Verdicts on one kind of picture."""

    shown: int = 0
    refused: int = 0
    flagged: int = 0
    codes: dict[str, int] = field(default_factory=dict)

    def add(self, image: Image.Image) -> None:
        found = assess(measure(image))
        self.shown += 1
        self.refused += found.refusal is not None
        self.flagged += bool(found.limitations)
        for told in [found.refusal] if found.refusal else found.limitations:
            self.codes[told.code] = self.codes.get(told.code, 0) + 1


def photographs(args: Arguments) -> Iterator[tuple[str, str, Path]]:
    """Group, Fitzpatrick type ("" unknown) and file of every real photograph."""
    with open(args.data / "pad_ufes_20" / "metadata.csv", encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            yield "PAD-UFES-20", row["fitspatrick"].removesuffix(".0"), args.data / "pad_ufes_20/images" / row["img_id"]
    for path in sorted((args.data / "isic_uda1" / "images").iterdir()):
        yield "ISIC UDA-1", "", path


def pictures(args: Arguments) -> Iterator[tuple[str, Image.Image]]:
    """Every picture with the name of its row, one at a time."""
    for number, (group, tone, path) in enumerate(photographs(args)):
        image = load_image(path)
        yield group, image
        if group == "PAD-UFES-20":
            yield f"{group}, Fitzpatrick {tone or 'unknown'}", image
        if number % args.every == 0:
            for name, damage in DAMAGES.items():
                yield name, damage(image)
    yield from rendered(args)
    yield from no_skin(args)


def rendered(args: Arguments) -> Iterator[tuple[str, Image.Image]]:
    nodes = [disease.node for disease in Clinic.load().diseases]
    for tone in range(1, 7):
        rng = np.random.default_rng([args.seed, tone])
        for number in range(args.rendered):
            visit = sample_case(rng, [nodes[number % len(nodes)]], tones=(tone,), size=224)
            yield f"rendered, tone {tone}", visit.cases[0].spec.image()


def no_skin(args: Arguments) -> Iterator[tuple[str, Image.Image]]:
    import pypdfium2

    rng = np.random.default_rng(args.seed)
    for _ in range(30):
        yield "noise", Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
        yield "one colour", Image.new("RGB", (256, 256), tuple(int(x) for x in rng.integers(0, 256, 3)))
        yield "screen", screen(rng)
    book = pypdfium2.PdfDocument(next((args.data / "textbook").glob("*.pdf")))
    for page in range(5, len(book), 8):
        yield "textbook page", book[page].render(scale=1.5).to_pil()
    for path in sorted((args.data / "textbook" / "images").iterdir()):
        yield "textbook halftone", load_image(path)


def screen(rng: np.random.Generator) -> Image.Image:
    """A drawn application window: bars, buttons and lines of text on panels, one of them of a skin's colour."""
    image = Image.new("RGB", (900, 600), tuple(int(x) for x in rng.integers(200, 256, 3)))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 900, 50), fill=tuple(int(x) for x in rng.integers(0, 256, 3)))
    draw.rectangle((30, 80, 430, 560), fill=(224, 172, 140))
    for line in range(20):
        words = " ".join("abcdefghijklmnop"[: int(n)] for n in rng.integers(2, 12, 6))
        draw.text((450, 80 + 24 * line), words, fill=(20, 20, 30))
        draw.text((40, 90 + 24 * line), words, fill=(60, 30, 20))
    return image


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "quality")
    if not (args.data / "pad_ufes_20").is_dir():
        raise UserError("no photographs here", str(args.data), "Give the folder that holds pad_ufes_20 to --data.")
    rows: dict[str, Tally] = {}
    with progress_bar() as progress:
        task = progress.add_task("quality: pictures", total=None)
        for name, image in pictures(args):
            rows.setdefault(name, Tally()).add(image)
            progress.advance(task)
    table = Table("pictures", "n", "refused", "flagged", "why", title="Image quality gate")
    for name, tally in sorted(
        rows.items(), key=lambda row: (row[0] in DAMAGES, row[0] if row[0][0].isupper() else "rendered")
    ):
        why = ", ".join(f"{code} {count}" for code, count in sorted(tally.codes.items(), key=lambda c: (-c[1], c[0])))
        shares = [f"{100 * count / tally.shown:.1f} %" for count in (tally.refused, tally.flagged)]
        table.add_row(name, str(tally.shown), *shares, why)
    Console(width=130).print(table)
    write_atomic(
        args.output / "quality.json", canonical_json({name: vars(tally) for name, tally in rows.items()}) + "\n"
    )


if __name__ == "__main__":
    config.run(main)
