"""The shipped tree against the packages and tables that know better: codes, and the vocabularies it must cover."""

import ast
import csv
import json
from itertools import chain
from pathlib import Path

import pytest
import yaml

from skinr1.concepts import concepts
from skinr1.taxonomy import Bucket, Taxonomy, lint
from skinr1.taxonomy.codes import checkers
from skinr1.taxonomy.node import normalise
from skinr1.taxonomy.tree import shipped_texts

TREE = Taxonomy.load()
DIAGNOSES = [TREE.node(node_id) for node_id in TREE.diagnoses]

# Names that SCIN's readers chose and that are no diagnosis, or say too little to be one node.
SCIN_NO_DIAGNOSIS = {
    "Remove from labeling tool",
    "Koebner phenomenon",
    "O/E - pustules",
    "O/E - purulent pustules",
    "O/E - vesicles present",
    "On examination - follicular pustules",
    "hyperlinear palm",
    "Nail pitting",
    "PXE (pseudoxanthoma elasticum) like syndrome",
    "Non-melanin pigmentation due to exogenous substance (disorder)",
    "Rosai Dorfman disease - I know rare, but I've seen a case like this unilateral.  "
    "Rosacea supported bilateral further images",
}


def entries(tree: dict, prefix: str = ""):
    """(path, entry) of every node as the files write it."""
    for key, entry in tree.items():
        yield f"{prefix}{key}", entry
        yield from entries(entry.get("children", {}), f"{prefix}{key}/")


WRITTEN = {
    path: entry
    for document in map(yaml.safe_load, shipped_texts().values())
    for path, entry in entries(document["tree"], f"{document['under']}/" if "under" in document else "")
}


def test_the_parts_write_every_node_once():
    assert WRITTEN.keys() == TREE.nodes.keys()


def test_every_diagnosis_states_its_own_bucket():
    assert [node.id for node in DIAGNOSES if "bucket" not in WRITTEN[node.id]] == []


def test_groups_of_one_risk_have_it():
    assert {node.id for node in TREE.nodes.values() if node.bucket is None} == {"neoplasm"}


def test_plain_yaml_reads_what_the_fast_reader_reads():
    """The reader walks PyYAML's graph by itself; PyYAML's own constructor must see the same words."""
    for path, entry in WRITTEN.items():
        node = TREE.node(path)
        assert (node.name, list(node.aliases)) == (
            entry.get("name", path.rpartition("/")[2].replace("_", " ")),
            entry.get("aliases", []),
        )
        assert (node.bucket, node.contagious) == (entry.get("bucket"), entry.get("contagious", False))
        for system in ("icd10cm", "isic", "doid"):
            written = entry.get(system, [])
            assert list(node.codes(system)) == ([written] if isinstance(written, str) else written)


def test_no_label_hides_in_a_sign():
    """A caption lists signs; a diagnosis whose name is a word of one would make every such caption look like a leak."""
    signs = {sign.lower() for sign in concepts()}
    inside = {
        " ".join(words[i:j]) for words in map(str.split, signs) for i in range(9) for j in range(i + 1, 9)
    } - signs
    found = {label for node in TREE.nodes.values() for label in node.labels if label.lower() in inside}
    assert found == set()
    assert not signs & {node.name.lower() for node in TREE.nodes.values()}


# codes


def test_icd_and_isic_codes_are_known_to_their_packages():
    pytest.importorskip("simple_icd_10_cm", reason="ICD-10-CM package is not installed")
    pytest.importorskip("isic_metadata", reason="ISIC package is not installed")
    known = checkers()
    assert known.keys() == {"icd10cm", "isic"}
    assert lint(TREE, known=known) == []
    assert known["icd10cm"]("L40.0") and not known["icd10cm"]("L40.77")
    assert known["isic"]("Benign:Cysts:Milium") and not known["isic"]("Milium")


@pytest.mark.real_data
def test_disease_ontology_ids_are_known(shared_data: Path):
    known = checkers(shared_data / "disease_ontology" / "do_skin_subtree.json")
    assert lint(TREE, known={"doid": known["doid"]}) == []
    assert not known["doid"]("DOID:1")


@pytest.mark.real_data
def test_disease_ontology_agrees_on_the_name(shared_data: Path):
    """A DOID whose own names are all foreign to its node is a slip of the pen."""
    terms = json.loads((shared_data / "disease_ontology" / "do_skin_subtree.json").read_text(encoding="utf-8"))
    names = {term["id"]: {normalise(name) for name in (term["name"], *term["synonyms"])} for term in terms}
    odd = [
        (node.id, doid)
        for node in TREE.nodes.values()
        for doid in node.doid
        if not names[doid] & set(map(normalise, node.labels)) and not _shares_a_word(names[doid], node.labels)
    ]
    assert odd == []


def _shares_a_word(names, labels):
    common = {"skin", "disease", "syndrome", "of", "the", "and", "cutaneous", "tumor", "benign", "malignant", "cell"}
    words = set(chain.from_iterable(name.split() for name in names)) - common
    return bool(words & set(chain.from_iterable(normalise(label).split() for label in labels)))


def test_most_diagnoses_carry_codes():
    assert sum(bool(node.icd10cm) for node in DIAGNOSES) > 0.95 * len(DIAGNOSES)


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("plaque psoriasis", "L40.0"),
        ("vitiligo", "L80"),
        ("basal cell carcinoma", "C44.91"),
        ("squamous cell carcinoma", "C44.92"),
        ("melanoma", "C43.9"),
        ("scabies", "B86"),
        ("mpox", "B04"),
        ("herpes zoster", "B02.9"),
        ("actinic keratosis", "L57.0"),
        ("pemphigus vulgaris", "L10.0"),
    ],
)
def test_codes_that_everybody_knows(label, code):
    (node,) = TREE.resolve(label)
    assert TREE.node(node).icd10cm == (code,)


@pytest.mark.parametrize(("root", "harmless"), [("Benign", True), ("Malignant", False), ("Indeterminate", False)])
def test_isic_roots_agree_with_the_bucket(root, harmless):
    """ISIC calls Langerhans cell histiocytosis and its kin benign, and keratoacanthoma malignant; we do neither."""
    allowed = {
        "Benign": {Bucket.BENIGN, Bucket.NON_NEOPLASTIC, Bucket.INDETERMINATE},
        "Malignant": {Bucket.MALIGNANT, Bucket.INDETERMINATE},
        "Indeterminate": {Bucket.INDETERMINATE},
    }[root]
    for node in TREE.nodes.values():
        for path in node.isic:
            if path.split(":")[0] == root:
                assert node.bucket in allowed, node.id


# contagion


@pytest.mark.parametrize("label", ["scabies", "impetigo", "tinea corporis", "mpox", "syphilis", "varicella", "measles"])
def test_contagious(label):
    (node,) = TREE.resolve(label)
    assert TREE.node(node).contagious


@pytest.mark.parametrize("label", ["psoriasis", "melanoma", "cellulitis", "sporotrichosis", "vitiligo", "urticaria"])
def test_not_contagious(label):
    (node,) = TREE.resolve(label)
    assert not TREE.node(node).contagious


def test_only_infections_are_contagious():
    assert {node.id.split("/")[0] for node in TREE.nodes.values() if node.contagious} == {"infectious"}


# coverage


@pytest.mark.parametrize(
    "path",
    [
        "neoplasm/benign",
        "neoplasm/indeterminate",
        "neoplasm/malignant",
        "infectious/viral",
        "infectious/bacterial",
        "infectious/fungal",
        "infectious/parasitic",
        "inflammatory/papulosquamous",
        "inflammatory/eczematous",
        "inflammatory/bullous",
        "inflammatory/drug_reaction",
        "inflammatory/connective_tissue",
        "pigmentary",
        "vascular",
        "hair_and_nail/hair",
        "hair_and_nail/nail",
        "genetic",
        "metabolic",
        "physical",
    ],
)
def test_every_part_of_a_clinic_is_there(path):
    assert sum(TREE.node(node).diagnosis for node in TREE.below(path)) >= 10


@pytest.mark.parametrize(
    "names",
    [
        # HAM10000, PAD-UFES-20, ISIC 2019, MSLD v2
        "MEL NV BCC BKL AK DF VASC SCC ACK NEV SEK MKP CHP CWP MSL HFMD",
        # Fitzpatrick17k, a sample over its nine groups
        "granuloma pyogenic|pyogenic granuloma|nevocytic nevus|lupus subacute|scleroderma|dyshidrotic eczema|milia|"
        "hidradenitis|photodermatoses|naevus comedonicus|tick bite|striae|mucinosis|porokeratosis actinic|xanthomas|"
        "basal cell carcinoma morpheiform|solid cystic basal cell carcinoma|superficial spreading melanoma ssm|"
        "drug induced pigmentary changes|neurotic excoriations|stasis edema|sun damaged skin|behcets disease",
        # DDI, SD-198
        "verruca vulgaris|angioleiomyoma|fibrous papule|inverted follicular keratosis|graft vs host disease|hematoma|"
        "blastic plasmacytoid dendritic cell neoplasm|focal acral hyperkeratosis|verruciform xanthoma|glomangioma|"
        "Half and Half Nail|Kyrle's Disease|Pomade Acne|Racquet Nail|Epithelioma Adenoides Cysticum|Green Nail|"
        "Histiocytosis X|Lymphocytic Infiltrate of Jessner|Favre Racouchot Syndrome|Onychoschizia|Cutis Marmorata",
        # the textbook of 1909
        "Hyperidrosis|Sudamen|Chromidrosis|Dermatitis Medicamentosa|Pustula Maligna|Equinia|Acne Varioliformis|"
        "Dermatitis Papillaris Capillitii|Scorbutus|Chloasma|Molluscum Epitheliale|Cornu Cutaneum|Dermatolysis|"
        "Canities|Granuloma Fungoides|Tinea Favosa|Dhobie Itch|Filaria Medinensis|Pulex Penetrans|Perforating Ulcer of "
        "the Foot",
    ],
)
def test_names_of_the_data_sets_resolve(names):
    for name in names.split("|") if "|" in names else names.split():
        assert len(TREE.resolve(name)) == 1, name


@pytest.mark.real_data
def test_scin_names_resolve(shared_data: Path):
    with (shared_data / "scin" / "scin_labels.csv").open(encoding="utf-8", newline="") as table:
        names = {
            name
            for row in csv.DictReader(table)
            for column in ("weighted_skin_condition_label", "dermatologist_skin_condition_on_label_name")
            for name in ast.literal_eval(row[column] or "()")
        }
    assert len(names) > 300
    assert {name for name in names if not TREE.labelled(name)} == SCIN_NO_DIAGNOSIS


@pytest.mark.real_data
def test_most_medquad_topics_resolve(shared_data: Path):
    """The rest are syndromes of one family each, and topics that are no skin disease."""
    lines = (shared_data / "medquad" / "medquad_skin.jsonl").read_text(encoding="utf-8").splitlines()
    topics = {json.loads(line)["focus"] for line in lines}
    assert sum(bool(TREE.labelled(topic)) for topic in topics) / len(topics) > 0.7
