"""Faults that make every hierarchy reward and metric wrong, found before they do."""

import re
from collections.abc import Iterator

from skinr1.taxonomy.codes import Known, code_faults
from skinr1.taxonomy.node import Bucket, Node, normalise
from skinr1.taxonomy.tree import Taxonomy

# endings, so that "angiosarcoma" counts; "pseudolymphoma" is one that is not
_MALIGNANT_ENDING = re.compile(r"(?<!pseudo)(melanoma|carcinoma|sarcoma|lymphoma)s?$").search
_MALIGNANT_WORDS = {"malignant", "cancer", "leukemia", "leukaemia", "metastasis", "metastases", "metastatic"}
_PATH = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+)*").fullmatch
_RISK = {Bucket.NON_NEOPLASTIC: 0, Bucket.BENIGN: 0, Bucket.INDETERMINATE: 1, Bucket.MALIGNANT: 2}


def lint(
    taxonomy: Taxonomy,
    max_depth: int = 5,
    reference: Taxonomy | None = None,
    known: dict[str, Known] | None = None,
) -> list[str]:
    """Lists faults, one line each; an empty list means the tree is sound.

    Args:
        reference: a tree that is trusted; a name it holds for (pre)malignant must not be harmless here.
        known: which codes exist, from :func:`skinr1.taxonomy.codes.checkers`; a system left out is not checked.
    """
    return [
        *_alias_clashes(taxonomy),
        *_name_faults(taxonomy),
        *_bucket_faults(taxonomy),
        *_undercalls(taxonomy, reference),
        *_misplaced_subtypes(taxonomy),
        *_path_faults(taxonomy, max_depth),
        *code_faults(taxonomy, known or {}),
    ]


def _alias_clashes(taxonomy: Taxonomy) -> Iterator[str]:
    """A label claimed by two nodes would make a plain string ambiguous without anybody choosing so."""
    claims: dict[str, list[str]] = {}
    for node in taxonomy.nodes.values():
        for label in dict.fromkeys(map(normalise, node.labels)):
            claims.setdefault(label, []).append(node.id)
    for label, owners in claims.items():
        if len(owners) > 1:
            yield f"label {label!r} is claimed by {' and '.join(owners)}"


def _name_faults(taxonomy: Taxonomy) -> Iterator[str]:
    for node in taxonomy.nodes.values():
        if re.search(r"[,;()\[\]]", node.name):
            yield f"{node.id}: name {node.name!r} holds another name after a comma or in brackets; make it an alias"
        for label in node.labels:
            if not normalise(label):
                yield f"{node.id} has an empty label {label!r}"
            elif label is not node.name and re.search("[,;]", label):
                yield f"{node.id}: alias {label!r} holds a comma; write the names one by one"
        parent = taxonomy.nodes[node.parent] if node.parent else None
        if parent is not None and _singular(node.name) == _singular(parent.name):
            yield f"{node.id} has its parent's name {parent.name!r}, but for number or spelling"


def _bucket_faults(taxonomy: Taxonomy) -> Iterator[str]:
    for node in taxonomy.nodes.values():
        if node.bucket is None:
            if node.diagnosis:
                yield f"{node.id} has no risk bucket"
            continue
        for child in map(taxonomy.node, taxonomy.children(node.id)):
            if child.bucket is not node.bucket:
                yield f"{child.id} is {child.bucket} in a group that is {node.bucket}; give the group no bucket"
        if _RISK[node.bucket] == 0 and any(map(_is_malignant_name, node.labels)):
            yield f"{node.id} has a malignant name in the {node.bucket} bucket"


def _is_malignant_name(label: str) -> bool:
    return any(word in _MALIGNANT_WORDS or _MALIGNANT_ENDING(word) for word in normalise(label).split())


def _undercalls(taxonomy: Taxonomy, reference: Taxonomy | None) -> Iterator[str]:
    """Mycosis fungoides filed under fungi is a cancer called harmless, and no word of its name says so."""
    if reference is None:
        return
    for node in taxonomy.nodes.values():
        if node.bucket is None or _RISK[node.bucket] > 0 or _is_malignant_name(node.name):
            continue
        for other in sorted(reference.labelled(node.name)):
            bucket = reference.bucket(other)
            if bucket is not None and _RISK[bucket] > 0:
                yield f"{node.id} is {node.bucket}, but {node.name!r} is {bucket} ({other} of the reference tree)"


def _misplaced_subtypes(taxonomy: Taxonomy) -> Iterator[str]:
    """ "Nail psoriasis" beside or away from "psoriasis": a name that holds another's words is a subtype of it.

    Siblings are compared with every label of a diagnosis, other nodes with its name only. A node's `distinct_from`
    lists the labels of which it is no subtype; one that changes nothing is a fault too.
    """
    words = {node.id: frozenset(normalise(node.name).split()) for node in taxonomy.nodes.values()}
    holders: dict[str, set[str]] = {}
    for node_id, of_name in words.items():
        for word in of_name:
            holders.setdefault(word, set()).add(node_id)
    used: set[tuple[str, str]] = set()
    for node in taxonomy.nodes.values():
        if not node.diagnosis:
            continue
        for label in dict.fromkeys(map(normalise, node.labels)):
            parts = frozenset(label.split())
            longer = set.intersection(*(holders.get(part, set()) for part in parts)) if parts else set()
            for other in map(taxonomy.node, sorted(longer)):
                if parts == words[other.id] or not _apart(node, other, label, taxonomy):
                    continue
                if label in map(normalise, dict(other.distinct_from)):
                    used.add((other.id, label))
                else:
                    side = "beside" if other.parent == node.parent else "away from"
                    yield f"{other.id} reads like a subtype of {label!r} and stands {side} {node.id}"
    for node in taxonomy.nodes.values():
        for label in map(normalise, dict(node.distinct_from)):
            if (node.id, label) not in used:
                yield f"{node.id}: distinct_from {label!r} is no exception to anything; remove it"


def _apart(node: Node, other: Node, label: str, taxonomy: Taxonomy) -> bool:
    """Neither is above the other, and the label counts between them."""
    if node.id in taxonomy.path(other.id) or other.id in taxonomy.path(node.id):
        return False
    return node.parent == other.parent or label == normalise(node.name)


def _path_faults(taxonomy: Taxonomy, max_depth: int) -> Iterator[str]:
    """A path is written into reports, schemas and grammars, which allow no other characters."""
    for node in taxonomy.nodes.values():
        if not _PATH(node.id):
            yield f"{node.id} is not lower-case letters, digits and _"
        if node.depth > max_depth and not taxonomy.children(node.id):
            yield f"{node.id} is {node.depth} levels deep; at most {max_depth}"


def _singular(name: str) -> str:
    """Good enough to see that "keratoses" is "keratosis" again."""
    return " ".join(re.sub(r"(?<=s)es$|(?<=s)is$|i$|s$", "", word) for word in normalise(name).split())
