"""``skinr1 report`` and ``skinr1 key``."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from PIL.Image import Image

from skinr1 import config, prompts
from skinr1.arguments import Parser
from skinr1.cases import Case, Role
from skinr1.errors import UserError
from skinr1.images import load_image, png_bytes
from skinr1.report import InvalidAnswer, Report, parse
from skinr1.serving.client import AsyncClient, Sampling, request_body
from skinr1.serving.envelope import Limitation, RedFlag
from skinr1.serving.gateway import keys
from skinr1.serving.gateway.settings import read_key
from skinr1.serving.quality import declining_report, gate, measure
from skinr1.serving.rules import apply_rules
from skinr1.serving.text import passage_titles, render_text
from skinr1.taxonomy import Taxonomy


@dataclass
class ReportArguments:
    """Images of ONE case (several views), and what the patient told."""

    images: list[Path] = field(default_factory=list, metadata={"help": "Image files; also as plain arguments."})
    age: int | None = field(default=None, metadata={"help": "Years."})
    sex: Literal["female", "male"] | None = field(default=None, metadata={"help": "female or male."})
    site: str | None = field(default=None, metadata={"help": "Where on the body."})
    history: list[str] = field(default_factory=list, metadata={"help": "Complaints, such as itch bleeding."})
    url: str = field(default="http://127.0.0.1:8000/v1", metadata={"help": "Server, ending in /v1."})
    model: str | None = field(default=None, metadata={"help": "Served name; default: the server's last."})
    key_file: Path | None = field(default=None, metadata={"help": "File with the API key, where the server wants one."})
    separate: bool = field(default=False, metadata={"help": "One report per image instead of one for all of them."})
    format: Literal["text", "json"] = field(default="text", metadata={"help": "text or json."})
    reasoning: bool = field(default=False, metadata={"help": "Show the model's reasoning, too."})
    knowledge: Path | None = field(default=None, metadata={"help": "Knowledge folder, for titles of citations."})
    max_tokens: int = field(default=2048, metadata={"help": "Longest answer, in tokens."})
    temperature: float = field(default=0.0, metadata={"help": "0 gives the same report each time."})
    seed: int = field(default=17, metadata={"help": "Seed of sampling."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})


def report_main(argv: Sequence[str] | None = None) -> None:
    """``skinr1 report IMAGE… [--age 61 --sex female …] --url … --format text``: one validated report.

    Image gate and red flags are the gateway's, applied here: they hold for a plain vLLM server, too.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    plain = next((i for i, part in enumerate(arguments) if part.startswith("-")), len(arguments))
    args = config.parse(ReportArguments, arguments[plain:], "skinr1 report IMAGE...")
    images = [*map(Path, arguments[:plain]), *args.images]
    if not images:
        raise UserError("no image given", "skinr1 report", "Write: skinr1 report IMAGE… --url URL.")
    taxonomy = Taxonomy.load(args.taxonomy)
    titles = passage_titles(args.knowledge) if args.knowledge else {}
    groups = [[path] for path in images] if args.separate else [images]
    for group, told in zip(groups, asyncio.run(_ask(args, groups, taxonomy)), strict=True):
        if args.format == "json":
            print(json.dumps(_row(group, told, args.reasoning), ensure_ascii=False))
        else:
            print(", ".join(map(str, group)))
            print(_text(told, taxonomy, titles, args.reasoning), end="\n\n")


@dataclass(frozen=True)
class _Told:
    """A report with what the rules and the image gate say; ``refused`` instead of one that a model was asked for."""

    report: Report
    thinking: str
    red_flags: tuple[RedFlag, ...]
    limitations: tuple[Limitation, ...]
    refused: str | None = None


def _row(images: Sequence[Path], told: _Told, reasoning: bool) -> dict[str, Any]:
    row = {
        "images": [str(path) for path in images],
        "report": told.report.model_dump(mode="json"),
        "red_flags": [flag.model_dump() for flag in told.red_flags],
        "limitations": [limitation.model_dump() for limitation in told.limitations],
        "refused": told.refused,
    }
    return row | ({"reasoning": told.thinking} if reasoning else {})


def _text(told: _Told, taxonomy: Taxonomy, titles: Mapping[str, str], reasoning: bool) -> str:
    flags, limitations = [flag.text for flag in told.red_flags], [one.text for one in told.limitations]
    thinking = told.thinking if reasoning else None
    return render_text(told.report, taxonomy, titles, thinking, red_flags=flags, limitations=limitations)


async def _ask(args: ReportArguments, groups: Sequence[Sequence[Path]], taxonomy: Taxonomy) -> list[_Told]:
    loaded = [[load_image(path) for path in group] for group in groups]
    case = Case(
        case_id="asked",
        source="command line",
        images=tuple(str(path) for path in groups[0]),
        role=Role.SPARSE,
        age=args.age,
        sex=args.sex,
        site=args.site,
        history=tuple(args.history),
        licence="user",
    )
    key = read_key(args.key_file) if args.key_file else None
    async with AsyncClient(args.url, key=key) as client:
        model = args.model or (await client.models())[-1]
        await client.check_model(model)
        banned = await client.image_tokens(model)
        sampling = Sampling(True, args.max_tokens, args.temperature, args.seed, banned)

        async def one(pictures: list[Image]) -> _Told:
            checked = gate([measure(picture) for picture in pictures])
            if checked.refused:
                return _Told(declining_report(), "", (), checked.limitations, checked.refused)
            shown = [png_bytes(pictures[number]) for number in checked.usable]
            messages = prompts.messages(prompts.question(case), len(shown))
            completion = await client.complete(request_body(model, messages, shown, sampling, taxonomy))
            if completion.finish_reason == "length":
                raise UserError(f"answer was cut at {args.max_tokens} tokens", model, "Raise --max_tokens.")
            try:
                answer = parse(completion.text, taxonomy)
            except InvalidAnswer as error:
                advice = "Does this server honour structural tags? Start it with: skinr1 serve."
                raise UserError(f"the server returned no valid report ({error})", args.url, advice) from None
            report, flags = apply_rules(answer.report, taxonomy)
            return _Told(report, answer.thinking, flags, checked.limitations)

        return list(await asyncio.gather(*map(one, loaded)))


_KEY_EXAMPLES = """\
examples:
  skinr1 key add clinic --file keys.txt        shows the new key once; the file holds only its hash
  skinr1 key list --file keys.txt
  skinr1 key revoke clinic --file keys.txt     a running gateway refuses the key from the next request on
"""


def key_main(argv: Sequence[str] | None = None) -> None:
    """``skinr1 key add | list | revoke``. Raises UserError for a name that is taken or unknown."""
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser("skinr1 key", description="API keys of a gateway.", epilog=_KEY_EXAMPLES, formatter_class=form)
    parser.add_argument("action", choices=("add", "list", "revoke"))
    parser.add_argument("name", nargs="?", help="who the key is for")
    parser.add_argument("--file", type=Path, required=True, help="the file that skinr1 serve is given as --keys")
    args = parser.parse_args(argv)
    if args.action == "list":
        print("\n".join(keys.read_keys(args.file)))
    elif args.name is None:
        raise UserError("no name given", f"skinr1 key {args.action}", "Say whose key it is.")
    elif args.action == "add":
        print(keys.add_key(args.file, args.name))
    else:
        keys.revoke_key(args.file, args.name)
        print(f"revoked: {args.name}")
