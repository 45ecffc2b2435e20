"""The tree: path identity, aliases, ancestors, lowest common ancestor, risk bucket, codes.

A node's id is its full path (``neoplasm/benign/melanocytic/common_nevus``), because names repeat in real
trees: an id that is a bare name makes nevi malignant.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path

from skinr1.errors import UserError
from skinr1.taxonomy.node import Bucket, Node, normalise
from skinr1.taxonomy.reading import Document, no_collection, read
from skinr1.taxonomy.search import Candidate, LabelIndex

__all__ = ["Bucket", "Candidate", "Node", "Taxonomy", "normalise"]


class Taxonomy:
    """An immutable tree of diagnoses.

    Args:
        nodes: parents before children. Structure is checked by :func:`skinr1.taxonomy.lint.lint`;
            the constructor refuses only what would make lookups wrong.

    Raises:
        UserError: a path occurs twice, or a parent is missing.
    """

    def __init__(self, nodes: Iterable[Node], version: str = "unversioned"):
        self.version = version
        self.nodes: dict[str, Node] = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        self._children: dict[str, list[str]] = {}
        for node in nodes:
            if node.id in self.nodes:
                raise UserError("path occurs twice in the taxonomy", node.id, "Keep one entry.")
            parent = node.parent
            if parent is not None and parent not in self.nodes:
                raise UserError("parent is not in the taxonomy", node.id, f"Add {parent} before it.")
            self.nodes[node.id] = node
            self._paths[node.id] = (*self._paths[parent], node.id) if parent else (node.id,)
            if parent:
                self._children.setdefault(parent, []).append(node.id)
        self._resolved: dict[str, frozenset[str]] = {}

    @classmethod
    def load(cls, path: Path | None = None) -> "Taxonomy":
        """The shipped tree, or a user's: YAML of the same form, or a table that
        :func:`skinr1.taxonomy.importing.read_taxonomy` reads (``.csv``, ``.json``).
        """
        if path is None:
            return _shipped()
        if path.suffix.lower() in {".csv", ".tsv", ".json"}:
            from skinr1.taxonomy.importing import read_taxonomy  # here, because it builds on this module

            return read_taxonomy(path)
        try:
            return cls.from_yaml(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"taxonomy is not readable ({error})", str(path), "Correct the path.") from None

    @classmethod
    def from_yaml(cls, *texts: str) -> "Taxonomy":
        """Reads one YAML text, or the parts of a tree in order (see :class:`skinr1.taxonomy.reading.Document`).

        Raises:
            UserError: not YAML, no version or tree, an unknown key or bucket, or what the constructor refuses.
        """
        with no_collection():
            version, nodes = read(map(Document.parse, texts))
            return cls(nodes, version)

    @cached_property
    def hash(self) -> str:
        """Identity of the content, for manifests and reports."""
        lines = "\n".join(node.fingerprint for node in self.nodes.values())
        return hashlib.sha256(lines.encode()).hexdigest()[:16]

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """Nodes without children."""
        return tuple(node_id for node_id in self.nodes if node_id not in self._children)

    @cached_property
    def diagnoses(self) -> tuple[str, ...]:
        """Leaves, and the groups that are diagnoses themselves."""
        return tuple(node.id for node in self.nodes.values() if node.diagnosis)

    @cached_property
    def _by_label(self) -> dict[str, frozenset[str]]:
        index: dict[str, set[str]] = {}
        for node in self.nodes.values():
            for label in node.labels:
                index.setdefault(normalise(label), set()).add(node.id)
        return {label: frozenset(ids) for label, ids in index.items()}

    @cached_property
    def _by_first_word(self) -> dict[str, list[tuple[tuple[str, ...], frozenset[str]]]]:
        index: dict[str, list[tuple[tuple[str, ...], frozenset[str]]]] = {}
        for label, nodes in self._by_label.items():
            if label:  # lint finds those that are empty
                first, *_ = parts = tuple(label.split())
                index.setdefault(first, []).append((parts, nodes))
        return index

    @cached_property
    def _padded(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {node_id: [] for node_id in self.nodes}
        for label, nodes in self._by_label.items():
            for node_id in nodes if label else ():  # lint finds those that are empty
                found[node_id].append(f" {label} ")
        return {node_id: tuple(labels) for node_id, labels in found.items()}

    @cached_property
    def _by_code(self) -> dict[str, dict[str, frozenset[str]]]:
        found: dict[str, dict[str, set[str]]] = {"icd10cm": {}, "isic": {}, "doid": {}}
        for node in self.nodes.values():
            for system, index in found.items():
                for code in node.codes(system):
                    index.setdefault(code, set()).add(node.id)
        return {system: {code: frozenset(ids) for code, ids in index.items()} for system, index in found.items()}

    @cached_property
    def _search(self) -> LabelIndex:
        return LabelIndex(
            (label, node.id) for node in self.nodes.values() for label in dict.fromkeys(map(normalise, node.labels))
        )

    def node(self, node_id: str) -> Node:
        """Raises UserError when ``node_id`` is not in the tree."""
        node = self.nodes.get(node_id)
        if node is None:
            raise UserError("no such diagnosis path", repr(node_id), self._suggest(node_id.rpartition("/")[2]))
        return node

    def path(self, node_id: str) -> tuple[str, ...]:
        """Ids from the top-level group to the node itself: the node's ancestors including the node."""
        path = self._paths.get(node_id)
        return self._paths[self.node(node_id).id] if path is None else path

    def lca(self, a: str, b: str) -> str | None:
        """Lowest common ancestor (a node is its own ancestor); None when only the root joins them."""
        found = None
        for one, other in zip(self.path(a), self.path(b), strict=False):
            if one != other:
                break
            found = one
        return found

    def children(self, node_id: str) -> tuple[str, ...]:
        return tuple(self._children.get(node_id, ()))

    def below(self, node_id: str) -> tuple[str, ...]:
        """The node and all its descendants, in the tree's order."""
        self.node(node_id)
        return tuple(other for other, path in self._paths.items() if node_id in path)

    def bucket(self, node_id: str) -> Bucket | None:
        return self.node(node_id).bucket

    def resolve(self, label: str) -> frozenset[str]:
        """Nodes a free-text label names: by path id, preferred name or alias.

        Raises:
            UserError: nothing matches; the message lists the nearest names.
        """
        found = self.labelled(label)
        if not found:
            raise UserError("unknown diagnosis label", repr(label), self._suggest(label))
        return found

    def labelled(self, label: str) -> frozenset[str]:
        """As :meth:`resolve`, but an empty set when nothing matches."""
        known = self._resolved.get(label)
        if known is not None:
            return known
        found = frozenset([label]) if label in self.nodes else self._by_label.get(normalise(label), frozenset())
        if len(self._resolved) < 100_000:  # a stream of labels that never repeat must not fill the memory
            self._resolved[label] = found
        return found

    def named(self, words: Sequence[str]) -> Iterator[tuple[int, int, frozenset[str]]]:
        """Every label in a text given as the words of its :func:`normalise`: (first word, word behind it, nodes)."""
        for start, word in enumerate(words):
            for label, nodes in self._by_first_word.get(word, ()):
                if tuple(words[start : start + len(label)]) == label:
                    yield start, start + len(label), nodes

    def names(self, node_id: str, padded: str) -> bool:
        """Whether one of the node's labels stands in a text: its :func:`normalise` between two spaces."""
        return any(label in padded for label in self._padded[self.node(node_id).id])

    def with_code(self, system: str, code: str) -> frozenset[str]:
        """Nodes that carry a code of ``icd10cm``, ``isic`` or ``doid``; empty when none does.

        Raises:
            UserError: an unknown system.
        """
        if system not in self._by_code:
            raise UserError("unknown code system", repr(system), f"Use one of: {', '.join(self._by_code)}.")
        return self._by_code[system].get(code, frozenset())

    def candidates(self, label: str, limit: int = 5) -> tuple[Candidate, ...]:
        """Nodes whose labels look most like a text, best first; see :class:`skinr1.taxonomy.search.LabelIndex`."""
        return self._search.nearest(normalise(label.replace("_", " ")), limit)

    def _suggest(self, label: str) -> str:
        near = [candidate.label for candidate in self.candidates(label, 3) if candidate.score >= 0.5]
        hint = f"Did you mean {', '.join(repr(name) for name in near)}? " if near else ""
        return hint + "Use a path or name of the taxonomy, or map the label to nodes in a label map."


@lru_cache(maxsize=1)
def _shipped() -> Taxonomy:
    return Taxonomy.from_yaml(*shipped_texts().values())


def shipped_texts() -> dict[str, str]:
    """File name -> YAML of the parts of the shipped tree, in their order."""
    parts = sorted((part for part in files("skinr1.taxonomy").joinpath("skin").iterdir()), key=lambda part: part.name)
    return {part.name: part.read_text(encoding="utf-8") for part in parts if part.name.endswith(".yaml")}
