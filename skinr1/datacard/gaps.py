"""What a build lacks, in words: each gap is one sentence and the things it is about, none left out."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from skinr1.datacard.tally import BANDS, DARK, FIELDS, NO_SPLIT, SPLITS, UNKNOWN, UNLABELLED, Tally, splits
from skinr1.licences import TERMS, commercial
from skinr1.page.environment import node_name, node_path
from skinr1.taxonomy import Bucket, Taxonomy

FEW = 20


@dataclass(frozen=True)
class Gap:
    """``kind`` is for programs, ``text`` for people; ``items`` are the names it concerns, with a count or a remark."""

    kind: str
    text: str
    items: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        return {**asdict(self), "items": list(self.items)}


@dataclass(frozen=True)
class Subject:
    """What gaps are looked for in.

    A diagnosis of fewer cases than ``few`` is named; ``expected`` are the splits that there should be.
    """

    tally: Tally
    taxonomy: Taxonomy
    few: int = FEW
    expected: tuple[str, ...] = SPLITS

    def name(self, label: str) -> str:
        """A label's name; where two labels share it, their place in the tree is said."""
        name = node_name(label, self.taxonomy)
        if self._uses[name] < 2:
            return name
        return " or ".join(node_path(node, self.taxonomy) for node in label.split(" | "))

    @cached_property
    def _uses(self) -> Counter[str]:
        return Counter(node_name(label, self.taxonomy) for label in self.tally.labels)

    def risks(self, label: str) -> set[Bucket | None]:
        return {self.taxonomy.bucket(node) for node in label.split(" | ")}

    @cached_property
    def malignant(self) -> list[str]:
        """Labels that are, or may be, malignant."""
        return [label for label in self.tally.labels if Bucket.MALIGNANT in self.risks(label)]


def gaps(subject: Subject) -> list[Gap]:
    """Every gap that the counts show, the graver ones first."""
    return [gap for look in _LOOKS for gap in look(subject)]


def _rendered(subject: Subject) -> Iterator[Gap]:
    tally = subject.tally
    if tally.rendered:
        who = "All cases" if tally.rendered == tally.cases else f"{tally.rendered} of {tally.cases} cases"
        yield Gap("rendered", f"{who} are rendered, not clinical: drawn by a program; they say nothing about patients.")


def _empty_splits(subject: Subject) -> Iterator[Gap]:
    held = splits(subject.tally)
    lacking = [name for name in subject.expected if name not in held]
    if lacking:
        yield Gap("empty split", f"No case is in {' or '.join(lacking)}.")
    if NO_SPLIT in held:
        yield Gap("no split", f"{subject.tally.one('split')[NO_SPLIT]} cases are in no split.")


def _malignant_splits(subject: Subject) -> Iterator[Gap]:
    counts = subject.tally.by("label", "split")
    for split in splits(subject.tally):
        lacking = [label for label in subject.malignant if not counts[label, split]]
        if lacking:
            kind = "malignant or possibly malignant diagnoses"
            yield Gap(
                "malignant absent from split",
                f"{_have(len(lacking), len(subject.malignant), kind)} no case in {split}.",
                tuple(map(subject.name, lacking)),
            )
    if not subject.malignant:
        yield Gap("no malignant case", "No case has a malignant diagnosis.")


def _test_only(subject: Subject) -> Iterator[Gap]:
    counts = subject.tally.by("label", "split")
    unseen = [label for label in subject.tally.labels if counts[label, "test"] and not counts[label, "train"]]
    if unseen and "train" in splits(subject.tally):
        verb = "diagnosis is" if len(unseen) == 1 else "diagnoses are"
        yield Gap(
            "test but not train", f"{len(unseen)} {verb} tested but never in train.", tuple(map(subject.name, unseen))
        )


def _dark_tones(subject: Subject) -> Iterator[Gap]:
    """By diagnosis, and for the malignant ones together. A tone nobody stated is no tone."""
    counts, labels = subject.tally.by("label", "band"), subject.tally.labels
    lacking = [label for label in labels if not counts[label, DARK]]
    if lacking:
        yield Gap(
            "no dark skin",
            f"{_have(len(lacking), len(labels))} no case that is known to be of skin tones V–VI.",
            tuple(f"{subject.name(label)} ({_unstated(counts, label)})" for label in lacking),
        )
    for band in BANDS:
        if subject.malignant and not any(counts[label, band] for label in subject.malignant):
            yield Gap("no malignant case on tones", f"No malignant case is known to be of skin tones {band}.")


def _unstated(counts: Counter[tuple[str, ...]], label: str) -> str:
    total = sum(count for key, count in counts.items() if key[0] == label)
    return f"{_count(total, 'case')}, {counts[label, UNKNOWN]} of unknown tone"


def _few(subject: Subject) -> Iterator[Gap]:
    counts, labels = subject.tally.one("label"), subject.tally.labels
    rare = sorted((label for label in labels if counts[label] < subject.few), key=lambda label: (counts[label], label))
    if rare:
        groups = subject.tally.groups
        yield Gap(
            "few cases",
            f"{_have(len(rare), len(labels))} fewer than {subject.few} cases.",
            tuple(
                f"{subject.name(x)} ({_count(counts[x], 'case')} of {_count(len(groups[x]), 'patient')})" for x in rare
            ),
        )


def _missing(subject: Subject) -> Iterator[Gap]:
    tally = subject.tally
    sources = tally.one("source")
    for name in FIELDS:
        by_source = {source: tally.missing[name, source] for source in sources}
        total = sum(by_source.values())
        if total:
            where = tuple(f"{s} ({n} of {sources[s]})" for s, n in by_source.items() if n) if len(sources) > 1 else ()
            share = f"{total} of {tally.cases} cases ({100 * total / tally.cases:.1f} %)"
            effect = "; a patient in two splits cannot be told by id" if name == "patient id" else ""
            yield Gap(f"missing {name}", f"The {name} is missing in {share}{effect}.", where)


def _tone_origins(subject: Subject) -> Iterator[Gap]:
    guessed = sum(n for (_, who), n in subject.tally.tone_origins.items() if who == "estimated")
    if guessed:
        yield Gap("estimated tone", f"The skin tone of {guessed} cases was estimated by software, not by a person.")


def _licences(subject: Subject) -> Iterator[Gap]:
    found = subject.tally.by("source", "licence")
    for verdict, kind, words in (
        (False, "no commercial use", "forbids commercial use"),
        (None, "commercial use not established", "does not say whether commercial use is allowed"),
    ):
        barred = [(s, lic, n) for (s, lic), n in sorted(found.items()) if commercial(lic) is verdict]
        if barred:
            total = sum(n for _, _, n in barred)
            items = tuple(f"{source} ({licence}, {_count(n, 'case')})" for source, licence, n in barred)
            yield Gap(kind, f"The licence of {_count(total, 'case')} {words}.", items)
    kept = [(s, lic, n) for (s, lic), n in sorted(found.items()) if lic not in TERMS or not TERMS[lic].redistribution]
    if kept:
        items = tuple(f"{source} ({licence}, {_count(n, 'case')})" for source, licence, n in kept)
        total = sum(n for _, _, n in kept)
        yield Gap("no redistribution", f"The pictures of {_count(total, 'case')} may not be passed on.", items)
    if subject.tally.evaluation_only:
        items = tuple(f"{source} ({n} cases)" for source, n in sorted(subject.tally.evaluation_only.items()))
        yield Gap("evaluation only", "Some cases are for evaluation only.", items)


def _one_source(subject: Subject) -> Iterator[Gap]:
    sources = subject.tally.one("source")
    if len(sources) < 2:
        yield Gap("one source", f"All cases are of one source, {next(iter(sources), 'none')}.")
        return
    held: dict[str, set[str]] = {}
    for label, source in subject.tally.by("label", "source"):
        held.setdefault(label, set()).add(source)
    alone = [label for label in subject.tally.labels if len(held[label]) == 1]
    if alone:
        yield Gap(
            "diagnosis of one source",
            f"{len(alone)} of {len(subject.tally.labels)} diagnoses come from one source only, "
            "so that the source may give them away.",
            tuple(f"{subject.name(label)} ({next(iter(held[label]))})" for label in alone),
        )


def _labels(subject: Subject) -> Iterator[Gap]:
    counts = subject.tally.one("label")
    if counts.get(UNLABELLED):
        yield Gap("unlabelled", f"{counts[UNLABELLED]} of {subject.tally.cases} cases have no diagnosis.")
    several = [label for label in subject.tally.labels if " | " in label]
    if several:
        total = sum(counts[label] for label in several)
        yield Gap(
            "ambiguous label",
            f"The label of {_count(total, 'case')} names several diagnoses, of which one holds.",
            tuple(f"{subject.name(label)} ({counts[label]})" for label in several),
        )


def _tree(subject: Subject) -> Iterator[Gap]:
    taxonomy = subject.taxonomy
    held = {node for label in subject.tally.labels for node in label.split(" | ")}
    covered = [node for node in taxonomy.diagnoses if node in held]
    total = len(taxonomy.diagnoses)
    empty = [
        node.name
        for node in taxonomy.nodes.values()
        if node.depth == 1 and held.isdisjoint((node.id, *taxonomy.below(node.id)))
    ]
    if len(covered) < total:
        items = tuple(f"nothing of the branch {name}" for name in empty)
        yield Gap("tree not covered", f"{len(covered)} of the tree's {total} diagnoses have a case.", items)


def _have(number: int, total: int, noun: str = "diagnoses") -> str:
    return f"{number} of {total} {noun} {'has' if number == 1 else 'have'}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


_LOOKS: tuple[Callable[[Subject], Iterator[Gap]], ...] = (
    _rendered,
    _malignant_splits,
    _dark_tones,
    _empty_splits,
    _test_only,
    _few,
    _labels,
    _licences,
    _missing,
    _tone_origins,
    _one_source,
    _tree,
)
