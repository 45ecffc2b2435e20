"""A model that describes, reads, argues and rewords for tests, deterministically, in the words it is told to use."""

import base64
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from skinr1 import prompts
from skinr1.cases import Case

SIDE = 56


def paint(path: Path, colour: tuple[int, int, int]) -> None:
    """A picture of one colour, by which the model knows what to say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIDE, SIDE), colour).save(path)


def colour_of(number: int) -> tuple[int, int, int]:
    return 10 + number, 200 - number, 77


def step_of(body: Mapping[str, Any]) -> str:
    """Which of the prompts a request is."""
    system = body["messages"][0]["content"][0]["text"]
    names = {
        prompts.BLIND_SYSTEM: "describe",
        prompts.READER_SYSTEM: "read",
        prompts.RATIONALE_SYSTEM: "reason",
        prompts.REWORD_SYSTEM: "reword",
    }
    return names[system]


def text_of(body: Mapping[str, Any]) -> str:
    return body["messages"][1]["content"][-1]["text"]


def picture_of(body: Mapping[str, Any]) -> tuple[int, int, int]:
    url = body["messages"][1]["content"][0]["image_url"]["url"]
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return image.convert("RGB").getpixel((0, 0))  # type: ignore[return-value]


class Words:
    """Says of each picture what it is given; reads ``plaque`` as melanoma, anything else as common nevus.

    Args:
        seen: colour -> description.
        odd: step -> what is said there instead of sense.
    """

    def __init__(self, seen: Mapping[tuple[int, int, int], str], odd: Mapping[str, Any] | None = None):
        self.seen, self.odd = dict(seen), dict(odd or {})

    def __call__(self, body: dict[str, Any]) -> str | dict[str, Any]:
        step, text = step_of(body), text_of(body)
        if step in self.odd:
            return self.odd[step]
        if step == "describe":
            return self.seen[picture_of(body)]
        if step == "read":
            return f'{{"diagnosis": "{"melanoma" if "plaque" in text.partition("Which")[0] else "common nevus"}"}}'
        return argue(text) if step == "reason" else f"Well: {text}"


def argue(text: str) -> str:
    """The rationale that the prompt asks for: the signs that description and first passage share."""
    described = re.findall(r"[a-z ]+", text.partition("Description: ")[2].partition("\n")[0])
    diagnosis = text.partition("Diagnosis: ")[2].partition("\n")[0]
    passage, signs = re.search(rf"\[(.+?)\]: {diagnosis} shows (.+?)\.", text).groups()  # type: ignore[union-attr]
    shared = [sign for sign in signs.split(", ") if any(sign == part.strip() for part in described)]
    return f"Textbook [{passage}]: {diagnosis} shows {', '.join(shared)}. Conclusion: {diagnosis}."


def pictured(cases: list[Case], folder: Path) -> list[Case]:
    """The cases, each with a picture of its own colour in the folder."""
    found = []
    for number, case in enumerate(cases):
        name = f"images/{case.case_id}.png"
        paint(folder / name, colour_of(number))
        found.append(case.model_copy(update={"images": (name,)}))
    return found
