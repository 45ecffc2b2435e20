"""A tree of a test's own."""

from skinr1.taxonomy import Taxonomy


def small(tree: str) -> Taxonomy:
    """The tree of one YAML mapping."""
    return Taxonomy.from_yaml(f'version: "t"\ntree: {tree}')
