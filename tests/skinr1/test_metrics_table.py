"""The tables that people read."""

import io

from rich.console import Console

from skinr1.metrics import markdown_table, metrics_table, score, summary_table
from skinr1.metrics.catalogue import mean
from tests.skinr1.outcome_rows import BLUE, NEVUS, TREE, run


def test_summary_table_shows_intervals_and_what_cannot_be_computed():
    good = score(run(*[(NEVUS, NEVUS), (NEVUS, BLUE)] * 10).columns, TREE, resamples=100)
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(summary_table({"base": good, "[SFT]": good}))
    lines = console.export_text()
    assert "[SFT]" in lines and "0.50 [0." in lines and "n/a" in lines and "malignancy sensitivity" in lines


def test_markdown_table_holds_the_majority_every_model_and_the_paired_difference():
    poor, good = (run(*[(NEVUS, NEVUS), (NEVUS, said)] * 10).columns for said in (BLUE, NEVUS))
    scores = {
        "sft": score(poor, TREE, resamples=100),
        "grpo": score(good, TREE, ("sft", poor), resamples=100),
    }
    lines = markdown_table(scores).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| majority class",
        "| sft",
        "| grpo",
        "| grpo minus sft, paired",
    ]
    assert "| 0.500 [0." in lines[3] and "| 1.000 [" in lines[4] and "| +0.500 [+0." in lines[5]
    assert len({line.count("|") for line in lines}) == 1


def test_metrics_of_one_run_alone_stand_beside_paired_ones():
    """Of the reasoning, or of a task's answers, there is no paired difference."""
    poor, good = (run(*[(NEVUS, NEVUS), (NEVUS, said)] * 10).columns for said in (BLUE, NEVUS))
    alone = mean("alone", lambda seen: seen.right.astype(float))
    found = score(good, TREE, ("sft", poor), resamples=100, further=(alone,))
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(metrics_table(found))
    lines = {line.split()[0]: line for line in console.export_text().splitlines() if line.split()}
    assert "+0.50" in lines["top1"] and "1.00" in lines["alone"] and "+" not in lines["alone"]
