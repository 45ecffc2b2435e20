"""The knowledge stage: what it writes, what it rejects, and that equal inputs give equal bytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data_builders import knowledge
from data_builders.knowledge import KnowledgeConfig, build
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge, primer_text
from skinr1.stage import read_jsonl, read_manifest
from skinr1.taxonomy import Taxonomy
from tests.folders import digests

BOOK = """# My book

## Melanoma

### Morphology

Asymmetry and an irregular border, no scale.

### Differential

- Blue nevus: asymmetry; a smooth surface.
- Grey nevus: asymmetry; a smooth surface.

## Melanomma

### Sites

Back.
"""


def test_primer(tmp_path):
    counts = build(KnowledgeConfig(output=str(tmp_path)))
    assert Knowledge.load(tmp_path) == Knowledge.primer(Taxonomy.load())
    manifest = read_manifest(tmp_path)
    assert manifest["counts"] == counts and counts["rejected"] == 0
    assert manifest["taxonomy"] == Taxonomy.load().hash
    assert manifest["licences"] == {"Apache-2.0": counts["passages"]}
    assert digests(tmp_path).keys() == {
        *("passages.jsonl", "rules.jsonl", "differentials.jsonl", "figures.jsonl", "rejected.jsonl"),
        *("graph.jsonl", "signs.jsonl", "sources/primer.txt", "manifest.json"),
    }
    assert (tmp_path / "sources" / "primer.txt").read_text(encoding="utf-8") == primer_text()


def test_own_book(tmp_path, capsys):
    book = tmp_path / "My Book.md"
    book.write_text(BOOK, encoding="utf-8")
    config = tmp_path / "knowledge.yaml"
    config.write_text(f"output: {tmp_path / 'other'}\nbooks: [{book}]\n")
    knowledge.main(["--config", str(config), "--output", str(tmp_path / "out")])
    assert "rejected: 2" in capsys.readouterr().out and not (tmp_path / "other").exists()

    made = Knowledge.load(tmp_path / "out")
    assert list(made.passages) == ["my-book:melanoma#morphology", "my-book:melanoma#differential"]
    assert all(BOOK[p.start : p.end] == p.text for p in made.passages.values())
    assert [(rule.concept, rule.negated) for rule in made.rules] == [
        ("asymmetry", False),
        ("irregular border", False),
        ("scale", True),
    ]
    assert [edge.signs for edge in made.edges] == [("asymmetry",)]
    heading, rival = read_jsonl(tmp_path / "out" / "rejected.jsonl")
    assert heading["where"] == "My book > Melanomma > Sites" and "'melanoma'" in heading["reason"]
    assert rival["where"] == "my-book:melanoma#differential" and "Grey nevus" in rival["reason"]
    manifest = read_manifest(tmp_path / "out")
    assert manifest["licences"] == {"unstated": 2}
    assert [source["name"] for source in manifest["inputs"]] == ["My Book.md"]
    assert str(tmp_path) not in (tmp_path / "out" / "manifest.json").read_text()


def card(folder: Path, **keys: str) -> str:
    """A book's card beside its book; returns the card's path."""
    (folder / "книга.md").write_text(BOOK, encoding="utf-8")
    (folder / "card.yaml").write_text(yaml.safe_dump({"path": str(folder / "книга.md"), **keys}, allow_unicode=True))
    return str(folder / "card.yaml")


def test_licence_of_ones_own_book(tmp_path):
    build(KnowledgeConfig(output=str(tmp_path / "out"), books=[card(tmp_path, licence="CC-BY-4.0")]))
    assert read_manifest(tmp_path / "out")["licences"] == {"CC-BY-4.0": 2}
    assert set(Knowledge.load(tmp_path / "out").passages) == {"book:melanoma#morphology", "book:melanoma#differential"}


def test_several_books_with_their_own_names(tmp_path):
    (tmp_path / "own.yaml").write_text("Melanomma: Melanoma\nGrey nevus: {none: an invention}\n")
    entry = card(tmp_path, name="my-book", licence="CC0-1.0", aliases=str(tmp_path / "own.yaml"))
    counts = build(KnowledgeConfig(output=str(tmp_path / "out"), books=["primer", entry]))
    made, primer = Knowledge.load(tmp_path / "out"), Knowledge.primer(Taxonomy.load())
    assert made.passages.keys() == primer.passages.keys() | {
        *("my-book:melanoma#morphology", "my-book:melanoma#differential", "my-book:melanomma#sites")
    }
    assert made.rules[: len(primer.rules)] == primer.rules and made.edges[: len(primer.edges)] == primer.edges
    manifest = read_manifest(tmp_path / "out")
    assert manifest["licences"] == {"Apache-2.0": len(primer.passages), "CC0-1.0": 3}
    assert [book["name"] for book in manifest["config"]["books"]] == ["primer", "my-book"]
    assert [source["name"] for source in manifest["inputs"]] == ["книга.md", "own.yaml"]
    graph = list(read_jsonl(tmp_path / "out" / "graph.jsonl"))
    assert len(graph) == counts["graph"]
    for passage in made.passages.values():
        source = (tmp_path / "out" / "sources" / f"{passage.source}.txt").read_bytes().decode()
        assert source[passage.start : passage.end] == passage.text


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"licenze": "CC0"}, "unknown key 'licenze'.*licence"),
        ({"name": "primer"}, "embedded book's"),
        ({"aliases": "none.yaml"}, "alias file not found"),
        ({"path": "none.md"}, "book not found"),
    ],
)
def test_faulty_card(tmp_path, keys, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        build(KnowledgeConfig(output=str(tmp_path / "out"), books=[card(tmp_path, **keys)]))
    assert "\n" not in str(caught.value)


def test_the_same_book_twice(tmp_path):
    with pytest.raises(UserError, match="same name: primer"):
        build(KnowledgeConfig(output=str(tmp_path), books=["primer", "primer"]))


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("none.md", None, "book not found"),
        ("empty.md", b"", "no heading names a diagnosis"),
        ("other.md", b"# B\n\n## Cooking\n\nSalt.\n", "no heading names a diagnosis"),
        ("latin.md", "## Melanoma\n\nna\xefve\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_faulty_book(tmp_path, name, data, complaint):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=complaint) as caught:
        build(KnowledgeConfig(output=str(tmp_path / "out"), books=[str(tmp_path / name)]))
    assert name in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_unknown_key_stops(tmp_path):
    with pytest.raises(UserError, match="book") as caught:
        knowledge.main(["--bookz", "x.md", "--output", str(tmp_path)])
    assert "\n" not in str(caught.value)


def test_same_bytes_whatever_the_hash_seed(tmp_path):
    """The second book's headings and rivals are sets of many nodes, whose order a hash seed could decide."""
    book, tree = tmp_path / "book.md", tmp_path / "tree.yaml"
    book.write_text("## Spot\n### Morphology\nScale.\n### Differential\n- Bump: scale.\n- None: scale.\n")
    shared = {"spot": "abcdefgh", "bump": "stuvwxyz"}
    entries = [f"  {key}: {{bucket: benign, aliases: [{name}]}}" for name, keys in shared.items() for key in keys]
    tree.write_text("\n".join(["version: t", "tree:", *entries]))
    runs: dict[str, list[str]] = {"primer": [], "book": ["--books", str(book), "--taxonomy", str(tree)]}
    for seed in ("1", "2"):
        for name, extra in runs.items():
            command = [sys.executable, "-m", "data_builders.knowledge", "--output", str(tmp_path / seed / name), *extra]
            subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True)
    for name in runs:
        assert digests(tmp_path / "1" / name) == digests(tmp_path / "2" / name)
    assert read_manifest(tmp_path / "1" / "book")["counts"]["differentials"] == 64
