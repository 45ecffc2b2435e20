"""Faults that make every hierarchy reward and metric wrong, found before they do."""

from collections.abc import Iterator

from skinr1.taxonomy.tree import Bucket, Taxonomy, normalise

_MALIGNANT_WORDS = ("melanoma", "carcinoma", "sarcoma", "lymphoma", "malignant")


def lint(taxonomy: Taxonomy, max_depth: int = 5) -> list[str]:
    """Lists faults, one line each; an empty list means the tree is sound."""
    return [*_alias_clashes(taxonomy), *_bucket_faults(taxonomy, max_depth)]


def _alias_clashes(taxonomy: Taxonomy) -> Iterator[str]:
    """A leaf label claimed by two nodes would make a plain string ambiguous without anybody choosing so."""
    claims: dict[str, list[str]] = {}
    for node_id in taxonomy.leaves:
        node = taxonomy.node(node_id)
        for label in dict.fromkeys(normalise(text) for text in (node.name, *node.aliases)):
            claims.setdefault(label, []).append(node_id)
    for label, owners in claims.items():
        if len(owners) > 1:
            yield f"label {label!r} is claimed by {' and '.join(owners)}"


def _bucket_faults(taxonomy: Taxonomy, max_depth: int) -> Iterator[str]:
    for node_id in taxonomy.leaves:
        node = taxonomy.node(node_id)
        if node.bucket is None:
            yield f"{node_id} has no risk bucket"
        if node.depth > max_depth:
            yield f"{node_id} is {node.depth} levels deep; at most {max_depth}"
        words = normalise(node.name).split()
        if node.bucket is Bucket.BENIGN and any(word in words for word in _MALIGNANT_WORDS):
            yield f"{node_id} has a malignant name in the benign bucket"
