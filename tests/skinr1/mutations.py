"""Lies told about grounded trajectories: each mutation makes one sentence of a text false, by the annotations and the
book themselves and not by the code under test."""

import random
import re
from collections.abc import Callable, Iterator

from skinr1.cases import Case
from skinr1.concepts import concept, concepts
from skinr1.knowledge import Knowledge
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories import Step, Trajectory

VISIBLE = [name for name in concepts() if concept(name).group != "quality"]
SIGNS = {text.lower() for entry in concepts().values() for text in (entry.name, *entry.aliases)}
CITED = re.compile(r"\[([^]]+)]")


class Facts:
    """What a book says of what, passage by passage, read off its rules and edges."""

    def __init__(self, book: Knowledge, taxonomy: Taxonomy):
        self.taxonomy = taxonomy
        self.said: dict[str, set[str]] = {passage: set() for passage in book.passages}
        self.subjects = {passage.id: set(passage.diagnoses) for passage in book.passages.values()}
        for rule in book.rules:
            self.said[rule.passage].add(rule.concept)
        for edge in book.edges:
            self.said[edge.passage] |= set(edge.signs)
            self.subjects[edge.passage] |= {edge.diagnosis, edge.rival}
        self.called: dict[str, set[str]] = {}
        for node in taxonomy.nodes.values():
            for name in (node.name, *node.aliases):
                self.called.setdefault(name.lower(), set()).add(node.id)


class World:
    """One trajectory beside its case and book, and what is true there."""

    def __init__(self, trajectory: Trajectory, case: Case, facts: Facts):
        self.trajectory, self.case, self.facts = trajectory, case, facts
        self.known = {*case.present(), *case.absent(), *case.history}
        # A kind of an annotated sign, and what an annotated sign is a kind of, are no clear lies.
        self.known |= {c for c in VISIBLE if any(c.endswith(f" {k}") or k.endswith(f" {c}") for k in self.known)}
        self.path = facts.taxonomy.path(case.diagnoses[0]) if len(case.diagnoses) == 1 else ()

    def said(self, passage: str) -> set[str]:
        """Signs that a passage says anything of."""
        return self.facts.said[passage]

    def subjects(self, passage: str) -> set[str]:
        return self.facts.subjects[passage]

    def text(self, step: Step, changed: str) -> str:
        """The whole text with one step in other words."""
        return " ".join(changed if other is step else other.text for other in self.trajectory.steps)

    def spoken(self, step: Step) -> list[tuple[str, bool]]:
        """Signs that a step's words hold, with their polarity."""
        absent = {claim.concept for claim in step.claims if claim.says == "absent"}
        return sorted({(c.concept, c.concept not in absent) for c in step.claims if c.says != "no_rule"})


Mutation = Callable[[World, random.Random], Iterator[str]]


def swap_word(text: str, old: str, new: str) -> str:
    """Replaces a sign outside of citations; longer signs that contain it stay."""
    return re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])(?![^\[]*\])", new, text, count=1)


def flip_negation(world: World, draw: random.Random) -> Iterator[str]:
    for step in world.trajectory.steps:
        for name, present in world.spoken(step):
            old, new = (name, f"no {name}") if present else (f"no {name}", name)
            yield world.text(step, swap_word(step.text, old, new))
            if present and step.kind == "finding":
                yield world.text(step, f"{step.text} The {name} is absent.")
            if not present:
                yield world.text(step, f"{step.text} There may be a {name}.")


def swap_concept(world: World, draw: random.Random) -> Iterator[str]:
    for step in world.trajectory.steps:
        cited = {name for passage in CITED.findall(step.text) for name in world.said(passage)}
        for name, _ in world.spoken(step):
            strange = [c for c in VISIBLE if c not in world.known and c not in cited]
            here = [c for c in world.case.present() if c not in cited] if step.kind != "finding" and cited else []
            for others in (strange, here):
                if others:
                    yield world.text(step, swap_word(step.text, name, draw.choice(others)))


def change_citation(world: World, draw: random.Random) -> Iterator[str]:
    for step in world.trajectory.steps:
        signs = {name for name, _ in world.spoken(step)}
        about = {*world.path, step.about}
        false = [p for p in world.facts.said if not (world.said(p) & signs and world.subjects(p) & about)]
        for passage in CITED.findall(step.text):
            for other in (draw.choice(false), "primer:nowhere#morphology"):
                yield world.text(step, step.text.replace(f"[{passage}]", f"[{other}]"))


def add_disease(world: World, draw: random.Random) -> Iterator[str]:
    named = {step.about for step in world.trajectory.steps if step.about}
    near = {*world.path, *(node for about in named for node in world.facts.taxonomy.path(about))}
    for step in world.trajectory.steps:
        subjects = {node for passage in CITED.findall(step.text) for node in world.subjects(passage)}
        strange = [
            name
            for name, nodes in world.facts.called.items()
            if not nodes & near
            and not any(node in world.facts.taxonomy.path(subject) for node in nodes for subject in subjects)
            and not any(about in world.facts.taxonomy.path(node) for node in nodes for about in named)
            and name not in SIGNS
        ]
        name = draw.choice(strange)
        yield world.text(step, f"{step.text[:-1]}, as in {name}.")
        yield world.text(step, f"{step.text} Consider {name} too.")
        yield world.text(step, f"This is {name}. {step.text}")
        if step.kind == "conclusion" and world.path:
            yield world.text(step, f"Conclusion: {name}.")


def add_finding(world: World, draw: random.Random) -> Iterator[str]:
    strange = [c for c in VISIBLE if c not in world.known]
    for step in world.trajectory.steps:
        name = draw.choice(strange)
        yield world.text(step, f"{step.text} There is a {name}.")
        yield world.text(step, f"{step.text} No {name} is seen.")
        yield world.text(step, f"{step.text} Perhaps a {name} too.")
        yield world.text(step, f"{step.text} The surface glows.")
        if step.kind == "finding":
            yield world.text(step, f"{step.text[:-1]}, {name}.")
            yield world.text(step, f"{step.text[:-1]}, no {name}.")


def conclude_a_rival(world: World, draw: random.Random) -> Iterator[str]:
    name = world.facts.taxonomy.node
    for step in world.trajectory.steps:
        for other in world.trajectory.steps:
            if step.kind == "conclusion" and other.about and other.about not in world.path:
                yield world.text(step, f"Conclusion: {name(other.about).name}.")
                yield world.text(step, f"Conclusion: not {name(world.path[-1]).name}.")
                yield world.text(step, f"Conclusion: {name(other.about).name}, not {name(world.path[-1]).name}.")


def overstate(world: World, draw: random.Random) -> Iterator[str]:
    for step in world.trajectory.steps:
        if step.kind == "knowledge":
            yield world.text(step, step.text.replace(" shows ", " always shows "))
            yield world.text(step, step.text.replace(" shows ", " never shows "))
            yield world.text(step, step.text.replace(" shows ", " alone shows "))
        if step.kind == "checklist":
            yield world.text(step, re.sub(r"(\d),", lambda m: f"{int(m.group(1)) + 1},", step.text, count=1))
            yield world.text(step, re.sub(r"\b(un)?suspicious", lambda m: "suspicious" if m[1] else "open", step.text))


MUTATIONS: dict[str, Mutation] = {
    "flip a negation": flip_negation,
    "swap a concept": swap_concept,
    "change a citation": change_citation,
    "add a disease": add_disease,
    "add a finding": add_finding,
    "conclude a rival": conclude_a_rival,
    "overstate": overstate,
}
