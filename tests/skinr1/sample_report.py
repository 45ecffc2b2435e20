"""A small tree and one report on it, shared by the tests of what handles reports."""

from skinr1.report import DISCLAIMER, DifferentialEntry, Report
from skinr1.taxonomy import Bucket, Taxonomy

TREE_YAML = """
version: test
tree:
  neoplasm:
    children:
      benign: {bucket: benign, children: {common_nevus: {}, seborrheic_keratosis: {}}}
      malignant: {bucket: malignant, children: {nodular_melanoma: {}}}
"""
TREE = Taxonomy.from_yaml(TREE_YAML)
NEVUS, MELANOMA = "neoplasm/benign/common_nevus", "neoplasm/malignant/nodular_melanoma"
REPORT = Report(
    schema_version="v1",
    findings=("papule", "brown colour", "sharp border"),
    diagnosis=NEVUS,
    condition=Bucket.BENIGN,
    differential=(
        DifferentialEntry(diagnosis=NEVUS, probability=0.7, evidence_for=("sharp border",), evidence_against=()),
        DifferentialEntry(
            diagnosis=MELANOMA, probability=0.25, evidence_for=(), evidence_against=("sharp border", "smooth surface")
        ),
    ),
    confidence="high",
    advice="routine_visit",
    citations=("primer:common-nevus#morphology", "primer:melanoma"),
    disclaimer=DISCLAIMER,
)
