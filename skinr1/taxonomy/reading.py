"""YAML -> nodes: the form of a taxonomy file, checked by a schema, unknown keys and repeated keys refused."""

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from skinr1.errors import UserError
from skinr1.taxonomy.node import Bucket, Node

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = "tag:yaml.org,2002:null"


def _listed(value: Any) -> Any:
    """One code may be written without the brackets of a list."""
    return (value,) if isinstance(value, str) else value


Codes = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Entry(BaseModel):
    """One node as a file writes it; the key above it is the last part of its path.

    ``distinct_from`` maps a label that reads like a parent of this node ("psoriasis" for guttate psoriasis) to the
    reason why it is none; :func:`skinr1.taxonomy.lint.lint` accepts only these exceptions.
    """

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    bucket: Bucket | None = None
    contagious: bool = False
    diagnosis: bool = False
    icd10cm: Codes = ()
    doid: Codes = ()
    isic: Codes = ()
    aliases: tuple[str, ...] = ()
    distinct_from: dict[str, str] = Field(default_factory=dict)
    children: dict[str, "Entry | None"] = Field(default_factory=dict)


class Document(BaseModel):
    """One file: a tree, or a part of one that hangs below the group ``under``."""

    model_config = ConfigDict(extra="forbid")

    version: str | None = None
    under: str | None = None
    tree: dict[str, Entry | None]

    @classmethod
    def parse(cls, text: str, where: str = "the taxonomy") -> Self:
        """Raises UserError: not YAML, a key that repeats or is unknown, a value of the wrong kind."""
        try:
            data = _plain(yaml.compose(text, Loader=_LOADER), where, ())
        except yaml.YAMLError as error:
            raise UserError(f"not YAML ({error})", where, "Correct the file.") from None
        if not isinstance(data, dict) or "tree" not in data:
            raise UserError("no `version` and `tree`", where, "Write both at the top of the YAML.")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise _complaint(error, where) from None


@contextmanager
def no_collection() -> Iterator[None]:
    """A parse makes tens of thousands of objects that all live on; looking for garbage among them is half its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read(documents: Iterable[Document]) -> tuple[str, list[Node]]:
    """Version and nodes, parents before children, of one document or of the parts of one tree.

    Raises:
        UserError: no version, a part that hangs below a group that no part before it has, or a path written twice.
    """
    version, top = None, Entry()
    for document in documents:
        version = version or document.version
        place = top
        for key in document.under.split("/") if document.under else ():
            found = place.children.get(key)
            if found is None:
                raise UserError("a part of the taxonomy hangs below nothing", str(document.under), "Correct `under`.")
            place = found
        for key, entry in document.tree.items():
            if key in place.children:
                raise UserError("path occurs twice in the taxonomy", f"{document.under}/{key}", "Keep one entry.")
            place.children[key] = entry or Entry()
    if version is None:
        raise UserError("no `version` and `tree`", "the taxonomy", "Write both at the top of the YAML.")
    return version, list(_walk(top.children, "", None))


def _walk(tree: Mapping[str, Entry | None], prefix: str, bucket: Bucket | None) -> Iterator[Node]:
    """A bucket stated at a group holds for members that state none; names never decide it."""
    for key, entry in tree.items():
        entry = entry or Entry()
        own = entry.bucket or bucket
        yield Node(
            id=f"{prefix}{key}",
            name=entry.name or key.replace("_", " "),
            bucket=own,
            aliases=entry.aliases,
            contagious=entry.contagious,
            diagnosis=entry.diagnosis or not entry.children,
            icd10cm=entry.icd10cm,
            doid=entry.doid,
            isic=entry.isic,
            distinct_from=tuple(entry.distinct_from.items()),
        )
        yield from _walk(entry.children, f"{prefix}{key}/", own)


def _plain(node: yaml.Node | None, where: str, path: tuple[str, ...]) -> Any:
    """Text, lists and mappings of a YAML graph. PyYAML's own constructor keeps the last of two equal keys in silence
    and reads ``no`` and ``1e5`` as no text; both would change what a tree says.
    """
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == _NULL else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, where, path) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return None
    if len(path) > 100:
        raise UserError("a group contains itself (cycle)", "/".join(path[:4]), "Remove the YAML alias.")
    mapping: dict[str, Any] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else repr(key.value)
        if name in mapping:
            spot = "/".join(part for part in (*path, name) if part not in ("tree", "children"))
            raise UserError(f"key occurs twice in {where}", spot, "Keep one entry.")
        mapping[name] = _plain(value, where, (*path, name))
    return mapping


def _complaint(error: ValidationError, where: str) -> UserError:
    """The first fault of a document as one line that names the node."""
    first = error.errors(include_url=False, include_context=False)[0]
    *path, key = (str(part) for part in first["loc"])
    spot = "/".join(part for part in path if part not in ("tree", "children", "Entry")) or where
    if first["type"] == "extra_forbidden":
        return UserError(f"unknown key {key!r} in the taxonomy", spot, "Correct the YAML.")
    if "bucket" in (key, *path):
        return UserError(f"unknown bucket {first['input']!r}", spot, f"Use one of: {', '.join(Bucket)}.")
    return UserError(f"{key}: {first['msg']}", spot, "Correct the YAML.")
