"""The tree: path identity, aliases, ancestors, lowest common ancestor, risk bucket.

A node's id is its full path (``neoplasm/benign/melanocytic/common_nevus``), because names repeat in real
trees: an id that is a bare name makes nevi malignant.
"""

import difflib
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from skinr1.errors import UserError


class Bucket(StrEnum):
    """Risk bucket of a diagnosis, stated at its node and never guessed from a name."""

    BENIGN = "benign"
    INDETERMINATE = "indeterminate"
    MALIGNANT = "malignant"
    NON_NEOPLASTIC = "non_neoplastic"


@dataclass(frozen=True)
class Node:
    """One diagnosis or group. ``bucket`` is None only for a group whose members differ in risk."""

    id: str
    name: str
    bucket: Bucket | None
    aliases: tuple[str, ...] = ()

    @property
    def depth(self) -> int:
        """Levels from the top; a top-level group has depth 1."""
        return self.id.count("/") + 1

    @property
    def parent(self) -> str | None:
        return self.id.rpartition("/")[0] or None


def normalise(label: str) -> str:
    """Case, accents, punctuation and plural-free comparison form of a label."""
    ascii_text = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return " ".join(re.findall(r"[a-z0-9]+", ascii_text.lower()))


class Taxonomy:
    """An immutable tree of diagnoses.

    Args:
        nodes: parents before children. Structure is checked by :func:`skinr1.taxonomy.lint.lint`;
            the constructor refuses only what would make lookups wrong.

    Raises:
        UserError: a path occurs twice, or a parent is missing.
    """

    def __init__(self, nodes: list[Node], version: str = "unversioned"):
        self.version = version
        self.nodes: dict[str, Node] = {}
        for node in nodes:
            if node.id in self.nodes:
                raise UserError("path occurs twice in the taxonomy", node.id, "Keep one entry.")
            if node.parent is not None and node.parent not in self.nodes:
                raise UserError("parent is not in the taxonomy", node.id, f"Add {node.parent} before it.")
            self.nodes[node.id] = node

    @classmethod
    def load(cls, path: Path | None = None) -> "Taxonomy":
        """The shipped tree, or one in the same YAML form at ``path``."""
        return _shipped() if path is None else cls.from_yaml(path.read_text(encoding="utf-8"))

    @classmethod
    def from_yaml(cls, text: str) -> "Taxonomy":
        """Reads ``version`` and a nested ``tree``; each node: name, bucket, aliases, children.

        Raises:
            UserError: not YAML, no version or tree, an unknown key or bucket, or what the constructor refuses.
        """
        try:
            document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError as error:
            raise UserError(f"not YAML ({error})", "the taxonomy", "Correct the file.") from None
        if not isinstance(document, dict) or not {"version", "tree"} <= document.keys():
            raise UserError("no `version` and `tree`", "the taxonomy", "Write both at the top of the YAML.")
        return cls(list(_walk(document["tree"], "", None)), version=str(document["version"]))

    @cached_property
    def hash(self) -> str:
        """Identity of the content, for manifests and reports."""
        lines = "\n".join(f"{n.id}\t{n.name}\t{n.bucket}\t{'|'.join(n.aliases)}" for n in self.nodes.values())
        return hashlib.sha256(lines.encode()).hexdigest()[:16]

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        parents = {node.parent for node in self.nodes.values()}
        return tuple(node_id for node_id in self.nodes if node_id not in parents)

    @cached_property
    def _by_label(self) -> dict[str, frozenset[str]]:
        index: dict[str, set[str]] = {}
        for node in self.nodes.values():
            for label in (node.name, *node.aliases):
                index.setdefault(normalise(label), set()).add(node.id)
        return {label: frozenset(ids) for label, ids in index.items()}

    def node(self, node_id: str) -> Node:
        """Raises UserError when ``node_id`` is not in the tree."""
        if node_id not in self.nodes:
            raise UserError("no such diagnosis path", repr(node_id), self._suggest(node_id.rpartition("/")[2]))
        return self.nodes[node_id]

    def path(self, node_id: str) -> tuple[str, ...]:
        """Ids from the top-level group to the node itself: the node's ancestors including the node."""
        parts = self.node(node_id).id.split("/")
        return tuple("/".join(parts[: i + 1]) for i in range(len(parts)))

    def lca(self, a: str, b: str) -> str | None:
        """Lowest common ancestor (a node is its own ancestor); None when only the root joins them."""
        shared = [x for x, y in zip(self.path(a), self.path(b), strict=False) if x == y]
        return shared[-1] if shared else None

    def children(self, node_id: str) -> tuple[str, ...]:
        return tuple(n.id for n in self.nodes.values() if n.parent == node_id)

    def bucket(self, node_id: str) -> Bucket | None:
        return self.node(node_id).bucket

    def resolve(self, label: str) -> frozenset[str]:
        """Nodes a free-text label names: by path id, preferred name or alias.

        Raises:
            UserError: nothing matches; the message lists the nearest names.
        """
        if label in self.nodes:
            return frozenset([label])
        found = self._by_label.get(normalise(label))
        if not found:
            raise UserError("unknown diagnosis label", repr(label), self._suggest(label))
        return found

    def _suggest(self, label: str) -> str:
        near = difflib.get_close_matches(normalise(label.replace("_", " ")), sorted(self._by_label), n=3, cutoff=0.5)
        hint = f"Did you mean {', '.join(repr(name) for name in near)}? " if near else ""
        return hint + "Use a path or name of the taxonomy, or map the label to nodes in a label map."


@lru_cache(maxsize=1)
def _shipped() -> Taxonomy:
    return Taxonomy.from_yaml(files("skinr1.taxonomy").joinpath("skin.yaml").read_text(encoding="utf-8"))


def _walk(tree: Mapping[str, Any], prefix: str, bucket: Bucket | None) -> Iterator[Node]:
    """A bucket stated at a group holds for members that state none; names never decide it."""
    for key, entry in tree.items():
        entry = entry or {}
        unknown = set(entry) - {"name", "bucket", "aliases", "children"}
        node_id = f"{prefix}{key}"
        if unknown:
            raise UserError(f"unknown key {sorted(unknown)[0]!r} in the taxonomy", node_id, "Correct the YAML.")
        own = _bucket(entry["bucket"], node_id) if "bucket" in entry else bucket
        yield Node(node_id, entry.get("name", key.replace("_", " ")), own, tuple(entry.get("aliases", ())))
        yield from _walk(entry.get("children", {}), f"{node_id}/", own)


def _bucket(value: Any, node_id: str) -> Bucket:
    if value not in list(Bucket):
        raise UserError(f"unknown bucket {value!r}", node_id, f"Use one of: {', '.join(Bucket)}.")
    return Bucket(value)
