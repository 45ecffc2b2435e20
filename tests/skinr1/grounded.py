"""A small tree, textbook and cases that the tests of trajectories and of their builders share."""

import json
from pathlib import Path

from skinr1.cases import Case, Finding, Role
from skinr1.knowledge import Knowledge
from skinr1.taxonomy import Taxonomy

TREE = """
version: test
tree:
  neoplasm:
    children:
      benign:
        bucket: benign
        children:
          melanocytic: {children: {common_nevus: {}, dysplastic_nevus: {}}}
          keratinocytic: {children: {seborrheic_keratosis: {}}}
      malignant:
        bucket: malignant
        children:
          melanocytic: {children: {melanoma: {}}}
  inflammatory:
    bucket: non_neoplastic
    children:
      papulosquamous: {children: {psoriasiform: {children: {plaque_psoriasis: {}}}}}
  infectious:
    bucket: non_neoplastic
    children:
      fungal: {children: {dermatophytosis: {children: {tinea_corporis: {}}}}}
"""
NEVUS = "neoplasm/benign/melanocytic/common_nevus"
DYSPLASTIC = "neoplasm/benign/melanocytic/dysplastic_nevus"
KERATOSIS = "neoplasm/benign/keratinocytic/seborrheic_keratosis"
MELANOMA = "neoplasm/malignant/melanocytic/melanoma"
PSORIASIS = "inflammatory/papulosquamous/psoriasiform/plaque_psoriasis"
TINEA = "infectious/fungal/dermatophytosis/tinea_corporis"

SHOWN = {
    NEVUS: ["papule", "macule", "brown colour", "sharp border", "regular network"],
    DYSPLASTIC: ["macule", "brown colour", "irregular border", "several colours"],
    KERATOSIS: ["papule", "plaque", "brown colour", "warty surface"],
    MELANOMA: ["plaque", "black colour", "brown colour", "irregular border", "bleeding"],
    PSORIASIS: ["plaque", "red colour", "sharp border", "silvery scale"],
    TINEA: ["plaque", "red colour", "ring shape", "scale"],
}
EDGES = [
    (NEVUS, DYSPLASTIC, ["sharp border"]),
    (NEVUS, KERATOSIS, ["smooth surface"]),
    (KERATOSIS, NEVUS, ["warty surface"]),
    (MELANOMA, NEVUS, ["irregular border"]),
    (PSORIASIS, TINEA, ["silvery scale"]),
    (TINEA, PSORIASIS, ["ring shape"]),
]


def tree() -> Taxonomy:
    return Taxonomy.from_yaml(TREE)


def write_knowledge(folder: Path) -> Path:
    """A knowledge stage of one morphology and one differential passage a diagnosis."""
    slug = {node: node.rpartition("/")[2].replace("_", "-") for node in SHOWN}
    text = {(node, "morphology"): f"It shows {', '.join(names)}." for node, names in SHOWN.items()}
    for node, rival, names in EDGES:
        text[node, "differential"] = (
            text.get((node, "differential"), "") + f"Against {slug[rival]}: {', '.join(names)}. "
        )
    passages = [
        {
            "id": f"primer:{slug[node]}#{kind}",
            "source": "primer",
            "section": slug[node],
            "diagnoses": [node],
            "page": None,
            "kind": kind,
            "text": words,
            "start": 0,
            "end": len(words),
        }
        for (node, kind), words in text.items()
    ]
    rules = [
        {
            "diagnosis": node,
            "concept": name,
            "passage": f"primer:{slug[node]}#morphology",
            "negated": False,
            "frequency": "typical",
        }
        for node, names in SHOWN.items()
        for name in names
    ]
    edges = [
        {"diagnosis": a, "rival": b, "signs": names, "passage": f"primer:{slug[a]}#differential"}
        for a, b, names in EDGES
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("passages", passages), ("rules", rules), ("differentials", edges)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    return folder


def knowledge(folder: Path) -> Knowledge:
    return Knowledge.load(write_knowledge(folder))


def case(
    *diagnoses: str,
    present: tuple[str, ...] = (),
    absent: tuple[str, ...] = (),
    role: Role = Role.DENSE,
    split: str | None = "train",
    case_id: str = "case-1",
    **more: object,
) -> Case:
    found = [Finding(concept=name) for name in present] + [Finding(concept=name, present=False) for name in absent]
    return Case.model_validate(
        {
            "case_id": case_id,
            "source": "test",
            "images": ("images/a.png",),
            "role": role,
            "diagnoses": tuple(sorted(diagnoses)),
            "findings": tuple(found),
            "licence": "CC0-1.0",
            "split": split,
            **more,
        }
    )
