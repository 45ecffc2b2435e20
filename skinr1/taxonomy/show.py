"""``skinr1 taxonomy show | lint | resolve | crosswalk``: the tree for people and, with ``--json``, for programs."""

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.tree import Tree

from skinr1.arguments import Parser
from skinr1.errors import UserError
from skinr1.taxonomy.codes import checkers
from skinr1.taxonomy.crosswalk import crosswalk
from skinr1.taxonomy.importing import lint_file
from skinr1.taxonomy.lint import lint
from skinr1.taxonomy.node import SYSTEMS, Node
from skinr1.taxonomy.tree import Taxonomy

_COLOUR = {"malignant": "red", "indeterminate": "yellow", "benign": "green", "non_neoplastic": "cyan"}
_EPILOG = """\
examples:
  skinr1 taxonomy show                                  the groups of the shipped tree, three levels deep
  skinr1 taxonomy show melanoma --depth 9               one part of it, named by label or by path
  skinr1 taxonomy resolve "basal cell epithelioma"      the node a label names, with its path, risk and codes
  skinr1 taxonomy resolve "seboroic keratosis"          an unknown label: the nearest nodes with scores
  skinr1 taxonomy lint                                  faults of the shipped tree; exit code 1 when there are any
  skinr1 taxonomy lint --file mine.csv                  faults of your own tree, before you train on it
  skinr1 taxonomy crosswalk mine.csv --json             your nodes and their counterparts in the shipped tree

your own tree (--file) is YAML or JSON of the shipped form (skinr1/taxonomy/skin/), a CSV or TSV with the columns
  id, name, parent, bucket, aliases, contagious, diagnosis, icd10cm, isic, doid      (aliases separated by ;)
a JSON list of such rows, {name: [its members]} from "root" on, or Skin-R1's {synonym_map, subtype_map, ...}.
bucket is benign, indeterminate, malignant or non_neoplastic; one stated at a group holds for members that state none.
"""


def main(argv: list[str]) -> None:
    """Raises UserError for an unknown action, file or subtree; exits with 1 for faults and unknown labels."""
    args = _parser().parse_args(argv or ["show"])
    {"show": _show, "lint": _lint, "resolve": _resolve, "crosswalk": _crosswalk}[args.action](args)


def _parser() -> argparse.ArgumentParser:
    shared = Parser(add_help=False)
    shared.add_argument("--file", type=Path, help="your own tree instead of the shipped one")
    shared.add_argument("--json", action="store_true", help="print JSON for programs")
    parser = Parser(
        "skinr1 taxonomy",
        description="The tree of diagnoses: look at it, check it, find a label in it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="show | lint | resolve | crosswalk")
    show = actions.add_parser("show", parents=[shared], help="print the tree, or the part below a label or path")
    show.add_argument("subtree", nargs="*", help="label or path of the part to print; default: the whole tree")
    show.add_argument("--depth", type=int, help="levels to print below the start; default: 3, or all of a part")
    check = actions.add_parser("lint", parents=[shared], help="list faults, one line each")
    check.add_argument("--doid", type=Path, help="JSON list of Disease Ontology terms to check DOIDs against")
    resolve = actions.add_parser("resolve", parents=[shared], help="which node does a label name?")
    resolve.add_argument("label", nargs="+")
    resolve.add_argument("--limit", type=int, default=5, help="candidates to list for an unknown label")
    cross = actions.add_parser("crosswalk", parents=[shared], help="counterparts of a tree's nodes in another tree")
    cross.add_argument("source", type=Path, help="the tree whose nodes are looked up")
    return parser


def _show(args: argparse.Namespace) -> None:
    taxonomy = Taxonomy.load(args.file)
    starts: list[str | None] = [None]
    if args.subtree:
        starts = [*sorted(taxonomy.resolve(" ".join(args.subtree)))]
    depth = args.depth if args.depth is not None else (99 if args.subtree else 3)
    if depth < 1:
        raise UserError("depth is under 1", str(depth), "Give 1 or more.")
    if args.json:
        shown = [node for start in starts for node in _within(taxonomy, start, depth)]
        _print_json([_as_dict(taxonomy, node) for node in shown])
        return
    for start in starts:
        Console().print(as_tree(taxonomy, start, depth))


def _lint(args: argparse.Namespace) -> None:
    with Console(stderr=True).status("reading the code books"):
        known = checkers(args.doid)
    faults = lint_file(args.file, Taxonomy.load(), known) if args.file else lint(Taxonomy.load(), known=known)
    unchecked = [system for system in SYSTEMS if system not in known]
    if args.json:
        _print_json({"faults": faults, "codes_not_checked": unchecked})
    else:
        print("\n".join(faults) or summary(Taxonomy.load(args.file)))
        if unchecked:
            how = "install simple-icd-10-cm and isic-metadata, give --doid FILE"
            print(f"codes not checked: {', '.join(unchecked)} ({how})", file=sys.stderr)
    if faults:
        sys.exit(1)


def _resolve(args: argparse.Namespace) -> None:
    taxonomy, label = Taxonomy.load(args.file), " ".join(args.label)
    found = sorted(taxonomy.labelled(label))
    near = () if found else taxonomy.candidates(label, args.limit)
    if args.json:
        _print_json(
            {
                "label": label,
                "nodes": [_as_dict(taxonomy, taxonomy.node(node_id)) for node_id in found],
                "candidates": [asdict(candidate) for candidate in near],
            }
        )
    elif found:
        for node in map(taxonomy.node, found):
            _print_node(taxonomy, node)
    else:
        print(f"no node is called {label!r}{'; the nearest:' if near else ', and none is near'}")
        table = _columns("score", "label", "path")
        for candidate in near:
            table.add_row(f"{candidate.score:.2f}", candidate.label, candidate.node)
        if near:
            Console().print(table)
    if not found:
        sys.exit(1)


def _crosswalk(args: argparse.Namespace) -> None:
    matches = crosswalk(Taxonomy.load(args.source), Taxonomy.load(args.file))
    if args.json:
        _print_json([asdict(match) for match in matches])
        return
    table = _columns("node", "counterpart", "confidence", "method", "evidence")
    for match in matches:
        table.add_row(match.source, match.target or "—", f"{match.confidence:.2f}", match.method, match.evidence)
    Console().print(table)
    counts = Counter(match.method for match in matches)
    print(", ".join(f"{method} {count}" for method, count in counts.most_common()))


def _columns(*names: str) -> Table:
    """A table that breaks a path instead of cutting it: people copy them."""
    return Table(*(Column(name, overflow="fold") for name in names))


def summary(taxonomy: Taxonomy) -> str:
    """One line: how big the tree is."""
    aliases = sum(len(node.aliases) for node in taxonomy.nodes.values())
    coded = ", ".join(
        f"{sum(bool(taxonomy.node(node_id).codes(system)) for node_id in taxonomy.diagnoses)} {system}"
        for system in SYSTEMS
    )
    depth = max((node.depth for node in taxonomy.nodes.values()), default=0)
    return (
        f"{len(taxonomy.nodes)} nodes, {len(taxonomy.diagnoses)} diagnoses ({len(taxonomy.leaves)} leaves), "
        f"{aliases} aliases, {depth} levels; diagnoses with codes: {coded}; no fault"
    )


def as_tree(taxonomy: Taxonomy, start: str | None = None, depth: int = 99) -> Tree:
    """A readable tree with risk buckets; a group that is cut off says how much is below it."""
    if start is None:
        root = Tree(f"taxonomy {taxonomy.version}, {len(taxonomy.diagnoses)} diagnoses")
    else:
        above = " > ".join(escape(taxonomy.node(step).name) for step in taxonomy.path(start)[:-1])
        root = Tree(f"[dim]{above or 'taxonomy'}[/]")
    branches: dict[str | None, Tree] = {taxonomy.node(start).parent if start else None: root}
    shown = _within(taxonomy, start, depth)
    ids = {node.id for node in shown}
    for node in shown:
        hidden = 0
        if not ids.issuperset(taxonomy.children(node.id)):
            hidden = sum(taxonomy.node(below).diagnosis for below in taxonomy.below(node.id)) - node.diagnosis
        branches[node.id] = branches[node.parent].add(_line(node, hidden))
    return root


def _within(taxonomy: Taxonomy, start: str | None, depth: int) -> list[Node]:
    deepest = depth + (taxonomy.node(start).depth if start else 0)
    ids = taxonomy.below(start) if start else tuple(taxonomy.nodes)
    return [node for node in map(taxonomy.node, ids) if node.depth <= deepest]


def _line(node: Node, hidden: int) -> str:
    name = f"[bold]{escape(node.name)}[/]" if node.diagnosis else f"[italic]{escape(node.name)}[/]"
    bucket = f" [{_COLOUR[node.bucket]}]{node.bucket}[/]" if node.bucket else ""
    contagious = " [magenta]contagious[/]" if node.contagious else ""
    codes = f" [dim]{' '.join(node.icd10cm)}[/]" if node.icd10cm else ""
    return f"{name}{bucket}{contagious}{codes}" + (f" [dim]… {hidden} diagnoses below[/]" if hidden else "")


def _print_node(taxonomy: Taxonomy, node: Node) -> None:
    print(f"{node.id}  [{node.bucket or 'mixed risk'}]{'  contagious' if node.contagious else ''}")
    print(f"  {' > '.join(taxonomy.node(step).name for step in taxonomy.path(node.id))}")
    for system in SYSTEMS:
        if node.codes(system):
            print(f"  {system}: {', '.join(node.codes(system))}")
    if node.aliases:
        print(f"  also: {'; '.join(node.aliases)}")


def _as_dict(taxonomy: Taxonomy, node: Node) -> dict[str, Any]:
    return asdict(node) | {"parent": node.parent, "depth": node.depth, "children": taxonomy.children(node.id)}


def _print_json(data: Any) -> None:
    print(json.dumps(data, ensure_ascii=False, indent=2))
