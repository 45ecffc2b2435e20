"""What the gateway allows; a part of `skinr1 serve`'s configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from skinr1.errors import UserError
from skinr1.serving.process import mapping

T = TypeVar("T")
# Values of the policies that are words.
TEXTS = {"malignant_advice", "contagious_advice", "infectious_advice", "emergency_advice", "weights"}


@dataclass
class GatewaySettings:
    """Who may ask, how much, and where batch jobs are kept."""

    keys: Path | None = field(
        default=None, metadata={"help": "File of API keys (skinr1 key add); without it only this machine may ask."}
    )
    upstreams: list[str] = field(
        default_factory=list,
        metadata={"help": "vLLM servers started elsewhere (http://host:8000/v1 …); none starts one of our own."},
    )
    upstream_key: Path | None = field(
        default=None, metadata={"help": "File with the API key of those servers, where they want one."}
    )
    image_hosts: list[str] = field(
        default_factory=list, metadata={"help": "Hosts that images may be fetched from by address; none by default."}
    )
    knowledge: Path | None = field(
        default=None,
        metadata={"help": "Knowledge folder; citations it does not hold are removed, without it all."},
    )
    page: bool = field(default=True, metadata={"help": "A page for people at /page."})
    quality: dict[str, float] | str | None = field(
        default=None, metadata={"help": "Bounds of the image gate that differ, as {side: 150}; docs/report_safety.md."}
    )
    red_flags: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Thresholds of the red-flag rule that differ, as {malignant: 0.1}."}
    )
    voting: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "How several answers become one, where it differs, as {support: 0.7}."}
    )
    jobs: Path = field(default=Path("runs/jobs"), metadata={"help": "Folder of batch jobs; holds images until done."})
    keep_hours: int = field(default=72, metadata={"help": "Finished batch jobs are removed after so many hours."})
    batch_concurrency: int = field(default=4, metadata={"help": "Cases of batch jobs under way at once."})
    max_requests: int = field(default=128, metadata={"help": "Requests under way at once; further ones get 429."})
    max_body_mib: int = field(default=20, metadata={"help": "Largest request body."})
    body_seconds: int = field(default=60, metadata={"help": "Longest time a body may take to arrive."})
    max_header_kib: int = field(default=16, metadata={"help": "Largest request line with headers."})
    max_json_depth: int = field(default=32, metadata={"help": "Deepest nesting of a JSON body."})
    decode_seconds: int = field(default=30, metadata={"help": "Longest time a request's images may take to decode."})
    answer_seconds: int = field(default=600, metadata={"help": "Longest time one answer may take, reading included."})
    answer_tokens: int = field(default=3000, metadata={"help": "Longest answer of a report, reasoning included."})
    drain_seconds: int = field(default=60, metadata={"help": "Time that running requests get after SIGTERM."})

    @property
    def max_body(self) -> int:
        """Bytes."""
        return self.max_body_mib * 2**20


def named(policy: type[T], changes: Mapping[str, Any] | str | None, key: str) -> T:
    """A policy with some of its values changed by name.

    Raises:
        UserError: no such value, or one that does not fit.
    """
    given = mapping(changes, key)
    known = {known.name for known in fields(policy)}  # type: ignore[arg-type]
    if unknown := sorted(given.keys() - known):
        raise UserError(f"{key} has no {unknown[0]!r}", key, f"Use of: {', '.join(sorted(known))}.")
    if wrong := sorted(name for name, value in given.items() if isinstance(value, str) and name not in TEXTS):
        raise UserError(f"{key}: {wrong[0]} is no number", str(given[wrong[0]]), "Write a number.")
    return policy(**given)


def read_key(path: Path) -> str:
    """The API key in a file. Raises UserError when the file is missing."""
    if not path.is_file():
        raise UserError("file with the API key not found", str(path), "Correct the path.")
    return path.read_text(encoding="utf-8").strip()


LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def check_exposure(host: str, settings: GatewaySettings) -> None:
    """Raises UserError when the gateway would listen to a network without keys."""
    if settings.keys is None and host not in LOOPBACK:
        raise UserError(
            "no API keys, and not only this machine could ask",
            host,
            "Make a key (skinr1 key add NAME --file keys.txt) and give --keys keys.txt, or listen on 127.0.0.1.",
        )
