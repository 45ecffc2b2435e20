"""A data set's own labels, mapped to sets of nodes."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from skinr1.errors import UserError
from skinr1.taxonomy.tree import Taxonomy


@dataclass(frozen=True)
class LabelTarget:
    """What one label means: the nodes it may denote and how sure the map is (0 to 1).

    A label without a node (``miscellaneous``, ``unknown``) has the reason in ``unmapped`` and no nodes.
    """

    nodes: frozenset[str]
    confidence: float
    note: str = ""
    unmapped: str = ""


class LabelMap:
    """Label -> set of nodes. One label may be several nodes (``akiec`` is two, ``bkl`` several).

    Raises:
        UserError: an entry names a node that is not in the taxonomy.
    """

    def __init__(self, name: str, entries: dict[str, LabelTarget], taxonomy: Taxonomy):
        self.name = name
        self.entries = entries
        for label, target in entries.items():
            for node in sorted(target.nodes - taxonomy.nodes.keys()):
                raise UserError(
                    f"label map {name!r} sends {label!r} to a node that does not exist",
                    node,
                    "Correct the map's entry.",
                )

    @classmethod
    def load(cls, name_or_path: str, taxonomy: Taxonomy) -> "LabelMap":
        """A shipped map by name (``pad_ufes_20``) or a YAML file of the same form."""
        path = Path(name_or_path)
        if path.suffix in {".yaml", ".yml"}:
            if not path.is_file():
                raise UserError("label map not found", name_or_path, "Correct the path.")
            text, name = path.read_text(encoding="utf-8"), path.stem
        else:
            resource = files("skinr1.taxonomy").joinpath("label_maps", f"{name_or_path}.yaml")
            if not resource.is_file():
                raise UserError("no such shipped label map", repr(name_or_path), "Give a path to a YAML file instead.")
            text, name = resource.read_text(encoding="utf-8"), name_or_path
        try:
            document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"not YAML ({reason})", f"label map {name!r}", "Correct the file.") from None
        labels = document.get("labels") if isinstance(document, dict) else None
        if not isinstance(labels, dict):
            raise UserError("no mapping `labels`", f"label map {name!r}", "Write `labels: {LABEL: {nodes: [path]}}`.")
        return cls(name, {str(label): _target(label, entry, name) for label, entry in labels.items()}, taxonomy)

    def resolve(self, label: str) -> LabelTarget:
        """Raises UserError for a label the map does not list: silence is never a mapping."""
        if label not in self.entries:
            known = ", ".join(sorted(self.entries))
            raise UserError(
                f"label is not in map {self.name!r}", repr(label), f"Add it, or correct it to one of: {known}."
            )
        return self.entries[label]

    def diagnoses(self, label: str) -> tuple[str, ...]:
        """Sorted nodes of a label, as a Case holds them. Raises UserError also when the label is unmapped."""
        target = self.resolve(label)
        if target.unmapped:
            raise UserError(f"label has no diagnosis ({target.unmapped})", repr(label), "Nothing to do: it is listed.")
        return tuple(sorted(target.nodes))


def _target(label: object, entry: Any, name: str) -> LabelTarget:
    """One entry of a map; a single path in place of the list would be read letter by letter, so it is refused."""
    if isinstance(entry, dict) and "unmapped" in entry:
        reason = entry["unmapped"]
        if len(entry) > 1 or not isinstance(reason, str) or not reason.strip():
            raise UserError(f"label map {name!r}: unmapped without a reason", repr(label), "Write `unmapped: reason`.")
        return LabelTarget(frozenset(), 0.0, unmapped=reason)
    nodes = entry.get("nodes") if isinstance(entry, dict) else None
    if not isinstance(nodes, list) or not nodes:
        raise UserError(f"label map {name!r} has no list of nodes", repr(label), "Write `nodes: [path, …]`.")
    confidence = entry.get("confidence", 1.0)
    if not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        raise UserError(f"label map {name!r}: confidence is not in 0 to 1", repr(label), "Correct it.")
    return LabelTarget(frozenset(map(str, nodes)), float(confidence), str(entry.get("note", "")))
