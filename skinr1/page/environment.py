"""The one jinja2 environment of all pages: everything is escaped, a missing value is an error."""

import re

from jinja2 import Environment, PackageLoader, StrictUndefined

from skinr1.metrics.table import show
from skinr1.taxonomy import Taxonomy


def environment(taxonomy: Taxonomy) -> Environment:
    """Templates of this folder, with the filters ``estimate``, ``words``, ``node``, ``anchor`` and ``path``."""
    made = Environment(
        loader=PackageLoader("skinr1.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["estimate"] = show
    made.filters["words"] = lambda name: str(name).replace("_", " ")
    made.filters["node"] = lambda node: node_name(node, taxonomy)
    made.filters["anchor"] = lambda name: re.sub(r"[^\w-]", "-", str(name))
    made.filters["path"] = lambda node: node_path(node, taxonomy)
    return made


def node_name(node: str, taxonomy: Taxonomy) -> str:
    """Readable form of a node id, or of several joined by `` | ``; other words come back as they are."""
    return " or ".join(taxonomy.node(part).name if part in taxonomy.nodes else part for part in node.split(" | "))


def node_path(node: str, taxonomy: Taxonomy) -> str:
    """Names from the top of the tree to the node."""
    return " › ".join(taxonomy.node(step).name for step in taxonomy.path(node))
