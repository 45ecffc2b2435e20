"""The vLLM command line and its start: pixel budget, adapters, ports, faults."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from skinr1 import config
from skinr1.errors import UserError
from skinr1.serving import machine, process
from skinr1.serving.gateway.settings import GatewaySettings, check_exposure
from skinr1.serving.process import ServeConfig, command


def write_model(folder: Path, longest: int = 12544, file: str = "processor_config.json") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    size = {"size": {"shortest_edge": 784, "longest_edge": longest}}
    old = {"min_pixels": 784, "max_pixels": longest}
    (folder / file).write_text(json.dumps({"image_processor": size} if file.startswith("processor") else old))
    return folder


def write_adapter(folder: Path, rank: int, **settings: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank, **settings}))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    return folder


def flag(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(f"--{name}") + 1]


@pytest.mark.parametrize("file", ["processor_config.json", "preprocessor_config.json"])
def test_command_takes_the_pixel_budget_from_the_saved_processor(tmp_path: Path, file: str) -> None:
    arguments = command(ServeConfig(model=str(write_model(tmp_path / "base", file=file)), max_images=2))
    assert arguments[:3] == [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    assert json.loads(flag(arguments, "mm-processor-kwargs")) == {"min_pixels": 784, "max_pixels": 12544}
    assert json.loads(flag(arguments, "limit-mm-per-prompt")) == {"image": 2, "video": 0}
    assert json.loads(flag(arguments, "structured-outputs-config"))["disable_any_whitespace"] is True
    assert flag(arguments, "served-model-name") == "base"
    assert flag(arguments, "load-format") == "safetensors" and "--trust-remote-code" not in arguments
    assert not {"--enable-lora", "--enforce-eager", "--tensor-parallel-size"} & set(arguments)


@pytest.mark.parametrize(("rank", "allowed"), [(1, 1), (2, 8), (16, 16), (48, 64), (257, 320), (512, 512)])
def test_adapter_rank_is_rounded_up(tmp_path: Path, rank: int, allowed: int) -> None:
    assert process.adapter_rank(write_adapter(tmp_path / "a", rank)) == allowed


def test_adapters_set_lora_flags_and_their_pixel_budget(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base", longest=1_000_000)
    sft, grpo = write_adapter(tmp_path / "sft", 8), write_adapter(tmp_path / "grpo", 8, rank_pattern={"q_proj": 20})
    write_model(tmp_path / "saved", longest=50_000)
    (sft / "processor_config.json").write_text((tmp_path / "saved" / "processor_config.json").read_text())
    arguments = command(ServeConfig(model=str(base), adapters={"sft": str(sft), "grpo": str(grpo)}))
    assert flag(arguments, "max-lora-rank") == "32"
    assert flag(arguments, "max-loras") == "2"
    start = arguments.index("--lora-modules")
    assert arguments[start + 1 : start + 3] == [f"sft={sft}", f"grpo={grpo}"]
    assert json.loads(flag(arguments, "mm-processor-kwargs"))["max_pixels"] == 50_000


def test_adapters_of_different_pixel_budgets_are_refused(tmp_path: Path) -> None:
    base, adapters = write_model(tmp_path / "base"), {}
    for name, longest in (("a", 10_000), ("b", 20_000)):
        adapters[name] = str(write_adapter(tmp_path / name, 8))
        budget = {"image_processor": {"min_pixels": 784, "max_pixels": longest}}
        (tmp_path / name / "processor_config.json").write_text(json.dumps(budget))
    with pytest.raises(UserError, match="different pixel budgets"):
        command(ServeConfig(model=str(base), adapters=adapters))


def test_config_from_the_command_line(tmp_path: Path) -> None:
    arguments = [
        "--model",
        "a/b",
        "--adapters",
        "sft=x,grpo=y",
        "--vllm_args",
        '{"seed": 3, "async_scheduling": false}',
    ]
    settings = config.parse(ServeConfig, arguments)
    assert settings.adapters == {"sft": "x", "grpo": "y"}
    settings.adapters = {}
    assert flag(command(settings), "seed") == "3"
    assert "--no-async-scheduling" in command(settings)
    with pytest.raises(UserError, match="adapters is not readable"):
        ServeConfig(model="a/b", adapters="sft")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{tmp}/nowhere", "model folder not found"),
        ("./nowhere", "model folder not found"),
        ("{tmp}/empty", "config.json is missing"),
        ("{tmp}/adapter", "an adapter, not a full model"),
        ("{tmp}/pickle", "no safetensors weights here"),
    ],
)
def test_bad_model_folder_is_one_line(tmp_path: Path, model: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    write_adapter(tmp_path / "adapter", 8)
    pickled = write_model(tmp_path / "pickle") / "model.safetensors"
    pickled.rename(pickled.with_name("pytorch_model.bin"))
    with (
        pytest.raises(UserError, match=message) as caught,
        process.start(ServeConfig(model=model.format(tmp=tmp_path))),
    ):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("rank", "message"), [(None, "adapter not found"), (1024, "rank 1024 is above 512")])
def test_bad_adapter_is_one_line(tmp_path: Path, rank: int | None, message: str) -> None:
    base = write_model(tmp_path / "base")
    if rank:
        write_adapter(tmp_path / "a", rank)
    with pytest.raises(UserError, match=message):
        command(ServeConfig(model=str(base), adapters={"a": str(tmp_path / "a")}))


def test_port_in_use_is_found_before_the_start(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = ServeConfig(model=str(base), port=taken.getsockname()[1])
        with pytest.raises(UserError, match="port cannot be used"), process.start(settings):
            pass


def test_death_at_start_reports_the_first_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "print('(EngineCore pid=7) ERROR 11-23 13:05:35 [core.py:133] ValueError: [x] no such weights');"
        "print('(APIServer pid=1) RuntimeError: Engine core initialization failed'); raise SystemExit(1)"
    )
    monkeypatch.setattr(process, "SERVER", (sys.executable, "-c", script))
    settings = ServeConfig(model=str(write_model(tmp_path / "base")), port=0, log=tmp_path / "log")
    with (
        pytest.raises(UserError, match=r"vLLM ended at start: ValueError: \[x\] no such weights"),
        process.start(settings),
    ):
        pass


def test_end_takes_the_whole_process_group() -> None:
    script = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); c.wait()"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    process.stop(parent)
    assert parent.poll() is not None
    deadline = time.monotonic() + 60
    while _alive(child) and time.monotonic() < deadline:  # killed, but the kernel may still be at it
        time.sleep(0.05)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    """An orphan that nobody reaps stays as a zombie, which is dead enough."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("recipe", sorted(p.name for p in Path("recipes/serve").glob("*.yaml")))
def test_shipped_recipe_parses(recipe: str) -> None:
    arguments = ["--config", f"recipes/serve/{recipe}", "--port", "0"]
    settings, allowed = config.parse_many((ServeConfig, GatewaySettings), arguments)
    assert settings.port == 0
    assert bool(settings.model) != bool(allowed.upstreams)
    check_exposure(settings.host, allowed)
    assert settings.served_name


def test_copies_and_shards_reach_vllm(tmp_path: Path) -> None:
    base = str(write_model(tmp_path / "base"))
    arguments = command(ServeConfig(model=base, data_parallel_size=4, tensor_parallel_size=2))
    assert (flag(arguments, "data-parallel-size"), flag(arguments, "tensor-parallel-size")) == ("4", "2")
    assert "--data-parallel-size" not in command(ServeConfig(model=base))
    quantised = command(ServeConfig(model=base, vllm_args={"quantization": "fp8"}))
    assert flag(quantised, "quantization") == "fp8"


def test_gateway_and_vllm_are_configured_together() -> None:
    arguments = ["--upstreams", "http://gpu1:8000/v1", "http://gpu2:8000/v1", "--keys", "k", "--max_requests", "7"]
    serving, settings = config.parse_many((ServeConfig, GatewaySettings), arguments)
    assert settings.upstreams == ["http://gpu1:8000/v1", "http://gpu2:8000/v1"]
    assert (settings.max_requests, serving.host) == (7, "127.0.0.1")
    with pytest.raises(UserError, match="no model given"):
        command(serving)


def test_kubernetes_serves_as_we_do() -> None:
    values = yaml.safe_load(Path("recipes/kubernetes/vllm-values.yaml").read_text())
    [model] = values["servingEngineSpec"]["modelSpec"]
    there, own = model["vllmConfig"], config.parse(ServeConfig, ["--config", "recipes/serve/qwen2_5_vl_7b.yaml"])
    own.model = "hub/name"
    arguments = command(own)
    for name in there["extraArgs"][::2]:
        given = there["extraArgs"][there["extraArgs"].index(name) + 1]
        ours = flag(arguments, name.removeprefix("--"))
        assert (json.loads(given) == json.loads(ours)) if given.startswith("{") else given == ours
    assert (there["maxModelLen"], there["dtype"]) == (own.max_model_len, own.dtype)
    assert there["gpuMemoryUtilization"] == own.gpu_memory_utilization


def test_kubernetes_starts_a_gateway_with_keys() -> None:
    [deployment, *_] = yaml.safe_load_all(Path("recipes/kubernetes/gateway.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    serving, settings = config.parse_many((ServeConfig, GatewaySettings), pod["containers"][0]["args"])
    check_exposure(serving.host, settings)
    assert settings.keys is not None
    assert pod["terminationGracePeriodSeconds"] > settings.drain_seconds
    assert deployment["spec"]["replicas"] == 1


def test_a_free_port_is_none_that_outgoing_connections_get(monkeypatch: pytest.MonkeyPatch) -> None:
    port = machine.free_port("127.0.0.1")
    assert port in machine.PORTS and machine.PORTS.stop <= 32_768
    machine.check_port("127.0.0.1", port)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(UserError, match="port cannot be used"):
            machine.check_port("127.0.0.1", number)
        monkeypatch.setattr(machine, "PORTS", range(number, number + 1))
        with pytest.raises(UserError, match="no free port found in 1 tries"):
            machine.free_port("127.0.0.1")
