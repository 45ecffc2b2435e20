"""``skinr1 taxonomy [show|lint|resolve "label"]``: the tree for people."""

import sys

from rich.console import Console
from rich.tree import Tree

from skinr1.errors import UserError
from skinr1.taxonomy.lint import lint
from skinr1.taxonomy.tree import Taxonomy

_COLOUR = {"malignant": "red", "indeterminate": "yellow", "benign": "green", "non_neoplastic": "cyan"}


def main(argv: list[str]) -> None:
    """Raises UserError for an unknown action or label, or a tree with faults."""
    action, *rest = argv or ["show"]
    taxonomy = Taxonomy.load()
    if action == "show":
        Console().print(as_tree(taxonomy))
    elif action == "lint":
        faults = lint(taxonomy)
        print("\n".join(faults) or f"{len(taxonomy.nodes)} nodes, {len(taxonomy.leaves)} diagnoses, no fault")
        if faults:
            sys.exit(1)
    elif action == "resolve" and rest:
        for node in sorted(taxonomy.resolve(" ".join(rest))):
            print(f"{node}  [{taxonomy.bucket(node)}]")
    else:
        raise UserError("unknown action", action, 'Use: skinr1 taxonomy show | lint | resolve "label".')


def as_tree(taxonomy: Taxonomy) -> Tree:
    """A readable tree with risk buckets."""
    root = Tree(f"taxonomy {taxonomy.version}, {len(taxonomy.leaves)} diagnoses")
    branches: dict[str | None, Tree] = {None: root}
    for node in taxonomy.nodes.values():
        bucket = f" [{_COLOUR[node.bucket]}]{node.bucket}[/]" if node.bucket else ""
        branches[node.id] = branches[node.parent].add(f"{node.name}{bucket}")
    return root
