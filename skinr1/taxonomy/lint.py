"""Faults that make every hierarchy reward and metric wrong, found before they do."""

import re
from collections.abc import Iterator

from skinr1.taxonomy.tree import Bucket, Taxonomy, normalise

_MALIGNANT_WORDS = {"melanoma", "carcinoma", "sarcoma", "lymphoma", "malignant"}
_PATH = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+)*").fullmatch


def lint(taxonomy: Taxonomy, max_depth: int = 5) -> list[str]:
    """Lists faults, one line each; an empty list means the tree is sound."""
    return [*_alias_clashes(taxonomy), *_bucket_faults(taxonomy, max_depth), *_path_faults(taxonomy)]


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
    for node in taxonomy.nodes.values():
        words = {word for label in (node.name, *node.aliases) for word in normalise(label).split()}
        if node.bucket in (Bucket.BENIGN, Bucket.NON_NEOPLASTIC) and words & _MALIGNANT_WORDS:
            yield f"{node.id} has a malignant name in the {node.bucket} bucket"


def _path_faults(taxonomy: Taxonomy) -> Iterator[str]:
    """A path is written into reports, schemas and grammars, which allow no other characters."""
    return (f"{node_id} is not lower-case letters, digits and _" for node_id in taxonomy.nodes if not _PATH(node_id))
