"""A user's own tree: read from tables and JSON, linted, compared with the shipped one; the command for people."""

import json
from pathlib import Path

import pytest

from skinr1.errors import UserError
from skinr1.taxonomy import Bucket, Taxonomy, lint
from skinr1.taxonomy.crosswalk import crosswalk
from skinr1.taxonomy.importing import SKIN_R1_BUCKETS, lint_file, read_taxonomy
from skinr1.taxonomy.show import main

TREE = Taxonomy.load()
CSV = """\
id,name,parent,bucket,aliases,icd10cm,contagious
growths,growths,,,,,
mel,Melanoma,growths,malignant,malignant melanoma; MEL,C43.9,
sk,Seborrheic keratosis,growths,benign,seborrhoeic wart | SK,L82.1,no
scab,Scabies,,non_neoplastic,,B86,yes
"""
SKIN_R1 = {
    "synonym_map": {"sk": "seborrheic keratosis", "Melanoma": "melanoma"},
    "subtype_map": {"melanoma": ["nodular melanoma"], "neurofibroma": ["plexiform neurofibroma"]},
    SKIN_R1_BUCKETS: {
        "benign": ["neurofibroma", "seborrheic keratosis"],
        "precancerous_in_situ": ["actinic keratosis"],
        "malignant": ["melanoma"],
    },
}


def written(folder: Path, content: object, name: str = "") -> Path:
    path = folder / (name or ("mine.csv" if isinstance(content, str) else "mine.json"))
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


# reading


def test_csv(tmp_path):
    tree = read_taxonomy(written(tmp_path, CSV))
    assert list(tree.nodes) == ["growths", "growths/mel", "growths/sk", "scab"]
    (melanoma,) = tree.resolve("malignant melanoma")
    node = tree.node(melanoma)
    assert (node.name, node.bucket, node.icd10cm) == ("Melanoma", Bucket.MALIGNANT, ("C43.9",))
    assert tree.node("scab").contagious and not tree.node("growths/sk").contagious
    assert tree.diagnoses == ("growths/mel", "growths/sk", "scab")
    assert lint(tree, reference=TREE) == []


@pytest.mark.parametrize("order", [1, -1])
def test_members_may_stand_before_their_group(tmp_path, order):
    rows = [{"id": "g", "bucket": "benign"}, {"id": "a", "parent": "g"}, {"id": "b", "parent": "a"}]
    tree = read_taxonomy(written(tmp_path, rows[::order]))
    assert set(tree.nodes) == {"g", "g/a", "g/a/b"} and tree.bucket("g/a/b") is Bucket.BENIGN


def test_an_id_may_be_a_path(tmp_path):
    tree = read_taxonomy(written(tmp_path, "id,bucket\nskin,\nskin/red_spot,benign\n"))
    assert tree.node("skin/red_spot").name == "red spot"


def test_tab_separated(tmp_path):
    assert list(read_taxonomy(written(tmp_path, "name\tbucket\nRed spot\tbenign\n", "t.tsv")).nodes) == ["red_spot"]


def test_nested_json_is_the_form_of_the_yaml(tmp_path):
    path = written(tmp_path, {"version": "7", "tree": {"g": {"children": {"a": {"bucket": "benign"}}}}})
    tree = Taxonomy.load(path)
    assert (tree.version, list(tree.nodes)) == ("7", ["g", "g/a"])


def test_name_keyed_lists(tmp_path):
    tree = read_taxonomy(written(tmp_path, {"root": ["benign"], "benign": ["mole", "wart"], "wart": []}))
    assert set(tree.nodes) == {"benign", "benign/mole", "benign/wart"}


def test_skin_r1_form(tmp_path):
    tree = read_taxonomy(written(tmp_path, SKIN_R1))
    assert tree.bucket("melanoma/nodular_melanoma") is Bucket.MALIGNANT
    assert tree.bucket("actinic_keratosis") is Bucket.INDETERMINATE
    assert tree.resolve("SK") == {"seborrheic_keratosis"}
    assert tree.node("melanoma").aliases == ()  # a synonym that is the name itself


def test_skin_r1_bucket_inherited_by_a_cancer_is_found(tmp_path):
    """Its resolver calls malignant peripheral nerve sheath tumor benign, because neurofibroma is."""
    data = SKIN_R1 | {"subtype_map": {"neurofibroma": ["malignant peripheral nerve sheath tumor"], "melanoma": []}}
    (fault,) = [line for line in lint_file(written(tmp_path, data)) if "nerve_sheath" in line]
    assert "malignant name in the benign bucket" in fault


# faults of structure


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("id,parent\na,b\nb,c\nc,a\n", "cycle: 'a' under 'b' under 'c' under 'a'"),
        ("id,parent\na,a\n", "cycle: 'a' under 'a'"),
        ("id,bucket\na,benign\na,malignant\n", "'a' occurs twice"),
        ("id,parent\na,nowhere\n", "'a' has the unknown parent 'nowhere'"),
        ("id,bucket\na,nasty\n", "'a' has the unknown bucket 'nasty'; use benign"),
        ("id,name\n,\n", "no usable id or name"),
        (
            {"root": ["benign", "malignant"], "benign": ["melanocytic"], "malignant": ["melanocytic"]},
            "'melanocytic' has 2 parents, benign and malignant: a bare name is no identity",
        ),
        (
            SKIN_R1 | {"synonym_map": {"trichilemmal (pilar) cyst": "pilar cyst"}},
            "synonym 'trichilemmal (pilar) cyst' stands for 'pilar cyst', which is no node",
        ),
        (
            SKIN_R1 | {"subtype_map": {"a": ["t-cell pseudolymphoma"], "b": ["t-cell pseudolymphoma"]}},
            "'t-cell pseudolymphoma' has 2 parents",
        ),
    ],
)
def test_structural_faults_are_listed_and_refused(tmp_path, content, fault):
    path = written(tmp_path, content)
    assert any(fault in line for line in lint_file(path))
    with pytest.raises(UserError, match=str(path)) as caught:
        Taxonomy.load(path)
    assert "\n" not in str(caught.value)


def test_two_rows_that_make_one_path_are_refused(tmp_path):
    with pytest.raises(UserError, match="path occurs twice in the taxonomy: red_spot"):
        Taxonomy.load(written(tmp_path, "name,bucket\nRed spot,benign\nred-spot,benign\n"))


def test_a_linted_import_is_linted_like_the_shipped_tree(tmp_path):
    faults = lint_file(written(tmp_path, "name,bucket\nmycosis fungoides,non_neoplastic\nspot,\n"), TREE)
    assert any("is malignant" in fault for fault in faults) and any("spot has no risk bucket" in f for f in faults)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("t.csv", "colour,size\nred,1\n", r"columns found: colour, size"),
        ("t.csv", "", r"columns found: none"),
        ("t.csv", "id,contagious\na,perhaps\n", "row 1"),
        ("t.csv", 'id,name\na,"open\n', "not a table"),
        ("t.json", "{", "not JSON"),
        ("t.json", '{"a": 1, "a": 2}', "occurs twice"),
        ("t.json", '{"a": 1}', "no known form"),
        ("t.json", '{"subtype_map": []}', "no mapping"),
        ("t.json", "[1]", "no known form"),
        ("t.json", '{"version": 1, "tree": {"a": {"colour": 1}}}', "unknown key 'colour'"),
        ("t.yaml", "\x80", "not YAML|not readable|no `version`"),
    ],
)
def test_unreadable_files_are_refused_in_one_line(tmp_path, name, content, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        Taxonomy.load(written(tmp_path, content, name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no.csv", "no.json", "no.yaml"])
def test_missing_files_are_refused(tmp_path, name):
    with pytest.raises(UserError, match=name):
        Taxonomy.load(tmp_path / name)


# crosswalk


def crossed(tree: str) -> dict[str, tuple]:
    matches = crosswalk(Taxonomy.from_yaml(f"version: t\ntree: {tree}"), TREE)
    return {match.source: (match.target, match.method, match.confidence) for match in matches}


BCC = "neoplasm/malignant/follicular/basal_cell_carcinoma"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("x: {bucket: malignant, name: Basal cell carcinoma}", (BCC, "name", 0.95)),
        ("x: {bucket: malignant, name: rodent ulcer}", (BCC, "alias", 0.9)),
        ("x: {bucket: malignant, name: my tumour, aliases: [BCC]}", (BCC, "alias", 0.9)),
        ("x: {bucket: malignant, name: my tumour, doid: 'DOID:2513'}", (BCC, "code", 0.85)),
        ("x: {bucket: benign, name: rodent ulcer}", (BCC, "alias", 0.45)),
        ("x: {bucket: non_neoplastic, name: itchy thing, icd10cm: L42}", (None, "icd10cm", 0.6)),
        ("x: {bucket: benign, name: something else, icd10cm: D23.9}", (None, "none", 0.0)),
    ],
)
def test_crosswalk_by_kind_of_evidence(entry, expected):
    target, method, confidence = crossed(f"{{{entry}}}")["x"]
    assert (method, confidence) == expected[1:]
    assert expected[0] is None or target == expected[0]


def test_crosswalk_takes_a_typing_error_with_less_confidence():
    target, method, confidence = crossed("{x: {bucket: malignant, name: basal cel carcinma}}")["x"]
    assert (target, method) == (BCC, "fuzzy") and 0 < confidence < 0.6


def test_crosswalk_with_itself_is_the_identity():
    matches = crosswalk(TREE, TREE)
    assert [match.target for match in matches] == list(TREE.nodes)
    assert {(match.method, match.confidence) for match in matches} == {("path", 1.0)}


# the command


def run(capsys, *argv: str) -> tuple[int, str]:
    code = 0
    try:
        main(list(argv))
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, capsys.readouterr().out


def test_show_a_part_to_a_depth(capsys):
    _, whole = run(capsys, "show", "melanoma")
    _, cut = run(capsys, "show", "cancer of skin", "--depth", "1")
    assert "subungual melanoma" in whole and "plaque psoriasis" not in whole
    assert "subungual melanoma" not in cut and "diagnoses below" in cut


def test_show_json(capsys):
    _, text = run(capsys, "show", "normal skin", "--json")
    (node,) = json.loads(text)
    assert (node["id"], node["bucket"], node["children"]) == ("normal_skin", "non_neoplastic", [])


def test_resolve_known_and_unknown(capsys):
    code, text = run(capsys, "resolve", "rodent", "ulcer")
    assert code == 0 and BCC in text and "malignant" in text and "C44.91" in text
    code, text = run(capsys, "resolve", "seboroic", "keratosis", "--json")
    found = json.loads(text)
    assert code == 1 and found["nodes"] == [] and "keratosis" in found["candidates"][0]["label"]
    code, text = run(capsys, "resolve", "seboroic", "keratosis")
    assert code == 1 and "seborrhoeic keratosis" in text
    code, text = run(capsys, "resolve", "")
    assert code == 1 and text.strip() == "no node is called '', and none is near"


def test_lint_a_file(capsys, tmp_path):
    path = written(tmp_path, "id,parent\na,b\nb,a\n")
    code, text = run(capsys, "lint", "--file", str(path))
    assert code == 1 and "cycle" in text
    code, text = run(capsys, "lint", "--file", str(path), "--json")
    assert code == 1 and json.loads(text)["faults"]
    code, text = run(capsys, "lint", "--file", str(written(tmp_path, CSV)))
    assert code == 0 and "3 diagnoses" in text


def test_crosswalk_command(capsys, tmp_path):
    code, text = run(capsys, "crosswalk", str(written(tmp_path, CSV)), "--json")
    rows = {row["source"]: row for row in json.loads(text)}
    assert code == 0 and rows["scab"]["target"].endswith("/scabies") and rows["growths"]["method"] in {"none", "fuzzy"}
    assert "growths/sk" in run(capsys, "crosswalk", str(tmp_path / "mine.csv"))[1]


@pytest.mark.parametrize("argv", [["grow"], ["resolve"], ["show", "--depth", "0"], ["show", "no such thing"]])
def test_wrong_commands_are_refused_in_one_line(argv):
    with pytest.raises(UserError) as caught:
        main(argv)
    assert "\n" not in str(caught.value)


def test_help_teaches(capsys):
    code, text = run(capsys, "--help")
    assert code == 0 and "examples:" in text and "lint --file mine.csv" in text and "synonym_map" in text
