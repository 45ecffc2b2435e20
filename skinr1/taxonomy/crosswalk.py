"""Which node of one taxonomy is which of another, and how sure that is."""

from collections.abc import Iterator
from dataclasses import dataclass

from skinr1.taxonomy.node import Node, normalise
from skinr1.taxonomy.tree import Taxonomy

# How far a match of each kind is to be trusted. A chosen scale, no measured probability: the order is what it says.
PATH, NAME, ALIAS, EXACT_CODE, SHARED_CODE, FUZZY = 1.0, 0.95, 0.9, 0.85, 0.6, 0.55
MIN_LIKENESS = 0.72


@dataclass(frozen=True)
class Match:
    """``source`` of one tree is ``target`` of the other; ``target`` is None, at confidence 0, when nothing fits.

    ``method``: path, name, alias, code (ISIC or DOID), icd10cm, fuzzy or none. ``evidence`` is what they share.
    """

    source: str
    target: str | None
    confidence: float
    method: str
    evidence: str = ""


def crosswalk(a: Taxonomy, b: Taxonomy) -> list[Match]:
    """Every node of ``a``, in its order, with its counterpart in ``b``: the first kind of evidence that gives any.

    A kind that fits several nodes gives one row each, the confidence divided among them. A bucket that contradicts the
    other halves the confidence: the same words for a harmless and a malignant thing are rarely the same thing.
    """
    return [match for node in a.nodes.values() for match in _matches(node, b)]


def _matches(node: Node, b: Taxonomy) -> list[Match]:
    for method, confidence, evidence, targets in _evidence(node, b):
        if targets:
            return [
                Match(
                    node.id,
                    target,
                    round(confidence * _agreement(node, b.node(target)) / len(targets), 3),
                    method,
                    evidence,
                )
                for target in sorted(targets)
            ]
    return [Match(node.id, None, 0.0, "none")]


def _evidence(node: Node, b: Taxonomy) -> Iterator[tuple[str, float, str, frozenset[str]]]:
    if node.id in b.nodes and normalise(b.node(node.id).name) == normalise(node.name):
        yield "path", PATH, node.id, frozenset([node.id])
    named = b.labelled(node.name)
    same = frozenset(other for other in named if normalise(b.node(other).name) == normalise(node.name))
    yield "name", NAME, node.name, same
    yield "alias", ALIAS, node.name, named
    for alias in node.aliases:
        yield "alias", ALIAS, alias, b.labelled(alias)
    for system in ("isic", "doid"):
        for code in node.codes(system):
            yield "code", EXACT_CODE, code, b.with_code(system, code)
    for code in node.icd10cm:
        found = b.with_code("icd10cm", code)
        # a code that many share ("other benign neoplasm") is evidence of nothing
        yield "icd10cm", SHARED_CODE, code, found if len(found) == 1 else frozenset()
    best = b.candidates(node.name, 1)
    if best and best[0].score >= MIN_LIKENESS:
        yield "fuzzy", FUZZY * best[0].score, best[0].label, frozenset([best[0].node])


def _agreement(node: Node, other: Node) -> float:
    return 1.0 if node.bucket is None or other.bucket is None or node.bucket is other.bucket else 0.5
