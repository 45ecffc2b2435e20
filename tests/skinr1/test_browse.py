"""skinr1 data browse: every case and trajectory once, citations that lead to their passage, text that stays text."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from data_builders import trajectories
from data_builders.trajectories import TrajectoriesConfig
from skinr1.browse import Written, locate, write_gallery
from skinr1.browse.exhibits import picture_file
from skinr1.browse.rows import Rows
from skinr1.cases import Case, Role
from skinr1.data import main
from skinr1.errors import UserError
from skinr1.stage import read_jsonl, write_jsonl, write_manifest
from tests.skinr1.gallery_page import Page
from tests.skinr1.grounded import MELANOMA, NEVUS, TREE, case, tree, write_knowledge

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert(1)</script>'\"&"
SIGNS = ("papule", "brown colour", "sharp border")


def cases_of() -> list[Case]:
    tone = {"scale": "fitzpatrick", "value": 5, "provenance": "clinician"}
    return [
        *(case(NEVUS, present=SIGNS, case_id=f"nevus-{i}", skin_tone=tone) for i in range(5)),
        case(MELANOMA, present=("plaque", "irregular border"), case_id="melanoma-1", split="validation"),
        case(NEVUS, present=SIGNS, absent=("warty surface",), case_id=HOSTILE, label=HOSTILE, site=HOSTILE),
        case(NEVUS, present=("silvery scale",), case_id="odd"),
        case(NEVUS, present=SIGNS, case_id="lost", images=("images/lost.png",)),
        case(NEVUS, present=SIGNS, case_id="tested", split="test"),
        case(NEVUS, MELANOMA, role=Role.SPARSE, case_id="sparse", images=("images/a.png", "images/broken.png")),
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("built")
    images = run / "cases" / "images"
    images.mkdir(parents=True)
    Image.new("RGB", (40, 30), (120, 80, 60)).save(images / "a.png")
    (images / "broken.png").write_bytes(b"no picture")
    write_jsonl(run / "cases" / "cases.jsonl", [c.model_dump(mode="json") for c in cases_of()])
    write_jsonl(run / "cases" / "rejected.jsonl", [{"where": "row 3", "reason": f"unknown label: {HOSTILE}"}])
    write_manifest(run / "cases", "cases", config={}, notes=["rendered, not clinical"])
    write_knowledge(run / "knowledge")
    (run / "tree.yaml").write_text(TREE, encoding="utf-8")
    config = TrajectoriesConfig(
        cases=str(run / "cases"),
        knowledge=str(run / "knowledge"),
        output=str(run / "trajectories"),
        taxonomy=str(run / "tree.yaml"),
        kinds=["direct", "kept", "switched", "description"],
    )
    trajectories.build(config, progress=False)
    return run


@pytest.fixture
def run(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "run")
    return tmp_path / "run"


def browse(run: Path, folder: str = "trajectories", per_page: int = 60) -> tuple[Written, dict[str, str]]:
    output = run / "pages"
    written = write_gallery(locate(run / folder), output, tree(), per_page)
    return written, {path.name: path.read_text(encoding="utf-8") for path in sorted(output.iterdir())}


def pages_of(files: dict[str, str]) -> dict[str, Page]:
    return {name: Page(text) for name, text in files.items() if name.startswith("page-")}


@pytest.mark.parametrize("per_page", [1, 2, 60])
def test_every_trajectory_and_case_is_on_one_page(run: Path, per_page: int) -> None:
    rows = [r for split in ("train", "validation") for r in read_jsonl(run / "trajectories" / f"{split}.jsonl")]
    written, files = browse(run, per_page=per_page)
    pages = pages_of(files)
    made = Counter(kind for page in pages.values() for kind in page.trajectories)
    assert made == Counter(row["kind"] for row in rows) and written.trajectories == len(rows)
    shown = {row["case_id"] for row in rows} | {r["case_id"] for r in read_jsonl(run / "trajectories/rejected.jsonl")}
    assert sum(len(page.articles) for page in pages.values()) == written.cases == len(shown)
    assert len(pages) == written.pages == -(-len(shown) // per_page)
    steps = sum(text.count('<li class="step">') for text in files.values())
    assert steps == sum(len(json.loads(row["provenance"])) for row in rows)
    for row in rows:
        for step in json.loads(row["provenance"]):
            words = re.split(r"\[[^\]]*\]", step["text"])
            assert any(all(html.escape(part, quote=False) in text for part in words) for text in files.values())


def test_the_index_says_how_many_are_on_which_page(run: Path) -> None:
    written, files = browse(run, per_page=3)
    index, total = files["index.html"], written.cases
    assert f"{total} cases" in index and f"on\n{written.pages} pages" in index
    for number in range(1, written.pages + 1):
        first, last = 3 * number - 2, min(3 * number, total)
        assert f'href="page-{number:04d}.html"' in index and f"<td>{first}–{last}</td>" in index
    held = [json.loads(html.unescape(found)) for found in re.findall(r"data-groups='([^']*)'", index)]
    assert sum(group["cases"] for page in held for group in page) == total


def test_every_citation_links_to_its_passage(run: Path) -> None:
    _, files = browse(run, per_page=4)
    cited = 0
    known = {row["id"]: row["text"] for row in read_jsonl(run / "knowledge" / "passages.jsonl")}
    for name, page in pages_of(files).items():
        for anchor, passage in page.cites:
            assert page.passages[anchor] == passage
            cited += 1
        for passage in page.passages.values():
            assert files[name].count(html.escape(known[passage])) >= 2  # beside the sentence and in the register
    rows = [r for split in ("train", "validation") for r in read_jsonl(run / "trajectories" / f"{split}.jsonl")]
    assert cited == sum(row["completion"][0]["content"][0]["text"].count("primer:") for row in rows) > 10


def test_pages_are_well_formed_and_offline(run: Path) -> None:
    _, files = browse(run, "cases", per_page=4)
    for name, text in files.items():
        page = Page(text)
        assert page.faults == [] and len(page.ids) == len(set(page.ids)), name
        assert page.scripts == (0 if name.startswith("rejected") else 1)
        for link in page.links:
            assert (link[1:] in page.ids) if link.startswith("#") else (link in files), link
        assert all(i["src"].startswith("data:image/jpeg;base64,") and i["alt"] for i in page.images)
        assert "http:" not in text and "https:" not in text


def test_hostile_names_stay_text(run: Path) -> None:
    _, files = browse(run, "cases")
    assert "<script>alert" not in "".join(files.values())
    assert html.escape(HOSTILE).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in files["page-0001.html"]
    assert "&lt;script&gt;alert" in files["rejected-0001.html"]


def test_the_script_is_the_one_that_the_policy_allows(run: Path) -> None:
    import base64
    import hashlib

    _, files = browse(run)
    for name in ("index.html", "page-0001.html"):
        script = re.search(r"<script>(.*?)</script>", files[name], re.DOTALL)
        assert script
        digest = base64.b64encode(hashlib.sha256(script.group(1).encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in files[name]


def test_rejected_stand_with_their_case_and_reasons_are_counted(run: Path) -> None:
    written, files = browse(run, "cases")
    page = files["page-0001.html"]
    assert "no textbook rule of the diagnosis matches a sign of the case" in page
    assert "image does not exist: images/lost.png" in page
    assert "unknown label" in files["rejected-0001.html"] and "unknown label" in files["index.html"]
    rows = [*read_jsonl(run / "trajectories/rejected.jsonl"), *read_jsonl(run / "cases/rejected.jsonl")]
    assert written.rejected == len(rows)


def test_unsupported_sentences_of_a_rejection_are_shown(run: Path) -> None:
    fault = {"start": 0, "end": 5, "sentence": "There is an ulcer.", "why": "not annotated: ulcer"}
    row = {"case_id": "nevus-0", "kind": "kept", "reason": "not grounded: made up", "sentences": [fault]}
    write_jsonl(run / "trajectories" / "rejected.jsonl", [row])
    _, files = browse(run)
    assert "There is an ulcer." in files["page-0001.html"] and "not annotated: ulcer" in files["page-0001.html"]


def test_missing_and_unreadable_pictures_are_told(run: Path) -> None:
    written, files = browse(run, "cases")
    assert written.missing == 2
    assert "2 pictures could not be shown" in files["index.html"]
    for name in ("images/lost.png", "images/broken.png"):
        assert f"Picture not found or not readable: {name}" in files["page-0001.html"]


def test_pictures_outside_a_cases_folder_are_not_shown(run: Path) -> None:
    (run / "other").mkdir()
    Image.new("RGB", (8, 8)).save(run / "other" / "secret.png")
    assert picture_file("../other/secret.png", run / "cases") is None
    assert picture_file("images/a.png", run / "cases") == (run / "cases/images/a.png").resolve()
    assert picture_file("../cases/images/a.png", run / "other") == (run / "cases/images/a.png").resolve()


def test_rendered_is_never_called_clinical(run: Path) -> None:
    _, files = browse(run)
    assert "rendered, not clinical" in files["page-0001.html"]
    rows = [{**row, "source": "rendered_clinic"} for row in read_jsonl(run / "cases" / "cases.jsonl")]
    write_jsonl(run / "cases" / "cases.jsonl", rows)
    shutil.rmtree(run / "trajectories")
    _, files = browse(run, "cases")
    assert "The pictures are <strong>rendered, not clinical</strong>" in files["index.html"]


def test_cases_without_trajectories_are_shown_and_that_is_said(run: Path) -> None:
    shutil.rmtree(run / "trajectories")
    written, files = browse(run, "cases")
    assert (written.cases, written.trajectories) == (len(cases_of()), 0)
    assert "No trajectories were made from these cases" in files["index.html"]


def test_an_unknown_passage_and_an_invalid_report_are_told(run: Path) -> None:
    path = run / "trajectories" / "train.jsonl"
    path.write_text(path.read_text().replace("primer:common-nevus#morphology", "primer:gone#morphology"))
    first, *others = read_jsonl(path)
    first["completion"][0]["content"][0]["text"] = "no report"
    write_jsonl(path, [first, *others])
    written, files = browse(run)
    assert written.unknown == ("primer:gone#morphology",)
    assert "Not in the knowledge folder." in files["page-0001.html"] and "primer:gone#morphology" in files["index.html"]
    assert "No valid report: think" in files["page-0001.html"]


def test_pages_of_an_earlier_gallery_are_removed(run: Path) -> None:
    (run / "pages").mkdir()
    (run / "pages" / "page-9999.html").write_text("somebody's own")
    assert len(pages_of(browse(run, per_page=1)[1])) > 2
    _, files = browse(run, per_page=60)
    assert sorted(files) == ["index.html", "page-0001.html", "page-9999.html"]


def test_same_bytes_again_and_under_two_hash_seeds(run: Path) -> None:
    _, first = browse(run, per_page=3)
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "skinr1", "data", "browse", str(run / "trajectories"), "--per-page", "3"]
        command += ["--output", str(run / "pages"), "--taxonomy", str(run / "tree.yaml")]
        subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True)
        assert {p.name: p.read_text(encoding="utf-8") for p in sorted((run / "pages").iterdir())} == first


def test_folders_are_found_by_content(run: Path) -> None:
    (run / "cases").rename(run / "my patients")
    (run / "knowledge").rename(run / "my books")
    found = locate(run / "trajectories")
    assert (found.cases.name, found.knowledge.name if found.knowledge else "") == ("my patients", "my books")
    assert locate(run / "my patients").trajectories == (run / "trajectories").resolve()
    (run / "elsewhere").mkdir()
    (run / "my books").rename(run / "elsewhere" / "books")
    given = locate(run / "trajectories", knowledge=run / "elsewhere" / "books")
    assert given.knowledge == run / "elsewhere" / "books"


def change_cases(run: Path) -> None:
    write_jsonl(run / "cases" / "cases.jsonl", list(read_jsonl(run / "cases" / "cases.jsonl"))[:3])


@pytest.mark.parametrize(
    ("change", "arguments", "what"),
    [
        (change_cases, ["trajectories"], "no folder beside it has the cases.jsonl"),
        (change_cases, ["trajectories", "--cases", "RUN/cases"], "is not the one"),
        (lambda run: shutil.rmtree(run / "knowledge"), ["trajectories"], "passages.jsonl"),
        (lambda run: shutil.rmtree(run / "knowledge"), ["cases"], "Give --knowledge"),
        (lambda run: shutil.copytree(run / "trajectories", run / "again"), ["cases"], "several trajectories"),
        (lambda run: None, ["knowledge"], "neither cases nor trajectories"),
        (lambda run: None, ["nothing"], "no finished stage"),
        (lambda run: None, ["cases", "--cases", "RUN/cases"], "already"),
        (lambda run: None, ["trajectories", "--trajectories", "RUN/trajectories"], "already"),
        (lambda run: None, ["trajectories", "--per-page", "0"], "per_page is under 1"),
        (lambda run: (run / "trajectories/train.jsonl").write_text("{"), ["trajectories"], "not JSON"),
        (
            lambda run: (run / "trajectories/train.jsonl").write_text('{"case_id":"x"}'),
            ["trajectories"],
            "unknown case",
        ),
        (
            lambda run: (run / "trajectories/train.jsonl").write_text('{"case_id":"odd"}'),
            ["trajectories"],
            "not a row of trajectories",
        ),
    ],
)
def test_mistakes_are_one_line(run: Path, change, arguments: list[str], what: str) -> None:
    change(run)
    folder, *others = [part.replace("RUN", str(run)) for part in arguments]
    with pytest.raises(UserError, match=what):
        main(["browse", str(run / folder), "--taxonomy", str(run / "tree.yaml"), *others])


def test_the_command_says_what_it_wrote(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["browse", str(run / "cases"), "--taxonomy", str(run / "tree.yaml")])
    out = capsys.readouterr().out
    assert "pictures that could not be shown: 2" in out and str(run / "cases" / "browse" / "index.html") in out


def test_rows_are_read_again_where_they_start(tmp_path: Path) -> None:
    rows = [{"case_id": name, "text": "ä" * i} for i, name in enumerate("abcab")]
    write_jsonl(tmp_path / "x.jsonl", rows)
    found = Rows([tmp_path / "x.jsonl"])
    assert found["a"] == [rows[0], rows[3]] and found["z"] == [] and found.count() == 5
    assert list(found) == ["a", "b", "c"] and "c" in found
