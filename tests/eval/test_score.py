"""eval/score.py: predictions folder -> scores.json, table."""

import json

import pytest

from skinr1.errors import UserError
from skinr1.stage import read_jsonl, write_jsonl, write_manifest


def arguments(run, name, *extra):
    return [
        f"--predictions={run}/predictions/{name}",
        f"--output={run}/scores/{name}",
        f"--taxonomy={run}/taxonomy.yaml",
        "--resamples=100",
        *extra,
    ]


def test_scores_have_intervals_groups_reasons_and_baselines(scored):
    scores = json.loads((scored / "scores" / "sft" / "scores.json").read_text())
    assert set(scores["metrics"]["top1"]) == {"value", "low", "high", "n", "method"}
    for name, found in scores["metrics"].items():
        assert found["value"] is None or found["low"] <= found["value"] <= found["high"], name
    assert scores["metrics"]["top1"]["n"] == scores["n"] == 84 and scores["patients"] == 42
    assert sum(group["n"] for group in scores["by_tone"].values()) == 84
    assert list(scores["by_tone"])[-1] == "unknown"
    assert sum(group["n"] for group in scores["by_diagnosis"].values()) == 84
    valid = round(scores["metrics"]["valid_report_rate"]["value"] * 84)
    assert sum(scores["invalid"].values()) == 84 - valid > 0
    assert scores["paired"]["baseline"] == "base"
    assert scores["paired"]["metrics"]["top1"]["excludes_zero"]
    assert scores["majority_class"]["metrics"]["top1"]["value"] == pytest.approx(1 / 7, abs=1e-6)


def test_no_baseline_no_paired(scored):
    assert json.loads((scored / "scores" / "base" / "scores.json").read_text())["paired"] is None


def test_same_input_same_bytes(run, scripts):
    written = []
    for _ in range(2):
        scripts["score"].main(arguments(run, "sft", f"--baseline={run}/predictions/base"))
        written.append([(run / "scores/sft" / name).read_bytes() for name in ("scores.json", "manifest.json")])
    assert written[0] == written[1]
    assert str(run).encode() not in b"".join(written[0])


def test_config_file_and_table(run, scripts, capsys):
    config = run / "score.yaml"
    config.write_text(f"predictions: {run}/predictions/grpo\noutput: {run}/out\ntaxonomy: {run}/taxonomy.yaml\n")
    scripts["score"].main(["--config", str(config), "--resamples", "50"])
    printed = capsys.readouterr().out
    assert (
        "grpo" in printed and "majority" in printed and "…" not in printed and (run / "out" / "scores.json").is_file()
    )


def test_runs_on_other_cases_are_refused(run, scripts):
    path = run / "predictions" / "base" / "predictions.jsonl"
    write_jsonl(path, list(read_jsonl(path))[1:])
    with pytest.raises(UserError, match=r"only one of the two runs: case-0000"):
        scripts["score"].main(arguments(run, "sft", f"--baseline={run}/predictions/base"))
    assert not (run / "scores").exists()


TASK = {"name": "choice", "version": 1, "about": "a", "options": None, "metrics": ["top1"]}


@pytest.mark.parametrize(
    ("mine", "theirs"), [(TASK, None), (None, TASK), (TASK, TASK | {"name": "signs"}), (TASK, TASK | {"version": 2})]
)
@pytest.mark.parametrize("beside", ["baseline", "validation"])
def test_runs_of_other_tasks_are_refused(run, scripts, mine, theirs, beside):
    for name, task in (("sft", mine), ("base", theirs)):
        write_manifest(run / "predictions" / name, "predict", config={"task": task} if task else {})
    with pytest.raises(UserError, match="different tasks") as caught:
        scripts["score"].main(arguments(run, "sft", f"--{beside}={run}/predictions/base"))
    assert "\n" not in str(caught.value) and not (run / "scores").exists()


def test_runs_of_one_task_are_compared(run, scripts):
    for name, words in (("sft", "new"), ("base", "old")):
        write_manifest(run / "predictions" / name, "predict", config={"task": TASK | {"about": words}})
    scripts["score"].main(arguments(run, "sft", f"--baseline={run}/predictions/base"))
    found = json.loads((run / "scores" / "sft" / "scores.json").read_text())
    assert found["task"]["name"] == "choice" and found["paired"]["baseline"] == "base"


def test_unfinished_predictions_are_refused(run, scripts):
    (run / "predictions" / "sft" / "manifest.json").unlink()
    with pytest.raises(UserError, match="no finished stage here"):
        scripts["score"].main(arguments(run, "sft"))


def test_tone_is_estimated_where_pictures_are_given_and_stays_apart(run, scripts, capsys):
    cases = run / "cases"
    (cases / "images" / "3.png").write_bytes(b"no picture")
    scripts["score"].main(arguments(run, "sft", f"--images={cases}"))
    said = capsys.readouterr()
    scores = json.loads((run / "scores" / "sft" / "scores.json").read_text())
    found = scores["tone_from_pixels"]
    assert (found["images"], found["unreadable"]) == (11, 1)
    assert all(sum(of["bins"]) == of["n"] for of in found["methods"].values())
    assert [row["methods"] for row in found["agreement"]] == [["rp", "rp2"], ["rp", "groh"], ["rp2", "groh"]]
    assert "rp and groh" in said.out and "1 picture(s) not read for skin tone" in said.err
    scripts["score"].main(arguments(run, "sft"))
    without = json.loads((run / "scores" / "sft" / "scores.json").read_text())
    assert without["tone_from_pixels"] is None and scores | {"tone_from_pixels": None} == without
    with pytest.raises(UserError, match="image not found"):
        scripts["score"].main(arguments(run, "sft", f"--images={run}/nowhere"))
