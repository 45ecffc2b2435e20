"""eval/page.py: one offline HTML page, with model text that stays text."""

import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from skinr1.errors import UserError
from skinr1.metrics import read_outcomes
from skinr1.page.curves import moving_average, stage_curves
from skinr1.page.gallery import choose, mark
from skinr1.page.pictures import data_address
from skinr1.stage import write_jsonl
from skinr1.taxonomy import Taxonomy

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Checker(HTMLParser):
    """Collects tags, ids and outside addresses; notes tags that are not closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.ids, self.addresses, self.faults, self.images = [], set(), [], [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.add(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href", "action", "srcset")]
        self.faults += [k for k in found if k.startswith("on")]
        if tag == "img":
            self.images.append(found)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")


def build(run, scripts, *extra):
    scripts["page"].main([f"--run={run}", f"--taxonomy={run}/taxonomy.yaml", "--stages", "base", "sft", "grpo", *extra])
    return (run / "page" / "index.html").read_text()


@pytest.fixture
def page(scored, scripts):
    return build(scored, scripts)


@pytest.fixture
def checked(page):
    checker = Checker()
    checker.feed(page)
    return checker


def test_the_page_is_one_offline_file(checked):
    assert "script" not in checked.tags and "link" not in checked.tags and "iframe" not in checked.tags
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in checked.addresses)


def test_the_page_is_well_formed_with_unique_ids(checked):
    assert checked.faults == [] and checked.open == []
    assert len(set(checked.ids)) == len(checked.ids)
    inside = {address[1:] for address in checked.addresses if address.startswith("#")}
    assert inside <= set(checked.ids)


def test_model_text_is_escaped(page):
    assert "&lt;script&gt;alert(" in page
    assert "<script" not in page and "<img src=x" not in page
    assert "{{ 7*7 }}" in page


def test_every_picture_has_words(checked):
    assert len(checked.images) == 24 + 12
    assert all(image["alt"] for image in checked.images)


def test_the_page_says_what_it_is_and_what_was_measured(page):
    for words in (
        "rendered, not clinical",
        "not a medical device",
        "hierarchical F",
        "grpo compared with sft",
        "which excludes 0",
        "fitzpatrick 4",
        "(invalid answer)",
        "Parts of the reward",
        "prefers-color-scheme: dark",
    ):
        assert words in page, words
    assert re.search(r"<span>\d\.\d\d</span> <span>\[\d\.\d\d, \d\.\d\d\]</span>", page)
    assert page.count('class="mark near"') > 1 and page.count('class="mark wrong"') > 1


def test_missing_curves_are_said(page):
    assert page.count("No training curves: this stage has no") == 1


def test_same_run_same_bytes(scored, scripts, page):
    assert build(scored, scripts) == page
    assert str(scored) not in page
    assert str(scored) not in (scored / "page" / "manifest.json").read_text()


def test_missing_picture_is_said_not_hidden(scored, scripts, capsys):
    (scored / "cases" / "images" / "3.png").unlink()
    page = build(scored, scripts)
    assert "Picture not found or not readable." in page
    assert "picture(s) could not be shown" in capsys.readouterr().out


def test_scores_must_exist(run, scripts):
    with pytest.raises(UserError, match="no scores"):
        build(run, scripts)


def test_one_model_without_baseline_and_curves(scored, scripts):
    scripts["page"].main(
        [f"--run={scored}", f"--taxonomy={scored}/taxonomy.yaml", "--models", "base", "--stages", "nowhere"]
    )
    page = (scored / "page" / "index.html").read_text()
    assert "Scored without --baseline" in page


def test_curves_leave_out_what_is_no_number_and_the_surrogate_loss(run):
    curves = {curve.title: curve for curve in stage_curves("grpo", run / "grpo" / "metrics.jsonl")}
    assert list(curves) == ["Reward", "Parts of the reward", "KL to the reference", "Entropy", "Completion length"]
    assert "at step 2 to" in curves["Entropy"].words
    assert "#010203" not in curves["Reward"].svg and "currentColor" in curves["Reward"].svg
    assert "hierarchy" in curves["Parts of the reward"].words


def test_a_log_without_known_numbers_gives_no_curve(tmp_path):
    write_jsonl(tmp_path / "metrics.jsonl", [{"step": 1, "train_runtime": 3.0}, {"loss": 1.0}])
    assert stage_curves("x", tmp_path / "metrics.jsonl") == []


@pytest.mark.parametrize("length", [1, 59, 60, 500])
def test_moving_average_keeps_length_and_constant(length):
    assert moving_average([2.0] * length) == [2.0] * length


def test_gallery_takes_turns_between_diagnoses_and_ignores_answers(run):
    tree = Taxonomy.load(run / "taxonomy.yaml")
    base, grpo = (read_outcomes(run / "predictions" / name, tree) for name in ("base", "grpo"))
    chosen = choose(grpo, 14)
    assert chosen == choose(base, 14) == choose(grpo[::-1], 14)
    truths = [o.row.diagnoses for case in chosen[:7] for o in grpo if o.case_id == case]
    assert len(set(truths)) == 7
    assert len(choose(grpo, 1000)) == 84
    assert {mark(o, tree).word for o in (*base, *grpo)} == {"right", "near", "wrong", "invalid"}


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK"])
def test_pictures_are_shrunk_and_lose_their_metadata(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    exif = Image.Exif()
    exif[0x010E] = "name of a patient"
    Image.new(mode, (900, 300)).save(tmp_path / f"a.{suffix}", exif=exif)
    address = data_address(tmp_path / f"a.{suffix}")
    assert address.startswith("data:image/jpeg;base64,") and len(address) < 9000
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8no picture")
    assert data_address(tmp_path / "broken.jpg") is None
