"""Diagnoses as nodes of a tree, identified by their full path."""

from skinr1.taxonomy.labels import LabelMap
from skinr1.taxonomy.lint import lint
from skinr1.taxonomy.tree import Bucket, Node, Taxonomy

__all__ = ["Bucket", "LabelMap", "Node", "Taxonomy", "lint"]
