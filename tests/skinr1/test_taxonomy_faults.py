"""Faults of a tree: what lint finds, what it leaves alone, what is refused."""

import pytest

from skinr1.errors import UserError
from skinr1.taxonomy import Bucket, Node, Taxonomy, lint
from tests.skinr1.small_tree import small

TREE = Taxonomy.load()


def _nested(names: str) -> str:
    """``children`` of one node each, going down."""
    return f"children: {{{names[0]}: {{{_nested(names[1:])}}}}}" if names else ""


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
