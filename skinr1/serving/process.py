"""The vLLM process: its command line, its start, its end.

The same command serves on a GPU and on a CPU; what only a CPU needs goes into the environment of the child.
"""

import contextlib
import importlib.metadata
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from skinr1.errors import UserError
from skinr1.serving.machine import check_memory, check_port, free_port
from skinr1.serving.pixels import pixel_budget
from skinr1.serving.vllm_log import last_error, last_line
from skinr1.weights import ADAPTER_CONFIG, ADAPTER_WEIGHTS, check_safetensors

# `python -m`, because the `vllm` console script of the CPU build looks for a distribution named vllm and dies.
SERVER = (sys.executable, "-m", "vllm.entrypoints.openai.api_server")
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
CHILD_SITE = Path(__file__).parent / "child_site"
GRACE_SECONDS = 15
# A recorded generation config may carry a repetition penalty or a top_k; the policy is served as it was trained.
SAMPLING = {"repetition_penalty": 1.0, "temperature": 1.0, "top_p": 1.0, "top_k": 0}


@dataclass
class ServeConfig:
    """What is served, where, with which limits. Sizes of zero mean vLLM's own default."""

    model: str = field(default="", metadata={"help": "Folder of a full model with its processor, or a hub name."})
    name: str = field(default="", metadata={"help": "Served name of the model; default: the folder's name."})
    adapters: dict[str, str] | str | None = field(
        default=None, metadata={"help": "Served name -> adapter folder; on the command line name=folder,name=folder."}
    )
    host: str = field(default="127.0.0.1", metadata={"help": "Address to listen on."})
    port: int = field(default=8000, metadata={"help": "Port to listen on; 0 takes a free one."})
    dtype: str = field(default="auto", metadata={"help": "auto, float32, bfloat16 or float16."})
    max_model_len: int = field(default=4096, metadata={"help": "Tokens of prompt, image and answer together."})
    max_images: int = field(default=1, metadata={"help": "Images a request may carry."})
    max_num_seqs: int = field(default=0, metadata={"help": "Requests decoded at once."})
    tensor_parallel_size: int = field(default=1, metadata={"help": "GPUs one copy of the model is spread over."})
    data_parallel_size: int = field(default=1, metadata={"help": "Copies of the model."})
    gpu_memory_utilization: float = field(default=0.0, metadata={"help": "Share of GPU memory vLLM may take."})
    enforce_eager: bool = field(default=False, metadata={"help": "No compilation: quicker start, slower answers."})
    cpu_kvcache_gib: int = field(default=1, metadata={"help": "Cache of a CPU server; no meaning on a GPU."})
    cpu_threads: str = field(default="auto", metadata={"help": "Cores of a CPU server, as 0-3; auto spares one."})
    start_seconds: int = field(default=600, metadata={"help": "Longest wait for the server to answer."})
    log: Path | None = field(default=None, metadata={"help": "Log file; default: a temporary one, named at start."})
    vllm_args: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Further flags of vLLM by name, as {seed: 1}; JSON on the command line."}
    )

    def __post_init__(self) -> None:
        self.adapters = mapping(self.adapters, "adapters")
        self.vllm_args = mapping(self.vllm_args, "vllm_args")

    @property
    def served_name(self) -> str:
        return self.name or Path(self.model).name

    @property
    def adapter_folders(self) -> dict[str, Path]:
        """Served name -> folder, as checked at construction."""
        assert isinstance(self.adapters, dict)
        return {name: Path(folder) for name, folder in self.adapters.items()}


def mapping(value: Mapping[str, Any] | str | None, key: str) -> dict[str, Any]:
    """A mapping from YAML as it is, from the command line read. Raises UserError when it is not readable."""
    if not isinstance(value, str):
        return dict(value or {})
    try:
        parsed = json.loads(value) if value.startswith("{") else dict(part.split("=", 1) for part in value.split(","))
    except ValueError:
        raise UserError(f"{key} is not readable", value, 'Write {"name": "value"} or name=value,name=value.') from None
    return dict(parsed)


def command(config: ServeConfig) -> list[str]:
    """The server's command line.

    Raises:
        UserError: a folder is missing or of the wrong kind, or the pixel budgets of the adapters disagree.
    """
    check_model(config.model)
    adapters = config.adapter_folders
    ranks = [adapter_rank(folder) for folder in adapters.values()]
    flags: dict[str, Any] = {
        "model": config.model,
        "served-model-name": config.served_name,
        "host": config.host,
        "port": config.port,
        "dtype": config.dtype,
        "load-format": "safetensors",  # of a hub's model, too
        "max-model-len": config.max_model_len,
        "limit-mm-per-prompt": {"image": config.max_images, "video": 0},
        # images come in the request; vLLM would fetch any address it is sent
        "allowed-media-domains": ["none.invalid"],
        "structured-outputs-config": {"backend": "xgrammar", "disable_any_whitespace": True},
        "override-generation-config": SAMPLING,
    }
    if on_cpu():  # a seeded request whose prompt is taken in parts kills vLLM 0.32's CPU worker (set_offset)
        flags |= {"enable-chunked-prefill": False, "max-num-batched-tokens": max(4096, config.max_model_len)}
        flags["block-size"] = 32  # the CPU's 128 is longer than the instructions that all requests share
    if budget := pixel_budget(config.model, adapters):
        flags["mm-processor-kwargs"] = {"min_pixels": budget[0], "max_pixels": budget[1]}
    for name, value in (
        ("max-num-seqs", config.max_num_seqs),
        ("gpu-memory-utilization", config.gpu_memory_utilization),
        ("tensor-parallel-size", config.tensor_parallel_size - 1 and config.tensor_parallel_size),
        ("data-parallel-size", config.data_parallel_size - 1 and config.data_parallel_size),
        ("enforce-eager", config.enforce_eager),
    ):
        if value:
            flags[name] = value
    if adapters:
        flags |= {"enable-lora": True, "max-loras": len(adapters), "max-lora-rank": max(ranks)}
        flags["lora-modules"] = [f"{name}={folder}" for name, folder in adapters.items()]
    assert isinstance(config.vllm_args, dict)
    flags |= {name.replace("_", "-"): value for name, value in config.vllm_args.items()}
    return [*SERVER, *(part for name, value in flags.items() for part in _flag(name, value))]


def on_cpu() -> bool:
    """Whether torch here is a CPU build, so that vLLM's CPU backend serves."""
    return importlib.metadata.version("torch").endswith("+cpu")


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, list | tuple):
        return [f"--{name}", *map(str, value)]
    return [f"--{name}", json.dumps(value) if isinstance(value, dict) else str(value)]


def check_model(model: str) -> None:
    """Raises UserError when ``model`` looks like a path and is no folder of a full model in safetensors."""
    if not model:
        raise UserError(
            "no model given", "model", "Give --model FOLDER, or a recipe: --config recipes/serve/tiny.yaml."
        )
    folder = Path(model)
    if not folder.is_dir():
        if folder.is_absolute() or model.startswith(".") or model.count("/") != 1 or folder.parent.is_dir():
            raise UserError("model folder not found", model, "Train or merge it first, or correct the path.")
        return  # a hub name, for vLLM to resolve
    if (folder / ADAPTER_CONFIG).is_file() and not (folder / "config.json").is_file():
        raise UserError(
            "this is an adapter, not a full model",
            model,
            "Merge it (skinr1 merge), or give its base and put it under adapters.",
        )
    if not (folder / "config.json").is_file():
        raise UserError("no model here (config.json is missing)", model, "Give the folder of a saved model.")
    check_safetensors(folder)


def adapter_rank(folder: Path) -> int:
    """The smallest rank vLLM can be set to that holds this adapter.

    Raises:
        UserError: no adapter there, or its rank is beyond vLLM's largest.
    """
    path = folder / ADAPTER_CONFIG
    if not path.is_file() or not (folder / ADAPTER_WEIGHTS).is_file():
        raise UserError("adapter not found", str(folder), f"It needs {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}.")
    settings = json.loads(path.read_text(encoding="utf-8"))
    rank = max(settings["r"], *settings.get("rank_pattern", {}).values(), 1)
    allowed = [size for size in LORA_RANKS if size >= rank]
    if not allowed:
        raise UserError(f"adapter rank {rank} is above {LORA_RANKS[-1]}", str(folder), "Merge it with skinr1 merge.")
    return allowed[0]


def environment(config: ServeConfig, key: str | None = None) -> dict[str, str]:
    """The child's environment: ours, and under a CPU build of torch what vLLM's CPU backend reads from there.

    Args:
        key: API key that vLLM is to ask for; here and not on the command line, which every user of a machine can read.
    """
    variables = dict(os.environ) | ({"VLLM_API_KEY": key} if key else {})
    if on_cpu():
        variables["VLLM_CPU_KVCACHE_SPACE"] = str(config.cpu_kvcache_gib)
        variables["VLLM_CPU_OMP_THREADS_BIND"] = config.cpu_threads
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, (str(CHILD_SITE), os.environ.get("PYTHONPATH"))))
    return variables


@dataclass(frozen=True)
class Server:
    """A running server. ``url`` is the OpenAI-compatible base, ending in /v1."""

    url: str
    models: tuple[str, ...]
    log: Path
    process: subprocess.Popen[bytes]


def launch(config: ServeConfig, key: str | None = None) -> Server:
    """Starts vLLM and does not wait for it; port 0 takes a free one. End it with :func:`stop`.

    Raises:
        UserError: for a bad config, a port in use, or a cache that the memory cannot hold.
    """
    config = replace(config, port=config.port or free_port(config.host))
    arguments = command(config)
    check_port(config.host, config.port)
    if on_cpu():  # a GPU's memory is vLLM's own to check: its log tells, and so do we when it ends
        check_memory(Path(config.model), config.cpu_kvcache_gib)
    log = config.log or Path(tempfile.mkdtemp(prefix="skinr1-serve-")) / "vllm.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as output:
        output.write(f"$ {shlex.join(arguments)}\n".encode())
        output.flush()
        process = subprocess.Popen(
            arguments, stdout=output, stderr=subprocess.STDOUT, env=environment(config, key), start_new_session=True
        )
    models = (config.served_name, *config.adapter_folders)
    return Server(f"http://{_reachable(config.host)}:{config.port}/v1", models, log, process)


@contextlib.contextmanager
def start(config: ServeConfig, console: Console | None = None) -> Iterator[Server]:
    """Starts vLLM, waits until it answers, and ends it with everything it started.

    Raises:
        UserError: before the start, as :func:`launch`; after it, when vLLM dies or does not answer within
            ``start_seconds``. The message carries the log's last error.
    """
    server = launch(config)
    try:
        _wait(server, config.start_seconds, console or Console(stderr=True))
        yield server
    finally:
        stop(server.process)


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "") else f"[{host}]" if ":" in host else host


def _wait(server: Server, seconds: float, console: Console) -> None:
    started = time.monotonic()
    with console.status("starting vLLM") as status:
        while not answers(server):
            elapsed = check_start(server, started, seconds)
            status.update(f"waiting for vLLM, {elapsed:.0f} s: {last_line(server.log)[:90]}", spinner="dots")
            time.sleep(0.5)


def answers(server: Server) -> bool:
    """Whether vLLM says that it is well."""
    try:
        return httpx.get(server.url.removesuffix("/v1") + "/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def check_start(server: Server, started: float, seconds: float) -> float:
    """Seconds since ``started`` (monotonic). Raises UserError when vLLM has died or the time is over."""
    elapsed = time.monotonic() - started
    if ended(server.process):
        raise UserError(f"vLLM ended at start: {cause(server)}", str(server.log), "Read this log.")
    if elapsed > seconds:
        advice = "Read this log, or raise start_seconds."
        raise UserError(f"vLLM did not answer within {seconds:.0f} s", str(server.log), advice)
    return elapsed


def cause(server: Server) -> str:
    """Why vLLM ended: the log's first error, or that the kernel killed it, which leaves nothing in the log."""
    status = os.waitid(os.P_PID, server.process.pid, os.WEXITED | os.WNOWAIT) if ended(server.process) else None
    if status is not None and status.si_code == os.CLD_KILLED and status.si_status == signal.SIGKILL:
        return "it was killed (signal 9), which the kernel does when memory runs out"
    return last_error(server.log)


def ended(process: subprocess.Popen[bytes], wait: bool = False) -> bool:
    """Whether the server has exited; it is left unreaped, so that its process group stays ours to end."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | (0 if wait else os.WNOHANG)) is not None


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the server's whole process group: politely, then not. A reaped server's group may be somebody else's."""
    if process.returncode is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while not ended(process) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)  # workers that outlived their parent, or all of them
    process.wait()
