"""The tree: path identity, labels, ancestors, buckets, label maps, and the faults that lint finds."""

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
from skinr1.taxonomy import Bucket, LabelMap, Node, Taxonomy, lint
from skinr1.taxonomy.node import normalise

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


def small(tree: str) -> Taxonomy:
    return Taxonomy.from_yaml(f'version: "t"\ntree: {tree}')


def _nested(names: str) -> str:
    """``children`` of one node each, going down."""
    return f"children: {{{names[0]}: {{{_nested(names[1:])}}}}}" if names else ""


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


# faults


@pytest.mark.parametrize(
    ("tree", "fault"),
    [
        ("{a: {bucket: benign, aliases: [Spot]}, b: {bucket: benign, aliases: [spot]}}", "'spot' is claimed by a and"),
        ("{g: {bucket: benign, children: {a: {}}}, h: {bucket: benign, children: {a: {}}}}", "'a' is claimed by g/a"),
        ("{g: {children: {a: {}}}}", "g/a has no risk bucket"),
        ("{a: {bucket: benign, name: spindle melanoma}}", "malignant name in the benign bucket"),
        ("{a: {bucket: non_neoplastic, aliases: [lip carcinoma]}}", "malignant name in the non_neoplastic bucket"),
        (f"{{a: {{bucket: benign, {_nested('bcdef')}}}}}", "a/b/c/d/e/f is 6 levels deep"),
        ("{Big Name: {bucket: benign}}", "lower-case"),
        ("{a: {bucket: non_neoplastic, name: angiosarcoma}}", "malignant name in the non_neoplastic bucket"),
        ("{a: {bucket: benign, children: {b: {bucket: malignant}}}}", "a/b is malignant in a group that is benign"),
        ("{a: {diagnosis: true, children: {b: {bucket: benign}}}}", "a has no risk bucket"),
        ("{a: {bucket: benign, aliases: ['spot, mark']}}", "holds a comma"),
        ("{a: {bucket: benign, aliases: ['--']}}", "empty label"),
        ("{a: {bucket: benign, doid: X}, b: {bucket: benign, doid: X}}", "doid code 'X' is claimed by a and b"),
        ("{a: {bucket: benign, distinct_from: {spot: no reason}}}", "no exception to anything"),
    ],
)
def test_lint_finds_one_planted_fault(tree, fault):
    (found,) = lint(small(tree))
    assert fault in found


# the faults of public trees (spec/peers.md 2.1)
PSORIASIS = "{p: {bucket: benign, children: {psoriasis: {}, nail_psoriasis: {}}}}"


@pytest.mark.parametrize(
    ("tree", "fault"),
    [
        (
            "{benign: {bucket: benign, children: {melanocytic: {}}},"
            " malignant: {bucket: malignant, children: {melanocytic: {}}}}",
            "'melanocytic' is claimed by benign/melanocytic and malignant/melanocytic",
        ),
        ("{a: {bucket: malignant, name: 'Malignant melanoma, melanoma'}}", "another name after a comma"),
        ("{a: {bucket: indeterminate, name: 'Actinic damage(actinic keratosis)'}}", "in brackets"),
        (
            "{m: {bucket: malignant, name: skin tumor, children: {melanoma: {}, nodular_melanoma: {}}}}",
            "m/nodular_melanoma reads like a subtype of 'melanoma' and stands beside m/melanoma",
        ),
        (PSORIASIS, "p/nail_psoriasis reads like a subtype of 'psoriasis' and stands beside"),
        (
            "{p: {bucket: benign, children: {psoriasis: {}}}, n: {bucket: benign, children: {nail_psoriasis: {}}}}",
            "n/nail_psoriasis reads like a subtype of 'psoriasis' and stands away from p/psoriasis",
        ),
        (
            "{s: {bucket: benign, name: Seborrheic keratosis, diagnosis: true,"
            " children: {k: {name: Seborrheic keratoses}}}}",
            "s/k has its parent's name",
        ),
    ],
)
def test_lint_finds_the_faults_of_public_trees(tree, fault):
    (found,) = lint(small(tree))
    assert fault in found


@pytest.mark.parametrize(
    ("tree", "fault"),
    [
        (
            "{infectious: {bucket: non_neoplastic, children: {bacterial: {children: {mycosis_fungoides: {}}}}}}",
            "'mycosis fungoides' is malignant",
        ),
        ("{exogenous: {bucket: benign, children: {actinic_keratosis: {}}}}", "'actinic keratosis' is indeterminate"),
    ],
)
def test_lint_finds_a_cancer_filed_as_harmless(tree, fault):
    assert lint(small(tree)) == []
    (found,) = lint(small(tree), reference=TREE)
    assert fault in found


def test_an_exception_needs_its_reason_in_the_data():
    tree = PSORIASIS.replace("nail_psoriasis: {}", "nail_psoriasis: {distinct_from: {psoriasis: a test}}")
    assert lint(small(tree)) == []


def test_a_subtype_below_its_parent_is_no_fault():
    assert lint(small("{p: {bucket: benign, name: psoriasis, diagnosis: true, children: {nail_psoriasis: {}}}}")) == []


@pytest.mark.parametrize("name", ["pseudolymphoma", "melanocytoma", "sarcoid"])
def test_a_name_that_only_sounds_malignant_is_no_fault(name):
    assert lint(small(f"{{a: {{bucket: benign, name: {name}}}}}")) == []


def test_code_unknown_to_its_package_is_a_fault():
    tree = small("{a: {bucket: benign, icd10cm: [L40.0, L99.77]}}")
    (found,) = lint(tree, known={"icd10cm": {"L40.0"}.__contains__})
    assert found == "a: icd10cm does not know the code 'L99.77'"
    assert lint(tree) == []


def test_lint_lets_a_malignant_name_be_malignant():
    assert lint(small("{a: {bucket: malignant, name: melanoma}}")) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("tree: {}", "version"),
        ("[]", "version"),
        ("tree: [", "not YAML"),
        ("version: t\ntree: {a: {colour: red}}", "unknown key 'colour'"),
        ("version: t\ntree: {a: {bucket: nasty}}", "unknown bucket 'nasty': a. Use one of: benign"),
        ("version: t\ntree: {a: {bucket: benign}, a: {}}", "key occurs twice in the taxonomy: a"),
        ("version: t\ntree: {g: {children: {a: {}, a: {}}}}", "key occurs twice in the taxonomy: g/a"),
        ("version: t\ntree: {a: {contagious: perhaps}}", "contagious"),
        ("version: t\ntree: {a: {aliases: {b: c}}}", "aliases"),
        ("version: t\ntree: {a: &a {children: {b: *a}}}", "cycle|not YAML"),
        ("version: t\nunder: nowhere\ntree: {a: {}}", "hangs below nothing: nowhere"),
    ],
)
def test_faulty_tree_is_refused_in_one_line(text, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        Taxonomy.from_yaml(text)
    assert "\n" not in str(caught.value)


def test_path_twice_or_without_parent_is_refused():
    leaf = Node("a", "a", Bucket.BENIGN)
    with pytest.raises(UserError, match="twice"):
        Taxonomy([leaf, leaf])
    with pytest.raises(UserError, match="parent"):
        Taxonomy([Node("a/b", "b", Bucket.BENIGN)])
