"""Do heat maps and concept directions find what a model was made to look at? Side by side with the untrained model.

python benchmarks/interpret.py [--family qwen3_vl] [--steps 300]

Pictures are noise with a red patch, a blue one or none, at a random place, and that alone decides the diagnosis. A bar
at the edge is there by chance and decides nothing. A tiny model of the family learns the task; then the table says, for
it and for the same model before training: how often the hottest cell lies on the patch, how often the map is faithful,
and what TCAV says of the three signs.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from skinr1 import prompts, tiny
from skinr1.interpret import occlusion, tcav
from skinr1.interpret.rollout import rollout_map
from skinr1.interpret.scorer import Phrase, Scorer

SIDE = 112
PATCH = 36
PREFIX = "<think>Conclusion: "
COLOURS = {"melanoma": (150, 20, 20), "nevus": (20, 20, 150), "wart": None}
QUESTION = prompts.REPORT_QUESTION


@dataclass(frozen=True)
class Shown:
    """A picture, its diagnosis, the corner of its patch in pixels (row, column), and whether the idle bar is there."""

    picture: Image.Image
    name: str
    corner: tuple[int, int]
    bar: bool


def draw(count: int, seed: int) -> list[Shown]:
    """A third of each diagnosis; places and bars by chance."""
    chance, found = np.random.default_rng(seed), []
    for number in range(count):
        name = list(COLOURS)[number % len(COLOURS)]
        pixels = chance.integers(150, 230, (SIDE, SIDE, 3), dtype=np.uint8)
        top, left = (int(place) for place in chance.integers(0, SIDE - PATCH, 2))
        bar = bool(chance.random() < 0.5)
        if bar:
            pixels[-8:] = (30, 150, 30)
        if (colour := COLOURS[name]) is not None:
            pixels[top : top + PATCH, left : left + PATCH] = colour
        found.append(Shown(Image.fromarray(pixels), name, (top, left), bar))
    return found


def phrase(name: str) -> Phrase:
    return Phrase(f"{PREFIX}{name}", len(PREFIX), len(PREFIX) + len(name))


def build(family: str) -> Scorer:
    """An untrained model whose tokenizer knows the words."""
    texts = [prompts.SYSTEM, QUESTION, *(phrase(name).text for name in COLOURS)] * 3
    tokenizer = tiny.train_tokenizer(texts, 600)
    size = tiny.TinySize(hidden=96, intermediate=192, layers=2, heads=3, vision_hidden=96, vision_layers=2)
    torch.manual_seed(17)
    model = tiny.build_model(tokenizer, size, family)
    return Scorer(model, tiny.build_processor(tokenizer, SIDE * SIDE, family), batch=32)


def train(scorer: Scorer, steps: int) -> None:
    """All weights, on the name of the diagnosis; every batch is new pictures."""
    scorer.model.requires_grad_(True).train()
    optimiser = torch.optim.AdamW(scorer.model.parameters(), lr=1e-3)
    for step in track(range(steps), description="training"):
        loss = torch.zeros(())
        shown = draw(18, 1000 + step)
        for name in COLOURS:
            inputs, tokens = scorer.encode(QUESTION, [[one.picture] for one in shown if one.name == name], phrase(name))
            loss = loss - scorer.log_probability(inputs, tokens).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(scorer.model.parameters(), 1.0)
        optimiser.step()
    scorer.model.requires_grad_(False).eval()


def accuracy(scorer: Scorer, shown: Sequence[Shown]) -> float:
    scores = {
        name: scorer.log_probabilities(QUESTION, [[one.picture] for one in shown], phrase(name)) for name in COLOURS
    }
    return float(np.mean([max(scores, key=lambda name: scores[name][at]) == one.name for at, one in enumerate(shown)]))


def maps(scorer: Scorer, shown: Sequence[Shown]) -> dict[str, str]:
    """For occlusion and attention rollout: share of maps whose hottest cell touches the patch, the same of a random
    cell, and share of faithful maps."""
    hits: dict[str, list[bool]] = {"occlusion": [], "rollout": []}
    faithful: dict[str, list[bool]] = {"occlusion": [], "rollout": []}
    chances = []
    for one in track([one for one in shown if COLOURS[one.name]], description="heat maps"):
        rows, columns, side = scorer.grid(one.picture)
        seen = one.picture.resize((columns * side, rows * side))
        scale = columns * side / SIDE

        def score(
            masks: Sequence[occlusion.Mask], one: Shown = one, seen: Image.Image = seen, side: int = side
        ) -> np.ndarray:
            variants = [[occlusion.hide(seen, mask, side)] for mask in masks]
            return scorer.log_probabilities(QUESTION, variants, phrase(one.name))

        places = [
            (row * side < (one.corner[0] + PATCH) * scale and (row + 1) * side > one.corner[0] * scale)
            and (column * side < (one.corner[1] + PATCH) * scale and (column + 1) * side > one.corner[1] * scale)
            for row in range(rows)
            for column in range(columns)
        ]
        chances.append(np.mean(places))
        _, heat = occlusion.heat_map(score, (rows, columns))
        found = {"occlusion": heat, "rollout": rollout_map(scorer, QUESTION, [seen], phrase(one.name))}
        random = occlusion.by_chance(score, (rows, columns))
        for name, made in found.items():
            hits[name].append(places[int(made.argmax())])
            test = occlusion.faithfulness(score, made, random)
            faithful[name].append(test.faithful and heat.max() >= occlusion.LEAST)
    told = {
        f"hottest cell on the patch, {name}": f"{np.mean(found):.2f} (a random cell: {np.mean(chances):.2f})"
        for name, found in hits.items()
    }
    return told | {f"faithful maps, {name}": f"{np.mean(found):.2f}" for name, found in faithful.items()}


def concepts(scorer: Scorer, pool: Sequence[Shown], tested: Sequence[Shown]) -> dict[str, str]:
    """Sign -> verdict and score, for the diagnosis melanoma."""
    layer = scorer.check_layer(-1)
    activations = np.stack([scorer.embedding([one.picture], layer) for one in pool])
    known = tcav.Pool(activations, np.array([str(number) for number in range(len(pool))]))
    flags = {
        "red patch": np.array([one.name == "melanoma" for one in pool]),
        "blue patch": np.array([one.name == "nevus" for one in pool]),
        "idle bar": np.array([one.bar for one in pool]),
    }
    gradients = np.stack([scorer.gradient(QUESTION, [one.picture], phrase("melanoma"), layer)[1] for one in tested])
    found = tcav.concept_scores(tcav.learn(flags, known), gradients, len(flags))
    return {one.name: f"{one.verdict} ({one.score[0]:.2f}; cosine {one.alignment[0]:+.2f})" for one in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="qwen2_5_vl", choices=["qwen2_5_vl", "qwen3_vl"])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--pictures", type=int, default=40, help="held-out pictures that are mapped")
    args = parser.parse_args()
    scorer = build(args.family)
    pool, tested = draw(160, 1), draw(60, 2)
    table = Table("measured on held-out pictures", "untrained", "trained", title=f"{args.family}, seed 17")
    columns = []
    for steps in (0, args.steps):
        if steps:
            train(scorer, steps)
        rows = {"right diagnosis": f"{accuracy(scorer, tested):.2f}"} | maps(scorer, tested[: args.pictures])
        columns.append(rows | {f"TCAV, {name}": told for name, told in concepts(scorer, pool, tested).items()})
    for name in columns[0]:
        table.add_row(name, columns[0][name], columns[1][name])
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
