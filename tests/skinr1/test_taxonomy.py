"""The tree: path identity, labels, ancestors, buckets, label maps."""

import gc
import re
import subprocess
import sys
import unicodedata
from importlib.resources import files
from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skinr1.errors import UserError
from skinr1.taxonomy import Bucket, LabelMap, Taxonomy, lint
from skinr1.taxonomy.node import normalise, words
from tests.skinr1.small_tree import small

TREE = Taxonomy.load()
RENDERED = tuple(
    yaml.safe_load(files("data_builders.rendered").joinpath("diseases.yaml").read_text(encoding="utf-8"))["diagnoses"]
)
BENIGN, MALIGNANT = "neoplasm/benign/melanocytic", "neoplasm/malignant/melanocytic"
PAD = {
    "ACK": {"neoplasm/indeterminate/keratinocytic/actinic_keratosis"},
    "BCC": {"neoplasm/malignant/follicular/basal_cell_carcinoma"},
    "MEL": {MALIGNANT},
    "NEV": {BENIGN},
    "SCC": {
        "neoplasm/malignant/keratinocytic/squamous_cell_carcinoma",
        "neoplasm/malignant/keratinocytic/bowen_disease",
    },
    "SEK": {"neoplasm/benign/keratinocytic/seborrheic_keratosis"},
}

nodes = st.sampled_from(tuple(TREE.nodes))


# the shipped tree


def test_size_and_soundness():
    assert lint(TREE) == []
    assert len(TREE.diagnoses) >= 450 and len(TREE.leaves) >= 450
    assert sum(len(node.aliases) for node in TREE.nodes.values()) >= 1500
    assert max(node.depth for node in TREE.nodes.values()) == 5


@pytest.mark.parametrize("path", RENDERED)
def test_rendered_diagnoses_are_diagnoses(path):
    assert TREE.node(path).diagnosis


def test_every_leaf_is_a_diagnosis_and_a_group_only_where_it_says_so():
    assert set(TREE.leaves) <= set(TREE.diagnoses)
    assert MALIGNANT in TREE.diagnoses and "neoplasm/malignant" not in TREE.diagnoses


def test_reading_leaves_the_garbage_collector_as_it_was():
    was_on = gc.isenabled()
    small("{a: {bucket: benign}}")
    assert gc.isenabled() is was_on
    gc.disable()
    try:
        small("{a: {bucket: benign}}")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_every_label_names_one_node():
    """Not only leaves: a group that shares a label with a leaf would make a plain string ambiguous."""
    for node in TREE.nodes.values():
        for label in (node.name, *node.aliases):
            assert TREE.resolve(label) == {node.id}


def test_repeated_names_are_told_apart_by_path():
    assert BENIGN.rpartition("/")[2] == MALIGNANT.rpartition("/")[2]
    assert TREE.bucket(BENIGN) is Bucket.BENIGN
    assert TREE.bucket(MALIGNANT) is Bucket.MALIGNANT
    assert TREE.resolve("melanoma") == {MALIGNANT}
    assert TREE.resolve("melanocytic nevus") == {BENIGN}
    assert TREE.lca(BENIGN, MALIGNANT) == "neoplasm"


def test_groups_of_mixed_risk_have_no_bucket():
    assert TREE.bucket("neoplasm") is None
    for node in TREE.nodes.values():
        below = {TREE.bucket(leaf) for leaf in TREE.leaves if leaf.startswith(f"{node.id}/")}
        assert node.bucket is None if len(below) > 1 else not below or below == {node.bucket}


def test_hash_follows_the_content():
    one, other = small("{a: {bucket: benign}}"), small("{a: {bucket: malignant}}")
    assert one.hash == small("{a: {bucket: benign}}").hash != other.hash


def test_reading_the_tree_takes_no_torch():
    code = "import sys; from skinr1.taxonomy import Taxonomy; Taxonomy.load(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr


# ancestors


@given(nodes, nodes)
def test_lca_is_the_deepest_shared_ancestor(a, b):
    shared = set(TREE.path(a)) & set(TREE.path(b))
    lca = TREE.lca(a, b)
    assert lca == TREE.lca(b, a)
    assert shared == (set(TREE.path(lca)) if lca else set())


@given(nodes)
def test_lca_with_itself_and_its_ancestors(node):
    for ancestor in TREE.path(node):
        assert TREE.lca(node, ancestor) == ancestor


@given(nodes, nodes, nodes)
def test_lca_is_associative(a, b, c):
    def join(x: str | None, y: str | None) -> str | None:
        return TREE.lca(x, y) if x and y else None

    assert join(join(a, b), c) == join(a, join(b, c))


@given(nodes)
def test_path_ends_at_the_node_and_follows_parents(node):
    path = TREE.path(node)
    assert path[-1] == node and len(path) == TREE.node(node).depth
    assert [TREE.node(step).parent for step in path] == [None, *path[:-1]]
    assert all(child in TREE.children(parent) for parent, child in pairwise(path))


# labels


def test_below_is_the_node_and_its_descendants():
    below = TREE.below(MALIGNANT)
    assert below[0] == MALIGNANT and all(MALIGNANT in TREE.path(node) for node in below)
    assert set(TREE.leaves) & set(below) == {leaf for leaf in TREE.leaves if leaf.startswith(f"{MALIGNANT}/")}


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("isic", "Malignant:Malignant melanocytic proliferations (Melanoma):Melanoma, NOS", {MALIGNANT}),
        ("doid", "DOID:2513", PAD["BCC"]),
        ("icd10cm", "L57.0", PAD["ACK"]),
        ("doid", "DOID:0", set()),
    ],
)
def test_codes_find_their_nodes(system, code, expected):
    found = TREE.with_code(system, code)
    assert expected <= found if expected else not found


def test_unknown_code_system_is_refused():
    with pytest.raises(UserError, match="icd10cm, isic, doid"):
        TREE.with_code("snomed", "1")


@pytest.mark.parametrize(
    "label", ["seborrheic keratosis", "SEBORRHEIC-KERATOSIS", " seborrhoeic  keratosis ", *PAD["SEK"]]
)
def test_resolve_ignores_case_and_punctuation(label):
    assert TREE.resolve(label) == PAD["SEK"]


@given(st.text("aZ9 _'’-sé\u0130ß", max_size=12) | st.text(max_size=12))
def test_normal_form_is_that_of_the_plain_formula(label):
    plain = unicodedata.normalize("NFKD", re.sub(r"['’](?:s\b)?", "", label, flags=re.IGNORECASE))
    words = re.findall(r"[a-z0-9]+", plain.encode("ascii", "ignore").decode().lower())
    assert normalise(label) == " ".join(words)


def test_resolve_ignores_accents():
    assert TREE.resolve("cafe au lait spot") == TREE.resolve("Café-au-lait spot")


@pytest.mark.parametrize("label", ["naevus", "NAEVUS", "Nevus", "mole", BENIGN])
def test_spellings_of_a_nevus_are_never_malignant(label):
    assert TREE.resolve(label) == {BENIGN}


@pytest.mark.parametrize(("label", "near"), [("melanomma", "melanoma"), ("seborrheic_keratoses", "keratosis")])
def test_unknown_label_suggests_in_one_line(label, near):
    with pytest.raises(UserError, match=near) as caught:
        TREE.resolve(label)
    assert label in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["node", "path", "bucket"])
def test_unknown_path_is_refused(method):
    with pytest.raises(UserError, match="common nevus"):
        getattr(TREE, method)("neoplasm/malignant/melanocytic/common_nevus")


def test_candidates_are_scored_best_first_and_each_once():
    found = TREE.candidates("seboroic keratosis", 4)
    assert found[0].node in PAD["SEK"] and len({candidate.node for candidate in found}) == 4
    scores = [candidate.score for candidate in found]
    assert scores == sorted(scores, reverse=True) and 0.8 < scores[0] < 1


@given(st.sampled_from(sorted({label for node in TREE.nodes.values() for label in node.labels})))
def test_a_label_is_its_own_best_candidate(label):
    (best,) = TREE.candidates(label, 1)
    assert best.score == 1 and best.node in TREE.resolve(label)


@given(st.text(max_size=30))
def test_any_text_has_candidates_or_none_and_never_fails(text):
    assert all(0 <= candidate.score <= 1 for candidate in TREE.candidates(text))
    assert TREE.labelled(text) == frozenset() or TREE.resolve(text)


@pytest.mark.parametrize("one", ["hansen disease", "Hansen's disease", "HANSEN'S DISEASE", "hansen’s disease"])
def test_a_possessive_is_no_other_label(one):
    assert TREE.resolve(one) == TREE.resolve("leprosy")


# label maps


@pytest.mark.parametrize("label", sorted(PAD))
def test_pad_labels(label):
    target = LabelMap.load("pad_ufes_20", TREE).resolve(label)
    assert target.nodes == PAD[label]
    assert 0 < target.confidence <= 1
    assert TREE.resolve(label) <= target.nodes


def test_pad_map_is_complete():
    assert LabelMap.load("pad_ufes_20", TREE).entries.keys() == PAD.keys()


def test_label_outside_the_map_is_refused():
    with pytest.raises(UserError, match="ACK, BCC, MEL, NEV, SCC, SEK") as caught:
        LabelMap.load("pad_ufes_20", TREE).resolve("VASC")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("labels: {X: {nodes: [neoplasm/benign/nothing]}}", "does not exist: neoplasm/benign/nothing"),
        ("labels: {X: {nodes: neoplasm/benign}}", "no list of nodes: 'X'"),
        ("labels: {X: {nodes: []}}", "no list of nodes"),
        ("labels: {X: {nodes: [neoplasm], confidence: 2}}", "confidence"),
        ("X: neoplasm", "no mapping `labels`"),
        ("", "no mapping `labels`"),
    ],
)
def test_faulty_label_map(tmp_path, text, complaint):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=complaint) as caught:
        LabelMap.load(str(tmp_path / "mine.yaml"), TREE)
    assert "mine" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no_such_map", "no/such/file.yaml"])
def test_missing_label_map(name):
    with pytest.raises(UserError, match=name):
        LabelMap.load(name, TREE)


@given(st.lists(st.sampled_from(["Common", "nevus", "dysplastic", "melanoma", "Bowen's", "disease", "the,", "SCC"])))
def test_a_node_is_named_where_the_search_for_all_names_finds_it(said: list[str]) -> None:
    text = " ".join(said)
    found = {node for _, _, nodes in TREE.named(words(text)) for node in nodes}
    padded = f" {normalise(text)} "
    assert {node for node in TREE.nodes if TREE.names(node, padded)} == found
