"""A small tree, and prediction rows of one: what the tests of metrics score."""

import json

from skinr1.metrics import columns_of, outcomes
from skinr1.metrics.catalogue import Seen
from skinr1.metrics.estimate import estimates
from skinr1.metrics.tree import Tree
from skinr1.seven_point import CRITERIA
from skinr1.taxonomy import Taxonomy

TREE = Taxonomy.from_yaml("""
version: test
tree:
  neoplasm:
    children:
      benign:
        bucket: benign
        children:
          melanocytic: {children: {nevus: {}, blue_nevus: {}}}
          keratosis: {}
      malignant:
        bucket: malignant
        children:
          melanocytic: {children: {melanoma: {}}}
          bcc: {}
  inflammatory:
    bucket: non_neoplastic
    children:
      eczema: {}
  infectious:
    bucket: non_neoplastic
    children:
      herpes: {contagious: true}
""")
ARRAYS = Tree(TREE)
NEVUS = "neoplasm/benign/melanocytic/nevus"
BLUE = "neoplasm/benign/melanocytic/blue_nevus"
KERATOSIS = "neoplasm/benign/keratosis"
MELANOMA = "neoplasm/malignant/melanocytic/melanoma"
BCC = "neoplasm/malignant/bcc"
ECZEMA = "inflammatory/eczema"
INFECTION = "infectious/herpes"


def text(diagnosis, condition=None):
    bucket = condition or TREE.bucket(diagnosis) or "benign"
    entry = {"diagnosis": diagnosis, "probability": 0.9, "evidence_for": [], "evidence_against": []}
    report = {
        "schema_version": "v1",
        "findings": [],
        "diagnosis": diagnosis,
        "condition": str(bucket),
        "differential": [entry],
        "confidence": "low",
        "advice": "routine_visit",
        "citations": [],
        "disclaimer": "Research software, not a medical device.",
    }
    return f"<think>because</think>\n{json.dumps(report)}"


def row(number, truth, said, patient=None, tone=None, condition=None):
    """``said``: a node, a (node, condition) pair, or None for an invalid answer."""
    truth = (truth,) if isinstance(truth, str) else truth
    answer = "no report at all" if said is None else text(*((said,) if isinstance(said, str) else said))
    return {
        "case_id": f"c{number:03}",
        "patient_id": patient,
        "source": "test",
        "skin_tone": tone,
        "diagnoses": list(truth),
        "label": None,
        "condition": condition or TREE.bucket(truth[0]),
        "image": "",
        "text": answer,
        "finish_reason": "stop",
    }


def full_row(number, truth, said, **changes):
    """A row that every metric concerns: annotated signs, a whole checklist, readers, and an answer that agrees."""
    counting = [name for values in CRITERIA.values() for counts, name in values.values() if counts]
    differential = [[truth, 0.6], [KERATOSIS if truth != KERATOSIS else BLUE, 0.4]]
    report = json.loads(text(said).partition("\n")[2])
    report["findings"] = ["irregular network", "papule"]
    report["differential"][0]["probability"] = 1.0
    made = {
        **row(number, truth, said),
        "text": f"<think>An irregular network and a papule: {TREE.node(said).name}.</think>\n{json.dumps(report)}",
        "findings": ["irregular network", "papule"],
        "findings_absent": [name for name in counting if name != "irregular network"],
        "differential": differential,
        "readers": [[[truth], [differential[1][0]]], [[truth]]],
    }
    return {**made, **changes}


def seen(rows):
    """Rows as the metrics see them."""
    return Seen(columns_of(outcomes(rows, TREE), TREE), ARRAYS)


def run(*pairs, **extra):
    return seen([row(i, truth, said, **extra) for i, (truth, said) in enumerate(pairs)])


def value(metric, results):
    return estimates([metric], results, resamples=50)[metric.name].value
