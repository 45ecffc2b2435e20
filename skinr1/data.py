"""``skinr1 data card | browse``: what a build holds and lacks, and its cases with their reasoning, for people."""

import argparse
from pathlib import Path

from skinr1.arguments import Parser
from skinr1.browse import PER_PAGE, locate, write_gallery
from skinr1.datacard import FEW, FILES, write_card
from skinr1.progress import progress_bar
from skinr1.taxonomy import Taxonomy

_EPILOG = """\
examples:
  skinr1 data card runs/cases                           card.json, card.md and card.html in that folder
  skinr1 data card runs/trajectories                    the same of the cases that have a trajectory
  skinr1 data browse runs/trajectories                  the gallery of its cases, in runs/trajectories/browse
  skinr1 data browse runs/cases                         all cases, with the trajectories that were made from them
"""


def main(argv: list[str]) -> None:
    """Raises UserError for an unknown action or a folder that cannot be read."""
    args = _parser().parse_args(argv)
    {"card": _card, "browse": _browse}[args.action](args)


def _parser() -> argparse.ArgumentParser:
    shared = Parser(add_help=False)
    shared.add_argument("--taxonomy", type=Path, help="a tree's YAML instead of the shipped one")
    parser = Parser(
        "skinr1 data",
        description="Look at what a stage built.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="card | browse")
    card = actions.add_parser("card", parents=[shared], help="count a build and state its gaps")
    card.add_argument("folder", type=Path, help="a finished folder of cases or of trajectories")
    card.add_argument("--cases", type=Path, help="the cases of trajectories (default: found beside the folder)")
    card.add_argument("--few", type=int, default=FEW, help="name diagnoses of fewer cases (default: %(default)s)")
    browse = actions.add_parser("browse", parents=[shared], help="write a gallery to look through in a browser")
    browse.add_argument("folder", type=Path, help="a finished folder of cases or of trajectories")
    browse.add_argument("--output", type=Path, help="folder to write (default: browse in that folder)")
    browse.add_argument("--per-page", type=int, default=PER_PAGE, help="cases a page (default: %(default)s)")
    for name, what in (
        ("cases", "the cases that the trajectories were made from"),
        ("knowledge", "the knowledge that the trajectories cite"),
        ("trajectories", "the trajectories made from the cases"),
    ):
        browse.add_argument(f"--{name}", type=Path, help=f"{what} (default: found beside the folder)")
    return parser


def _card(args: argparse.Namespace) -> None:
    with progress_bar() as bar:
        made = write_card(
            args.folder,
            Taxonomy.load(args.taxonomy),
            args.few,
            args.cases,
            lambda cases: bar.track(cases, description="card: cases"),
        )
    for gap in made["gaps"]:
        print(f"gap: {gap['text']}")
    print(f"wrote {', '.join(str(args.folder / name) for name in FILES)}")


def _browse(args: argparse.Namespace) -> None:
    folders = locate(args.folder, args.cases, args.knowledge, args.trajectories)
    output = args.output or args.folder / "browse"
    with progress_bar() as bar:
        done = write_gallery(
            folders,
            output,
            Taxonomy.load(args.taxonomy),
            args.per_page,
            lambda ids: bar.track(ids, description="browse: cases"),
        )
    print(f"cases: {done.cases}\npages: {done.pages}\ntrajectories: {done.trajectories}\nrejected: {done.rejected}")
    if done.missing:
        print(f"pictures that could not be shown: {done.missing}")
    if done.unknown:
        print(f"cited passages that are in no book: {', '.join(done.unknown)}")
    print(f"open {output / 'index.html'}")
